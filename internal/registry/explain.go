package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Explain turns an error of this package into a Finding that says what could not
// be done (doing, such as "push to ghcr.io/o/n"), why, in the registry's own
// words, and what to do. A context's error and a Finding are returned unchanged.
func (c *Client) Explain(doing string, err error) error {
	var f *pipeline.Finding
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f), errors.Is(err, context.Canceled), errors.Is(err, pipeline.ErrInterrupted):
		return err
	}
	f = &pipeline.Finding{Severity: pipeline.Error, What: "could not " + doing, Err: err}
	var e *Error
	if errors.As(err, &e) {
		c.explainAnswer(f, e)
	} else {
		c.explainNetwork(f, err)
	}
	return f
}

func (c *Client) explainNetwork(f *pipeline.Finding, err error) {
	f.Why = oneLine(c.auth.redact(err.Error()))
	if isTLS(err) {
		f.Code = CodeRegistryTLS
		f.Fix = "check the certificate of " + c.repo.Registry + "; if you have your own certificate authority, add it with SSL_CERT_FILE"
		return
	}
	f.Code = CodeRegistryUnreachable
	f.Fix = "check the name " + c.repo.Registry + ", the network and HTTPS_PROXY, then try again"
}

func (c *Client) explainAnswer(f *pipeline.Finding, e *Error) {
	f.Why = e.Said()
	if f.Why == "" {
		f.Why = e.Error()
	}
	low := strings.ToLower(e.Message)
	credential := c.opts.Credential
	if credential == "" {
		credential = "the credential in use"
	}
	switch {
	case e.Garbled:
		f.Code = CodeRegistryGarbled
		f.Why = e.Error() + " with something that did not come from a registry"
		f.Fix = "look at https://" + e.Registry + " in a browser: the network's login page or a proxy may be in between"
	case strings.Contains(low, "does not match expected scopes"):
		f.Code = CodeTokenScope
		f.Why = credential + " lacks the scope " + c.scope() + " (" + e.Said() + ")"
		f.Fix = c.opts.ScopeRemedy
		if f.Fix == "" {
			f.Fix = "use a classic token with " + c.scope() + "; fine-grained tokens do not work with packages"
		}
	case strings.Contains(low, "write_package"):
		f.Code = CodePackagePermission
		f.Fix = "give it the Write role in the package's settings (Manage Actions access, or Manage access): " + c.packageSettings()
	case strings.Contains(low, "installation not allowed"):
		f.Code = CodeOrganizationPolicy
		f.Fix = "add `permissions: packages: write` to the workflow, or have the organisation allow package creation in its settings"
	case e.Status == http.StatusTooManyRequests || e.secondaryLimit():
		f.Code = CodeRegistryRateLimit
		f.Fix = "wait a few minutes and try again; what has been uploaded is not sent again"
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		c.explainDenied(f, credential)
	case e.Status == http.StatusNotFound:
		f.Code = CodeImageNotFound
		f.Fix = "check the name and the tag; `gh sbw tags` lists the published ones"
	case e.Status >= 500 || e.Status == http.StatusRequestTimeout:
		f.Code = CodeRegistryFailed
		f.Fix = "try again later; what has been uploaded is not sent again"
	default:
		f.Code = CodeRegistryRefused
		f.Fix = "correct what the registry reports above, or ask its administrator"
	}
}

func (c *Client) explainDenied(f *pipeline.Finding, credential string) {
	f.Code = CodeRegistryDenied
	switch {
	case c.opts.Credential == "" && !c.opts.Push:
		f.Fix = "use a credential that may read it: images on GHCR are private until their settings say otherwise"
	case c.opts.Push:
		f.Why = "the registry refuses " + credential + " (" + f.Why + ")"
		f.Fix = "check that its owner may write to " + c.repo.String()
	default:
		f.Why = "the registry refuses " + credential + " (" + f.Why + ")"
		f.Fix = "check that its owner may read " + c.repo.String()
	}
}

func (c *Client) scope() string {
	if c.opts.Push {
		return "write:packages"
	}
	return "read:packages"
}

// packageSettings returns the address of the page with the package's permissions.
func (c *Client) packageSettings() string {
	owner, pkg, _ := strings.Cut(c.repo.Path, "/")
	web := strings.TrimPrefix(hostname(c.repo.Registry), "containers.")
	if web == "ghcr.io" {
		web = "github.com"
	}
	return "https://" + web + "/" + owner + " → Packages → " + pkg
}
