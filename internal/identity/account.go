package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cli/go-gh/v2/pkg/auth"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Account is the owner of a token according to GitHub.
type Account struct {
	Login string
	// Scopes are the token's OAuth scopes, if GitHub returned them.
	Scopes []string
	// ScopesKnown is false for tokens of Apps and Actions and for fine-grained ones:
	// if X-OAuth-Scopes is absent or empty, nothing is known about their
	// permissions.
	ScopesKnown bool
}

const (
	writePackages = "write:packages"
	userTimeout   = 20 * time.Second
	userTries     = 3
)

// Account returns the owner of the token. It asks GitHub once. The error is a
// *pipeline.Finding.
func (id *Identity) Account(ctx context.Context) (Account, error) { return id.account.Get(ctx) }

// Check returns findings about what prevents a push with this identity: GitHub
// rejects the token, it lacks write:packages, or it is of the wrong kind.
func (id *Identity) Check(ctx context.Context) []*pipeline.Finding {
	if id.Host == "" {
		return nil
	}
	if id.token.fineGrained() {
		return []*pipeline.Finding{{
			Code: CodeTokenFineGrained, Severity: pipeline.Error,
			What: id.Source + " is a fine-grained token",
			Why:  "GitHub Packages accepts only classic tokens",
			Fix:  id.remedy(),
		}}
	}
	account, err := id.Account(ctx)
	if err != nil {
		return pipeline.AsFindings("cannot ask "+id.Host+" for the login", err)
	}
	if account.ScopesKnown && !slices.Contains(account.Scopes, writePackages) {
		has := "it has no scopes at all"
		if len(account.Scopes) > 0 {
			has = "it has " + strings.Join(account.Scopes, ", ")
		}
		return []*pipeline.Finding{{
			Code: CodeTokenScope, Severity: pipeline.Error,
			What: fmt.Sprintf("%s of %s lacks the scope %s", id.Source, account.Login, writePackages),
			Why:  has,
			Fix:  id.remedy(),
		}}
	}
	return nil
}

// ScopeRemedy returns what to do if the token lacks a scope.
func (id *Identity) ScopeRemedy() string { return id.remedy() }

func (id *Identity) remedy() string {
	refresh := "`gh auth refresh -h " + id.Host + " -s " + writePackages + "`"
	classic := "a classic token with " + writePackages + " (https://" + id.Host + "/settings/tokens/new?scopes=" + writePackages + ")"
	switch {
	case id.Kind == FromEnv:
		return "set GHCR_TOKEN to " + classic
	case id.Kind == FromCommand:
		return "have the command print " + classic
	case id.Variable != "":
		return "unset " + id.Variable + ", then run " + refresh + " (gh refuses that while it is set), or set it to " + classic
	}
	return "run " + refresh
}

// ErrNotGitHub means that a credential has no account, because it is for a
// registry that does not belong to GitHub.
var ErrNotGitHub = errors.New("the registry does not belong to GitHub")

// ask sends GET /user. go-gh's own client is not used, because its logging and
// GraphQL would add a megabyte to the program for this one request.
func (id *Identity) ask(ctx context.Context) (Account, error) {
	if id.Host == "" {
		return Account{}, ErrNotGitHub
	}
	ctx, cancel := context.WithTimeout(ctx, userTimeout)
	defer cancel()
	client := &http.Client{
		Transport: id.opts.Transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 5 {
				return fmt.Errorf("it redirects to another host, %s", r.URL.Host)
			}
			return nil
		},
	}
	for try := 1; ; try++ {
		account, err := id.askOnce(ctx, client)
		var f *pipeline.Finding
		if err == nil || errors.As(err, &f) {
			return account, err
		}
		if try == userTries || ctx.Err() != nil {
			return Account{}, id.unreachable(err)
		}
		if err := id.opts.Wait(ctx, time.Duration(try)*300*time.Millisecond); err != nil {
			return Account{}, err
		}
	}
}

// apiURL returns the address of the REST API of a GitHub host (go-gh pkg/api
// rest_client.go, restPrefix).
func apiURL(host string) string {
	host = auth.NormalizeHostname(host)
	switch {
	case strings.EqualFold(host, "github.localhost"):
		return "http://api." + host + "/"
	case auth.IsEnterprise(host):
		return "https://" + host + "/api/v3/"
	}
	return "https://api." + host + "/"
}

