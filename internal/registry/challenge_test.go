package registry

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseChallenge(t *testing.T) {
	for in, want := range map[string]map[string]string{
		`Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:o/n:pull"`: {
			"": "bearer", "realm": "https://ghcr.io/token", "service": "ghcr.io", "scope": "repository:o/n:pull"},
		`bearer Realm="a, b", scope="repository:o/n:pull,push" , error=invalid_token`: {
			"": "bearer", "realm": "a, b", "scope": "repository:o/n:pull,push", "error": "invalid_token"},
		`Basic realm="a \"quoted\" one"`: {"": "basic", "realm": `a "quoted" one`},
		`Basic`:                          {"": "basic"},
		``:                               {"": ""},
		`Bearer realm="open`:             {"": "bearer"},
		`Bearer realm=a,realm=b`:         {"": "bearer", "realm": "a"},
	} {
		scheme, params := parseChallenge(in)
		params[""] = scheme
		if diff := cmp.Diff(want, params); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://ghcr.io/token",service="ghcr.io"`)
	f.Add(`Basic realm="\`)
	f.Add("a =,=\",")
	f.Fuzz(func(t *testing.T, s string) {
		scheme, params := parseChallenge(s)
		if scheme != strings.ToLower(scheme) {
			t.Errorf("scheme %q", scheme)
		}
		if _, ok := params[""]; ok {
			t.Errorf("%q has a parameter without a name", s)
		}
	})
}

func TestChallengePrefersBearer(t *testing.T) {
	h := http.Header{"Www-Authenticate": {"Negotiate", `Basic realm="x"`, `Bearer realm="https://a/token"`}}
	if c := challengeOf(h, false); c == nil || c.Scheme != "bearer" {
		t.Errorf("%+v", c)
	}
	if c := challengeOf(http.Header{"Www-Authenticate": {"Negotiate"}}, false); c != nil {
		t.Errorf("%+v", c)
	}
}
