package registry

import (
	"errors"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestParseRepository(t *testing.T) {
	for _, c := range []struct {
		in, out string
		fix     string // part of the remedy; empty: it is valid
	}{
		{in: "ghcr.io/joelhooks/system-bus-worker", out: "ghcr.io/joelhooks/system-bus-worker"},
		{in: "localhost/a/b", out: "localhost/a/b"},
		{in: "localhost:5000/a", out: "localhost:5000/a"},
		{in: "127.0.0.1:5000/a/b/c", out: "127.0.0.1:5000/a/b/c"},
		{in: "containers.example.com/o/n.a__b-c", out: "containers.example.com/o/n.a__b-c"},
		{in: "ghcr.io/JoelHooks/Worker", fix: "ghcr.io/joelhooks/worker"},
		{in: "joelhooks/worker", fix: "ghcr.io/OWNER/NAME"},
		{in: "worker", fix: "ghcr.io/OWNER/NAME"},
		{in: "", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io/", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io/o/n:v1", fix: "ghcr.io/o/n;"},
		{in: "ghcr.io/o/n@sha256:" + strings.Repeat("a", 64), fix: "ghcr.io/o/n;"},
		{in: "ghcr.io/o//n", fix: "lower-case"},
		{in: "ghcr.io/o/-n", fix: "lower-case"},
		{in: "ghcr.io/o/n ", fix: "lower-case"},
		{in: "https://ghcr.io/o/n", fix: "ghcr.io/OWNER/NAME"},
		{in: "ghcr.io/o/" + strings.Repeat("n", 300), fix: "lower-case"},
	} {
		repo, err := ParseRepository(c.in)
		if c.fix == "" {
			if err != nil || repo.Name() != c.out {
				t.Errorf("%q: %v, %v", c.in, repo, err)
			}
			continue
		}
		var f *pipeline.Finding
		if !errors.As(err, &f) || f.Code != "image-name" || f.End != pipeline.Usage || !strings.Contains(f.Fix, c.fix) {
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
		var f *pipeline.Finding
		if err != nil && (!errors.As(err, &f) || f.Code != "tag-invalid" || f.End != pipeline.Usage) {
			t.Errorf("%q: %v", tag, err)
		}
	}
	if err := CheckTag("feature/x y"); !strings.Contains(err.Error(), "feature-x-y") {
		t.Errorf("no tag is proposed: %v", err)
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"ghcr.io/o/n", "ghcr.io/o/n:v1", "ghcr.io/o/n:v1@sha256:" + strings.Repeat("0", 64), "localhost:5000/a:b", "a@b:c/d", "x/y:z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			var finding *pipeline.Finding
			if !errors.As(err, &finding) {
				t.Fatalf("%q: %v is no finding", s, err)
			}
			return
		}
		again, err := ParseReference(r.String())
		if err != nil || again.String() != r.String() || again.Identifier() != r.Identifier() {
			t.Fatalf("%q became %q, and that %q, %v", s, r, again, err)
		}
	})
}

func TestParseReference(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for in, want := range map[string][2]string{
		"ghcr.io/o/n":                   {"latest", ""},
		"ghcr.io/o/n:v1":                {"v1", ""},
		"localhost:5000/n":              {"latest", ""},
		"localhost:5000/n:v1@" + digest: {"v1", digest},
		"ghcr.io/o/n@" + digest:         {"", digest},
	} {
		r, err := ParseReference(in)
		if err != nil || r.Tag != want[0] || r.Digest != want[1] {
			t.Errorf("%q: %+v, %v", in, r, err)
		}
	}
	for _, in := range []string{"ghcr.io/o/n:", "ghcr.io/o/n@sha256:1", "ghcr.io/o/n:a:b", "o/n"} {
		if r, err := ParseReference(in); err == nil {
			t.Errorf("%q: %+v", in, r)
		}
	}
}
