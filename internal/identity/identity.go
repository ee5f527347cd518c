// Package identity finds under whose GitHub identity an image is pushed: the
// token, where it came from, the login behind it and what it may do.
//
// # Sources
//
// In this order, the first that has a token: GHCR_TOKEN; the credential command
// of .sbw.yaml; gh's login, which is GH_TOKEN, GITHUB_TOKEN, gh's hosts.yml or
// the keyring, as go-gh finds it. Whichever it is gets named in what is printed,
// since an ambient GITHUB_TOKEN beats a stored login without a word.
//
// # Hosts
//
// A token belongs to one host. gh's login for github.com goes to ghcr.io and
// api.github.com, an enterprise's to containers.HOST and HOST. go-gh's default
// host is never asked: GH_HOST or a lone enterprise login would send the wrong
// token to the wrong place. GHCR_TOKEN is for ghcr.io unless GHCR_HOST names
// another registry. A registry that is not GitHub's gets no token of GitHub's.
//
// No Docker configuration is read, and none is written.
package identity

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cli/go-gh/v2/pkg/auth"
	"github.com/cli/go-gh/v2/pkg/config"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// Options say for which registry an identity is wanted.
type Options struct {
	// Registry is the image's: "ghcr.io", "containers.example.com".
	Registry string
	// Command is credentials.command of .sbw.yaml: argv, the token on stdout.
	Command []string
	// CommandRegistry is the registry of the image that the configuration
	// names, whose token Command prints; Registry when empty. When --image
	// moves the image elsewhere, the command is not asked.
	CommandRegistry string
	// Dir is where Command runs: the repository's root.
	Dir string
	// Transport carries requests to GitHub's API; Go's own when nil.
	Transport http.RoundTripper

	// Wait sleeps between tries; nil waits on a timer.
	Wait func(context.Context, time.Duration) error

	// Getenv, Environ, GitHubToken and GitHubUser default to the process's
	// environment and gh's configuration.
	Getenv      func(string) string
	Environ     func() []string
	GitHubToken func(host string) (token, source string)
	GitHubUser  func(host string) string
}

// Kind is a sort of source.
type Kind string

// The sorts of sources.
const (
	FromEnv     Kind = "GHCR_TOKEN"
	FromCommand Kind = "command"
	FromGH      Kind = "gh"
	Anonymous   Kind = "anonymous"
)

// Identity is a credential for one registry. Its fields may be printed.
type Identity struct {
	Kind     Kind
	Source   string // for people: "gh's login (keyring)"
	Registry string // the only one that Token may be sent to
	Host     string // the GitHub behind it; empty when it is not GitHub's
	Variable string // the environment variable that held the token, if one did
	User     string // the user name to send, if known without asking GitHub

	token   Token
	opts    Options
	account *pipeline.Lazy[Account]
}

// Find looks for a token. It asks no network; the credential command is run if
// its turn comes. The error is a *pipeline.Finding.
func Find(ctx context.Context, o Options) (*Identity, error) {
	o.defaults()
	id := &Identity{Registry: o.Registry, Host: HostOf(o.Registry), opts: o}
	id.account = pipeline.NewLazy(id.ask)
	for _, source := range []func(context.Context) (bool, error){id.fromEnv, id.fromCommand, id.fromGH} {
		found, err := source(ctx)
		if err != nil {
			return nil, err
		}
		if found {
			return id, nil
		}
	}
	if id.Host == "" {
		id.Kind, id.Source = Anonymous, "no credential"
		return id, nil
	}
	return nil, &pipeline.Finding{
		Code: CodeNoCredential, Severity: pipeline.Error,
		What: "no login for " + id.Host + ", which " + o.Registry + " belongs to",
		Why:  id.whyNone(),
		Fix:  "run `gh auth login -h " + id.Host + " -s write:packages`, or set GHCR_TOKEN to a classic token with write:packages",
	}
}

