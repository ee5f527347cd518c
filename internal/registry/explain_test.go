package registry

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestExplain(t *testing.T) {
	c := New(repo(t, "ghcr.io/joelhooks/worker"), Options{Push: true, Credential: "gh's login (keyring)", ScopeRemedy: "run `gh auth refresh`", Auth: basic()})
	for _, row := range []struct {
		err       error
		code, has string
	}{
		{&Error{Status: 403, Code: "DENIED", Message: "permission_denied: The token provided does not match expected scopes."}, "token-scope", "gh auth refresh"},
		{&Error{Status: 403, Code: "DENIED", Message: "permission_denied: write_package"}, "package-permission", "github.com/joelhooks"},
		{&Error{Status: 403, Code: "DENIED", Message: "installation not allowed to Create organization package"}, "organization-policy", "packages: write"},
		{&Error{Status: 403, Message: "You have exceeded a secondary rate limit"}, "registry-rate-limit", "wait"},
		{&Error{Status: 429, Code: "TOOMANYREQUESTS"}, "registry-rate-limit", "TOOMANYREQUESTS"},
		{&Error{Status: 403, Code: "DENIED", Message: "denied"}, "registry-denied", "gh's login (keyring)"},
		{&Error{Status: 401}, "registry-denied", "may write"},
		{&Error{Status: 404, Code: "NAME_UNKNOWN"}, "image-not-found", "NAME_UNKNOWN"},
		{&Error{Status: 502, Registry: "ghcr.io", Method: "PUT", Kind: "manifest v1"}, "registry-failed", "502 Bad Gateway"},
		{&Error{Status: 413}, "registry-refused", "413"},
		{&Error{Status: 200, Registry: "ghcr.io", Garbled: true}, "registry-garbled", "browser"},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, "registry-unreachable", "connection refused"},
	} {
		var f *pipeline.Finding
		if err := c.Explain("push it", row.err); !errors.As(err, &f) || string(f.Code) != row.code || !strings.Contains(f.Error(), row.has) {
			t.Errorf("%v: %v, want %s with %q", row.err, err, row.code, row.has)
		}
		if f.What == "" || f.Why == "" || f.Fix == "" || !errors.Is(f, row.err) {
			t.Errorf("%v: %+v", row.err, f)
		}
	}
	if err := c.Explain("x", pipeline.ErrInterrupted); !errors.Is(err, pipeline.ErrInterrupted) {
		t.Errorf("an interrupt became %v", err)
	}
	if c.Explain("x", nil) != nil {
		t.Error("a nil error became a finding")
	}
}
