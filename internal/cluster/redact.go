package cluster

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// redacting removes the credentials of a request from its response before anybody
// quotes, truncates or prints it: an API server, or a proxy in front of it, may echo the
// header that it refuses. It is below whatever adds credentials, so it also sees those
// from a token file or a credential command.
type redacting struct{ next http.RoundTripper }

// redact adds redacting to every client that is made from the flags, including the one
// for discovery. If there are no flags, it adds it to config only.
func redact(getter genericclioptions.RESTClientGetter, config *rest.Config) *rest.Config {
	wrap := func(c *rest.Config) *rest.Config {
		c = rest.CopyConfig(c)
		c.Wrap(func(next http.RoundTripper) http.RoundTripper { return redacting{next} })
		return c
	}
	flags, ok := getter.(*genericclioptions.ConfigFlags)
	switch {
	case !ok:
	case flags.WrapConfigFn == nil:
		flags.WrapConfigFn = wrap
	default:
		return config // it already has redacting, from the function above
	}
	return wrap(config)
}

// WrappedRoundTripper lets client-go find the connections below.
func (t redacting) WrappedRoundTripper() http.RoundTripper { return t.next }

// echoLimit bounds how much of a refusal is read; a Status is far smaller.
const echoLimit = 4 << 20

// RoundTrip implements http.RoundTripper.
func (t redacting) RoundTrip(req *http.Request) (*http.Response, error) {
	secrets := secretsOf(req.Header.Get("Authorization"))
	resp, err := t.next.RoundTrip(req)
	if len(secrets) == 0 {
		return resp, err
	}
	if err != nil {
		if text := mask([]byte(err.Error()), secrets); string(text) != err.Error() {
			err = &maskedError{text: string(text), err: err}
		}
		return resp, err
	}
	for _, name := range []string{"Warning", "Www-Authenticate"} {
		for i, v := range resp.Header[name] {
			resp.Header[name][i] = string(mask([]byte(v), secrets))
		}
	}
	if resp.StatusCode < http.StatusBadRequest || resp.Body == nil {
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, echoLimit))
	err = errors.Join(err, resp.Body.Close())
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(mask(body, secrets)), failing{err}))
	return resp, nil
}

// failing is the end of a body, with the error of the original body.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// maskedError is an error whose text contained a credential, which is now masked.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// secretsOf returns the texts that would reveal the credentials in an Authorization header.
func secretsOf(header string) (all [][]byte) {
	scheme, value, ok := strings.Cut(header, " ")
	if !ok || value == "" {
		return nil
	}
	all = append(all, []byte(value))
	if strings.EqualFold(scheme, "Basic") {
		if plain, err := base64.StdEncoding.DecodeString(value); err == nil {
			if _, password, ok := strings.Cut(string(plain), ":"); ok && password != "" {
				all = append(all, []byte(password))
			}
		}
	}
	return all
}

// recognisable is how many characters of a secret's beginning are enough to mask them
// and everything after them, because a server may truncate the header that it echoes.
const recognisable = 8

// mask replaces secrets, and their beginnings, by the same number of asterisks. The
// length must not change, because a body may be protobuf, which stores lengths.
func mask(text []byte, secrets [][]byte) []byte {
	out := text
	for _, secret := range secrets {
		begin := secret[:min(len(secret), recognisable)]
		for from := 0; ; {
			i := bytes.Index(out[from:], begin)
			if i < 0 {
				break
			}
			i += from
			end := i
			for end < len(out) && end-i < len(secret) && out[end] == secret[end-i] {
				end++
			}
			if &out[0] == &text[0] {
				out = bytes.Clone(text)
			}
			copy(out[i:end], bytes.Repeat([]byte{'*'}, end-i))
			from = end
		}
	}
	return out
}

// withoutPassword returns a server's URL without its password, for printing.
func withoutPassword(server string) string {
	if u, err := url.Parse(server); err == nil && u.User != nil {
		return u.Redacted()
	}
	return server
}

var secretFlag = lazyregexp.New(`(?i)^(--?[a-z0-9-]*(token|secret|password|passwd|key|credential)[a-z0-9-]*)(=.*)?$`)

// printableArgs returns a command's arguments without the values of flags whose names
// suggest a secret.
func printableArgs(args []string) []string {
	out := make([]string, 0, len(args))
	hide := false
	for _, a := range args {
		m := secretFlag.FindStringSubmatch(a)
		switch {
		case m != nil && m[3] != "":
			out, hide = append(out, m[1]+"=…"), false
		case hide && !strings.HasPrefix(a, "-"):
			out, hide = append(out, "…"), false
		default:
			out, hide = append(out, a), m != nil
		}
	}
	return out
}