func (o *Options) defaults() {
	if o.Wait == nil {
		o.Wait = waiting.For
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Environ == nil {
		o.Environ = os.Environ
	}
	if o.GitHubToken == nil {
		o.GitHubToken = auth.TokenForHost
	}
	if o.GitHubUser == nil {
		o.GitHubUser = storedUser
	}
	if o.CommandRegistry == "" {
		o.CommandRegistry = o.Registry
	}
}

// storedUser is the login that gh keeps next to a token of its own.
func storedUser(host string) string {
	cfg, err := config.Read(nil)
	if err != nil {
		return ""
	}
	user, err := cfg.Get([]string{"hosts", auth.NormalizeHostname(host), "user"})
	if err != nil {
		return ""
	}
	return user
}

// HostOf is the GitHub that a registry belongs to, empty for any other registry.
func HostOf(registry string) string {
	host := strings.ToLower(registry)
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "ghcr.io" {
		return "github.com"
	}
	if h, ok := strings.CutPrefix(host, "containers."); ok && h != "" {
		return h
	}
	return ""
}

func (id *Identity) fromEnv(context.Context) (bool, error) {
	// A file's content often ends in a line break, which no header may carry.
	token := strings.TrimSpace(id.opts.Getenv("GHCR_TOKEN"))
	if token == "" || !strings.EqualFold(id.envRegistry(), id.Registry) {
		return false, nil
	}
	id.Kind, id.Source, id.Variable = FromEnv, "GHCR_TOKEN", "GHCR_TOKEN"
	id.User = strings.TrimSpace(id.opts.Getenv("GHCR_USER"))
	id.token = NewToken(token)
	if id.User == "" && id.Host == "" {
		return false, &pipeline.Finding{
			Code: CodeCredentialUser, Severity: pipeline.Error,
			What: "GHCR_TOKEN is set for " + id.Registry + ", but not whose it is",
			Why:  "only GitHub can be asked for the login behind a token",
			Fix:  "set GHCR_USER as well",
		}
	}
	return true, nil
}

// envRegistry is the registry that GHCR_TOKEN is for.
func (id *Identity) envRegistry() string {
	if host := id.opts.Getenv("GHCR_HOST"); host != "" {
		return host
	}
	return "ghcr.io"
}

func (id *Identity) fromCommand(ctx context.Context) (bool, error) {
	if len(id.opts.Command) == 0 || !strings.EqualFold(id.opts.CommandRegistry, id.Registry) {
		return false, nil
	}
	token, err := runCommand(ctx, id.opts)
	if err != nil {
		return false, err
	}
	id.Kind, id.Source = FromCommand, "the command `"+commandName(id.opts.Command)+"`"
	id.User, id.token = strings.TrimSpace(id.opts.Getenv("GHCR_USER")), token
	if id.User == "" && id.Host == "" {
		return false, &pipeline.Finding{
			Code: CodeCredentialUser, Severity: pipeline.Error,
			What: id.Source + " gives a token for " + id.Registry + ", but not whose it is",
			Why:  "only GitHub can be asked for the login behind a token",
			Fix:  "set GHCR_USER",
		}
	}
	return true, nil
}

func (id *Identity) fromGH(context.Context) (bool, error) {
	if id.Host == "" {
		return false, nil
	}
	token, source := id.opts.GitHubToken(id.Host)
	token = strings.TrimSpace(token)
	if token == "" {
		return false, nil
	}
	id.Kind, id.token = FromGH, NewToken(token)
	switch source {
	case "oauth_token":
		source = "hosts.yml"
	case "gh":
		source = "keyring"
	default:
		id.Variable = source // GH_TOKEN and its like; whose it is must be asked
	}
	id.Source = "gh's login (" + source + ")"
	if id.Variable == "" {
		id.User = id.opts.GitHubUser(id.Host)
	}
	return true, nil
}

func (id *Identity) whyNone() string {
	why := "GHCR_TOKEN is not set, and gh has no token for that host"
	if id.opts.Getenv("GHCR_TOKEN") != "" {
		why = fmt.Sprintf("GHCR_TOKEN is for %s (GHCR_HOST says which registry), and gh has no token for %s", id.envRegistry(), id.Host)
	}
	return why
}

// Authenticator is the credential in the form that registries are spoken to
// with. It asks GitHub for the login if that is not known otherwise.
func (id *Identity) Authenticator() authn.Authenticator {
	if id.Kind == Anonymous {
		return authn.Anonymous
	}
	return authenticator{id}
}

type authenticator struct{ id *Identity }

// Authorization is for callers without a context.
func (a authenticator) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext gives user and token.
func (a authenticator) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	user := a.id.User
	if user == "" {
		account, err := a.id.Account(ctx)
		if err != nil {
			return nil, err
		}
		user = account.Login
	}
	return &authn.AuthConfig{Username: user, Password: a.id.token.Reveal()}, nil
}

// CleanEnv is environ without this and other tokens.
func (id *Identity) CleanEnv(environ []string) []string { return CleanEnv(environ, id.token) }

// Holders are the variables of environ that hold the token, whatever their
// names are.
func (id *Identity) Holders(environ []string) (names []string) {
	for _, kv := range environ {
		name, val, _ := strings.Cut(kv, "=")
		if !id.token.IsZero() && strings.Contains(val, id.token.secret) {
			names = append(names, name)
		}
	}
	return names
}
