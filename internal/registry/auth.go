package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// session holds what the requests of a Client need for authentication. Only one
// goroutine at a time changes it, so the bearer is renewed only once, however
// many requests find that it has expired.
type session struct {
	c    *Client
	turn chan struct{} // whoever has received from it may change the following fields

	mu      sync.RWMutex
	settled bool // whether it is known how to authenticate
	value   string
	ends    time.Time // of the bearer; zero if the registry did not say
	realm   *transport.Challenge
	secrets []string // must not appear in messages
	// failures counts exchanges that were given up; failure is the last error.
	failures int
	failure  error
}

func newSession(c *Client) *session {
	s := &session{c: c, turn: make(chan struct{}, 1)}
	s.realm = knownRealm(c.reg)
	return s
}

func (s *session) header() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.value
}

// usable reports whether a request may be sent without authenticating first.
func (s *session) usable() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.settled && (s.ends.IsZero() || time.Now().Before(s.ends))
}

func (s *session) lock(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *session) unlock() { <-s.turn }

// enter waits until a request may be sent. While it is unknown how the registry
// authenticates, one request goes first to find out, and the others wait for it.
// first means that this is the first request, and that it holds the turn until it
// calls leave or renew.
func (s *session) enter(ctx context.Context) (first bool, _ error) {
	if s.usable() {
		return false, nil
	}
	before, _ := s.failed()
	if err := s.lock(ctx); err != nil {
		return false, err
	}
	if s.usable() {
		s.unlock()
		return false, nil
	}
	// If the exchange failed while this request was waiting, the request fails as
	// well.
	if n, err := s.failed(); n != before {
		s.unlock()
		return false, err
	}
	if s.realm != nil {
		err := s.exchange(ctx, s.realm)
		var answer *Error
		if err == nil || s.settled || !errors.As(err, &answer) || answer.Status != http.StatusNotFound {
			s.unlock()
			return false, err
		}
		s.realm = nil // it was a guess, and there is no token endpoint
	}
	return true, nil
}

// leave ends the turn of a first request that was not challenged, or got no
// answer.
func (s *session) leave(answered bool) {
	if answered {
		s.mu.Lock()
		s.settled = true
		s.mu.Unlock()
	}
	s.unlock()
}

// renew gets a new credential after used was refused with a challenge. again
// reports whether the request should be sent again.
func (s *session) renew(ctx context.Context, holds bool, used string, ch *transport.Challenge) (again bool, _ error) {
	if !holds {
		if err := s.lock(ctx); err != nil {
			return false, err
		}
	}
	defer s.unlock()
	if s.header() != used {
		return true, nil // another goroutine was faster
	}
	if ch == nil {
		return false, nil
	}
	switch strings.ToLower(ch.Scheme) {
	case "bearer":
		return true, s.exchange(ctx, ch)
	case "basic":
		return s.basic(ctx, used)
	}
	return false, nil
}

// basic switches to sending the credential itself, which happens only to the
// registry's own host.
func (s *session) basic(ctx context.Context, used string) (again bool, _ error) {
	cfg, err := authn.Authorization(ctx, s.c.opts.Auth)
	if err != nil {
		return false, err
	}
	plain := cfg.Auth
	if plain == "" && cfg.Username != "" {
		plain = base64.StdEncoding.EncodeToString([]byte(cfg.Username + ":" + cfg.Password))
	}
	if plain == "" || "Basic "+plain == used {
		return false, nil
	}
	s.set("Basic "+plain, time.Time{}, nil, cfg.Password, plain)
	return true, nil
}

func (s *session) set(value string, ends time.Time, realm *transport.Challenge, secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled, s.value, s.ends, s.realm = true, value, ends, realm
	s.keepOut(secrets...)
}

// keepOut remembers secrets in the forms in which a server may echo them. The
// caller must hold the lock.
func (s *session) keepOut(secrets ...string) {
	for _, x := range secrets {
		if len(x) <= 3 {
			continue
		}
		for _, form := range []string{x, url.QueryEscape(x), base64.StdEncoding.EncodeToString([]byte(x))} {
			if !slices.Contains(s.secrets, form) {
				s.secrets = append(s.secrets, form)
			}
		}
	}
	// Longer secrets come first, because one may be part of another.
	slices.SortStableFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
}

// redact removes secrets from text that a registry or a library wrote. It must
// run before the text is truncated: if a secret were cut in two, the rest would
// remain.
func (s *session) redact(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, x := range s.secrets {
		text = strings.ReplaceAll(text, x, "[hidden]")
	}
	return text
}

func (s *session) failed() (int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.failures, s.failure
}

// givenUp marks an error that has been retried often enough: requests that wait
// for the bearer must not start over.
type givenUp struct{ error }

func (g *givenUp) Unwrap() error { return g.error }

// exchange exchanges the credential for a bearer.
func (s *session) exchange(ctx context.Context, ch *transport.Challenge) error {
	cfg, err := authn.Authorization(ctx, s.c.opts.Auth)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.keepOut(cfg.Password, cfg.Auth, cfg.IdentityToken, cfg.RegistryToken,
		base64.StdEncoding.EncodeToString([]byte(cfg.Username+":"+cfg.Password)))
	s.mu.Unlock()
	if cfg.RegistryToken != "" {
		s.set("Bearer "+cfg.RegistryToken, time.Time{}, ch)
		return nil
	}
	if err := checkRealm(s.c.reg, ch, cfg); err != nil {
		return err
	}
	for try := 0; ; try++ {
		err := s.exchangeOnce(ctx, ch)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !Passing(err) {
			return err
		}
		if tries := s.c.tries(err); try+1 >= tries {
			s.c.unmet.Store(tries < s.c.opts.Tries)
			s.mu.Lock()
			s.failures, s.failure = s.failures+1, &givenUp{err}
			s.mu.Unlock()
			return s.failure
		}
		if err := s.c.Backoff(ctx, "token", try, err); err != nil {
			return err
		}
	}
}

func (s *session) exchangeOnce(ctx context.Context, ch *transport.Challenge) error {
	ctx, watch := newWatch(ctx, s.c.opts.Stall)
	defer watch.stop()
	tok, err := transport.Exchange(ctx, s.c.reg, s.c.opts.Auth, counted{s.c}, s.scopes(), ch)
	if err != nil {
		return s.c.exchangeError(ctx, err)
	}
	value := tok.Token
	if value == "" {
		value = tok.AccessToken
	}
	var ends time.Time
	if tok.ExpiresIn > 0 {
		// Renew after nine tenths of its lifetime, so that it does not expire during a
		// request.
		ends = time.Now().Add(time.Duration(tok.ExpiresIn) * time.Second * 9 / 10)
	}
	s.set("Bearer "+value, ends, ch, value)
	return nil
}

// scopes returns the scopes to ask for, the most important one first, because
// some registries ignore the others.
func (s *session) scopes() []string {
	action := transport.PullScope
	if s.c.opts.Push {
		action = transport.PushScope
	}
	scope := func(path, action string) string { return "repository:" + path + ":" + action }
	all := []string{scope(s.c.repo.Path, action)}
	for _, from := range s.c.opts.MountFrom {
		all = append(all, scope(from, transport.PullScope))
	}
	return all
}

// counted is a transport that counts the exchange as a request.
type counted struct{ c *Client }

func (t counted) RoundTrip(r *http.Request) (*http.Response, error) {
	t.c.requests.Add(1)
	return t.c.opts.Transport.RoundTrip(r)
}
