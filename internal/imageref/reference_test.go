package imageref

import (
	"errors"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

var sha = "sha256:" + strings.Repeat("ab", 32)

// TestParseRepository checks the grammar that the configuration and the flags
// share, which must not accept a name that a registry refuses later.
func TestParseRepository(t *testing.T) {
	for _, c := range []struct {
		in, fix string // part of the remedy; empty: it is valid
	}{
		{in: "ghcr.io/joelhooks/system-bus-worker"},
		{in: "localhost/a/b"},
		{in: "localhost:5000/a"},
		{in: "127.0.0.1:5000/a/b/c"},
		{in: "[::1]:5000/a"},
		{in: "containers.example.com/o/n.a__b-c"},
		{in: "docker.io/library/busybox"},
		{in: "ghcr.io/o/a---b"},
		{in: "GHCR.io/o/a"},
		{in: "ghcr.io/JoelHooks/Worker", fix: "ghcr.io/joelhooks/worker"},
		{in: "joelhooks/worker", fix: "ghcr.io/OWNER/NAME"},
		{in: "worker", fix: "ghcr.io/OWNER/NAME"},
		{in: "", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io/", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io/o/n:v1", fix: "ghcr.io/o/n;"},
		{in: "ghcr.io/o/n@" + sha, fix: "ghcr.io/o/n;"},
		{in: "ghcr.io/o//n", fix: "lower-case"},
		{in: "ghcr.io/o/n/", fix: "lower-case"},
		{in: "ghcr.io/o/-n", fix: "lower-case"},
		{in: "ghcr.io/o/n-", fix: "lower-case"},
		{in: "ghcr.io/o/n ", fix: "lower-case"},
		{in: "ghcr.io/o/a..b", fix: "lower-case"},
		{in: "ghcr.io/o/a___b", fix: "lower-case"},
		{in: "ghcr.io/o/a._b", fix: "lower-case"},
		{in: "ghcr.io/o/a-_b", fix: "lower-case"},
		{in: "ghcr.io/o./b", fix: "lower-case"},
		{in: "ghcr.io/ö/b", fix: "lower-case"},
		{in: "ghcr.io/o/n\n", fix: "lower-case"},
		{in: "https://ghcr.io/o/n", fix: "ghcr.io/OWNER/NAME"},
		{in: "-x.io/o/n", fix: "ghcr.io/OWNER/NAME"},
		{in: "gh_cr.io/o/n", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io:/o/n", fix: "ghcr.io/OWNER/NAME"},
		{in: "user@ghcr.io/o/n", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io/o/" + strings.Repeat("n", 300), fix: "lower-case"},
	} {
		repo, err := ParseRepository(c.in)
		if c.fix == "" {
			if err != nil || repo.String() != c.in {
				t.Errorf("%q: %v, %v", c.in, repo, err)
			}
			continue
		}
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != CodeName || f.End != pipeline.Usage || !strings.Contains(f.Fix, c.fix) {
			t.Errorf("%q: %v, want a remedy with %q", c.in, err, c.fix)
		}
	}
}

func TestCheckTag(t *testing.T) {
	for tag, valid := range map[string]bool{
		"latest": true, "20260101-120000": true, "v1.2.3_rc-1": true, "_x": true, strings.Repeat("a", 128): true,
		"": false, ".x": false, "-x": false, "a b": false, "a/b": false, "a:b": false, "é": false, "v1\n": false,
		strings.Repeat("a", 129): false,
	} {
		err := CheckTag(tag)
		if valid != (err == nil) {
			t.Errorf("%q: %v", tag, err)
		}
		f, ok := errors.AsType[*pipeline.Finding](err)
		if err != nil && (!ok || f.Code != CodeTag || f.End != pipeline.Usage) {
			t.Errorf("%q: %v", tag, err)
		}
	}
	if err := CheckTag("feature/x y"); !strings.Contains(err.Error(), "feature-x-y") {
		t.Errorf("no tag is suggested: %v", err)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]struct{ repository, tag, digest, identifier string }{
		"ghcr.io/o/n":                {"ghcr.io/o/n", "", "", "latest"},
		"ghcr.io/o/n:v1":             {"ghcr.io/o/n", "v1", "", "v1"},
		"localhost:5000/n":           {"localhost:5000/n", "", "", "latest"},
		"localhost:5000/n:v1@" + sha: {"localhost:5000/n", "v1", sha, sha},
		"ghcr.io/o/n@" + sha:         {"ghcr.io/o/n", "", sha, sha},
		"[::1]:5000/n:v1":            {"[::1]:5000/n", "v1", "", "v1"},
	} {
		r, err := Parse(in)
		if err != nil || r.Repository.String() != want.repository || r.Tag != want.tag || r.Digest != want.digest {
			t.Errorf("%q: %+v, %v", in, r, err)
		}
		if r.Identifier() != want.identifier || r.String() != in {
			t.Errorf("%q: asks for %q and prints %q", in, r.Identifier(), r)
		}
	}
	for in, code := range map[string]pipeline.Code{
		"ghcr.io/o/n:":                                   CodeTag,
		"ghcr.io/o/n:@" + sha:                            CodeTag,
		"ghcr.io/o/n@":                                   CodeName,
		"ghcr.io/o/n:v1@":                                CodeName,
		"ghcr.io/o/n@sha256:1":                           CodeName,
		"ghcr.io/o/n@" + sha + "0":                       CodeName,
		"ghcr.io/o/n@" + strings.ToUpper(sha):            CodeName,
		"ghcr.io/o/n@" + sha + "@" + sha:                 CodeName,
		"ghcr.io/o/n@sha512:" + strings.Repeat("ab", 64): CodeName,
		"ghcr.io/o/n:a:b":                                CodeName,
		"o/n":                                            CodeName,
		"n:v1":                                           CodeName,
		"ghcr.io:v1":                                     CodeName,
		"ghcr.io/o/N:v1":                                 CodeName,
	} {
		r, err := Parse(in)
		if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != code {
			t.Errorf("%q: %+v, %v; want code %s", in, r, err, code)
		}
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string]Reference{
		"":                            {},
		"busybox":                     {Repository: Repository{Path: "busybox"}},
		"busybox:1.36":                {Repository: Repository{Path: "busybox"}, Tag: "1.36"},
		"library/busybox@" + sha:      {Repository: Repository{Path: "library/busybox"}, Digest: sha},
		"localhost:5000/n":            {Repository: Repository{Registry: "localhost:5000", Path: "n"}},
		"ghcr.io/o/n:v1@sha256:short": {Repository: Repository{Registry: "ghcr.io", Path: "o/n"}, Tag: "v1", Digest: "sha256:short"},
		"$(IMAGE)":                    {Repository: Repository{Path: "$(IMAGE)"}},
	} {
		if got := Split(in); got != want || got.String() != in {
			t.Errorf("%q: %+v, printed %q", in, got, got)
		}
	}
}

func TestAt(t *testing.T) {
	r := Repository{Registry: "ghcr.io", Path: "o/n"}
	for identifier, want := range map[string]string{"v1": "ghcr.io/o/n:v1", sha: "ghcr.io/o/n@" + sha, "": "ghcr.io/o/n"} {
		if got := r.At(identifier).String(); got != want {
			t.Errorf("%q: %s, want %s", identifier, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ghcr.io/o/n", "ghcr.io/o/n:v1", "ghcr.io/o/n:v1@" + sha, "localhost:5000/a:b", "a@b:c/d", "x/y:z", "[::1]/a", "a.b/c@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// Only an empty tag or digest is lost.
		if once := Split(s); once.String() == s && Split(once.String()) != once {
			t.Fatalf("%q: split %+v, and again %+v", s, once, Split(once.String()))
		}
		r, err := Parse(s)
		if err != nil {
			if _, ok := errors.AsType[*pipeline.Finding](err); !ok {
				t.Fatalf("%q: %v is not a finding", s, err)
			}
			return
		}
		if r.String() != s {
			t.Fatalf("%q became %q", s, r)
		}
	})
}
