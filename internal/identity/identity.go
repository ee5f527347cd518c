// Package identity finds the GitHub identity with which an image is pushed.
// Find returns the token and where it came from; Account asks GitHub for its
// login and scopes.
//
// # Sources
//
// The first of these sources that has a token is used: GHCR_TOKEN; the credential
// command in .sbw.yaml; gh's login, which is GH_TOKEN, GITHUB_TOKEN, gh's
// hosts.yml or the keyring, in go-gh's order. The output names the source,
// because a GITHUB_TOKEN in the environment silently overrides a stored login.
//
// # Hosts
//
// A token belongs to one host. gh's login for github.com is sent to ghcr.io and
// api.github.com, that of an enterprise server to containers.HOST and HOST.
// go-gh's default host is never used, because with GH_HOST or a single enterprise
// login a token would be sent to the wrong host. GHCR_TOKEN is for ghcr.io unless
// GHCR_HOST names another registry. A registry that is not GitHub's never gets a
// GitHub token.
//
// Docker's configuration is neither read nor written.
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

// Options say which registry needs an identity.
type Options struct {
	// Registry is the image's registry: "ghcr.io", "containers.example.com".
	Registry string
	// Command is credentials.command of .sbw.yaml: the program that prints the
	// token, with its arguments.
	Command []string
	// CommandRegistry is the registry of the configured image, for which
	// Command prints a token; Registry if empty. If --image selects another
	// registry, the command is not run.
	CommandRegistry string
	// Dir is Command's working directory: the repository's root.
	Dir string
	// Transport carries requests to GitHub's API; Go's own when nil.
	Transport http.RoundTripper

	// Wait sleeps between tries; nil uses a timer.
	Wait func(context.Context, time.Duration) error

	// Getenv, Environ, GitHubToken and GitHubUser default to the process's
	// environment and gh's configuration.
	Getenv      func(string) string
	Environ     func() []string
	GitHubToken func(host string) (token, source string)
	GitHubUser  func(host string) string
}

// Kind is a kind of source.
type Kind string

// The kinds of sources.
const (
	FromEnv     Kind = "GHCR_TOKEN"
	FromCommand Kind = "command"
	FromGH      Kind = "gh"
	Anonymous   Kind = "anonymous"
)

// Identity is a credential for one registry. Its fields are safe to print.
type Identity struct {
	Kind     Kind
	Source   string // for messages: "gh's login (keyring)"
	Registry string // the only registry to which Token may be sent
	Host     string // the GitHub that the registry belongs to; empty if none
	Variable string // the environment variable that contained the token, if any
	User     string // the user name to send, if known without asking GitHub

	token   Token
	opts    Options
	account *pipeline.Lazy[Account]
}

// Find looks for a token. It does not use the network, but runs the credential
// command if there is no GHCR_TOKEN. The error is a *pipeline.Finding.
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

// storedUser returns the login that gh stores next to a token.
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

// HostOf returns the GitHub host that a registry belongs to; empty for any other
// registry.
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
	// The content of a file often ends in a line break, which a header must not
	// contain.
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
			What: "GHCR_TOKEN is set for " + id.Registry + ", but its owner is unknown",
			Why:  "only GitHub can be asked who owns a token",
			Fix:  "set GHCR_USER as well",
		}
	}
	return true, malformed(id.Source, token, id.Host != "")
}

// envRegistry returns the registry that GHCR_TOKEN is for.
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
			What: id.Source + " returns a token for " + id.Registry + ", but its owner is unknown",
			Why:  "only GitHub can be asked who owns a token",
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
		id.Variable = source // GH_TOKEN and similar; GitHub has to be asked who owns it
	}
	id.Source = "gh's login (" + source + ")"
	if id.Variable == "" {
		id.User = id.opts.GitHubUser(id.Host)
	}
	return true, malformed(id.Source, token, true)
}

func (id *Identity) whyNone() string {
	why := "GHCR_TOKEN is not set, and gh has no token for that host"
	if strings.TrimSpace(id.opts.Getenv("GHCR_TOKEN")) != "" {
		why = fmt.Sprintf("GHCR_TOKEN is for %s (GHCR_HOST says which registry), and gh has no token for %s", id.envRegistry(), id.Host)
	}
	return why
}

// Authenticator returns the credential in the form that registry clients use. It
// asks GitHub for the login if that is not known otherwise.
func (id *Identity) Authenticator() authn.Authenticator {
	if id.Kind == Anonymous {
		return authn.Anonymous
	}
	return authenticator{id}
}

type authenticator struct{ id *Identity }

// Authorization returns user and token, for callers without a context.
func (a authenticator) Authorization() (*authn.AuthConfig, error) {
	return a.AuthorizationContext(context.Background())
}

// AuthorizationContext returns user and token.
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

// CleanEnv returns environ without this and other tokens.
func (id *Identity) CleanEnv(environ []string) []string { return CleanEnv(environ, id.token) }

// Holders returns the names of the variables in environ that contain the token.
func (id *Identity) Holders(environ []string) (names []string) {
	for _, kv := range environ {
		name, val, _ := strings.Cut(kv, "=")
		if !id.token.IsZero() && strings.Contains(val, id.token.secret) {
			names = append(names, name)
		}
	}
	return names
}