// maxAnswer limits how many bytes of a response are read.
const maxAnswer = 1 << 20

func (id *Identity) askOnce(ctx context.Context, client *http.Client) (Account, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, apiURL(id.Host)+"user", http.NoBody)
	if err != nil {
		return Account{}, err
	}
	req.Header.Set("Authorization", "token "+id.token.Reveal())
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", "gh-sbw")
	res, err := client.Do(req)
	if err != nil {
		return Account{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return id.refused(res)
	}
	var user struct{ Login string }
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&user); err != nil || user.Login == "" {
		return Account{}, errors.New("its answer to /user did not come from GitHub")
	}
	account := Account{Login: user.Login}
	for s := range strings.SplitSeq(res.Header.Get("X-OAuth-Scopes"), ",") {
		if s = strings.TrimSpace(s); s != "" {
			account.Scopes = append(account.Scopes, s)
		}
	}
	account.ScopesKnown = len(account.Scopes) > 0
	return account, nil
}

// refused returns the error for an unsuccessful response: a Finding if it is
// final, and another error if it is worth another try.
func (id *Identity) refused(res *http.Response) (Account, error) {
	said := id.said(res)
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return Account{}, &pipeline.Finding{
			Code: CodeTokenRejected, Severity: pipeline.Error,
			What: id.Host + " rejects the token from " + id.Source,
			Why:  said,
			Fix:  id.replaceToken(),
		}
	case res.StatusCode == http.StatusForbidden && res.Header.Get("X-GitHub-SSO") != "":
		return Account{}, &pipeline.Finding{
			Code: CodeTokenSso, Severity: pipeline.Error,
			What: "the token from " + id.Source + " is not authorised for an organisation that requires single sign-on",
			Why:  said,
			Fix:  "authorise it: https://" + id.Host + "/settings/tokens → Configure SSO",
		}
	case res.StatusCode == http.StatusForbidden && strings.Contains(said, "integration"):
		// A token of Actions or an App has no user. The registry decides
		// whether it may push.
		login := id.opts.Getenv("GITHUB_ACTOR")
		if login == "" {
			login = "x-access-token"
		}
		return Account{Login: login}, nil
	}
	return Account{}, fmt.Errorf("it responded with %d %s", res.StatusCode, said)
}

// said returns GitHub's own message on one line and without the token, or else
// the text of the status.
func (id *Identity) said(res *http.Response) string {
	var body struct{ Message string }
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&body); err != nil || body.Message == "" {
		return http.StatusText(res.StatusCode)
	}
	return termtext.Cut(termtext.Line(id.redact(body.Message)), maxSaid)
}

// maxSaid limits how many characters of GitHub's message are repeated.
const maxSaid = 300

// redact removes the token from a text. This must happen before the text is
// truncated, because a part of the token could not be found.
func (id *Identity) redact(text string) string {
	if id.token.IsZero() {
		return text
	}
	return strings.ReplaceAll(text, id.token.Reveal(), hidden)
}

func (id *Identity) replaceToken() string {
	switch {
	case id.Kind == FromCommand:
		return "check what the command prints: the token has expired or was revoked"
	case id.Variable != "":
		return "unset " + id.Variable + " or set it to a valid token"
	}
	return "run `gh auth login -h " + id.Host + " -s " + writePackages + "`"
}

// unreachable returns the finding if GitHub cannot be reached. It is an error
// only if the login is needed.
func (id *Identity) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	f := &pipeline.Finding{
		Code: CodeGithubUnreachable, Severity: pipeline.Error,
		What: "cannot ask " + id.Host + " who owns the token",
		Why:  id.redact(err.Error()),
		Fix:  "check the network, or set GHCR_TOKEN and GHCR_USER, for which GitHub is not asked",
		Err:  err,
	}
	if id.User != "" {
		f.Severity = pipeline.Warning
		f.Why += "; the registry itself still checks the permission to push"
		f.Fix = "check the network"
	}
	return f
}
