package checkout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/imageref"
)

// TestAStampIsNotAChange checks that a tree is not dirty just because a rollout
// has written the image into the manifest.
func TestAStampIsNotAChange(t *testing.T) {
	own := func(r imageref.Repository) bool { return r.String() == "ghcr.io/o/w" }
	r := newRepo(t)
	r.write("k8s/w.yaml", stampedManifest)
	r.write("other.txt", "a\n")
	r.commit()
	inspect := func() State {
		s, err := Inspect(t.Context(), Options{Dir: filepath.Join(r.dir, "k8s"), Env: r.env, Own: own})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	r.write("k8s/w.yaml", strings.ReplaceAll(stampedManifest, "v1@sha256:1", "v2@sha256:2"))
	if s := inspect(); s.Dirty || s.Changed != 0 || len(s.Findings()) > 0 {
		t.Errorf("%+v", s)
	}
	r.git("add", "-A")
	if s := inspect(); s.Dirty {
		t.Errorf("staged: %+v", s)
	}
	r.write("other.txt", "b\n")
	if s := inspect(); !s.Dirty || s.Changed != 2 {
		t.Errorf("with another change: %+v", s)
	}
	r.git("checkout", "--quiet", "HEAD", "other.txt")
	r.write("new.txt", "")
	if s := inspect(); !s.Dirty {
		t.Errorf("with a new file: %+v", s)
	}
	if err := os.Remove(filepath.Join(r.dir, "new.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(r.dir, "k8s/w.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if s := inspect(); !s.Dirty {
		t.Errorf("with another mode: %+v", s)
	}
}

// fakeSSH puts an ssh on PATH that knows different aliases with -F (the
// configuration in HOME) and without it.
func fakeSSH(t *testing.T, r *repo) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\n" +
		"[ \"$1\" = -G ] || exit 1; shift\n" +
		"alias=none; [ \"$1\" = -F ] && { alias=home; shift 2; }\n" +
		"case $alias:$1 in\n" +
		"*:system-alias) echo hostname github.com;;\n" +
		"home:github.com-work) echo hostname github.com;;\n" +
		"home:gh-eu) echo 'hostname ssh.github.com';;\n" +
		"home:work) echo hostname github.example.com;;\n" +
		"*) echo hostname \"$1\";;\n" +
		"esac\n"
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env, "HOME="+home, "PATH="+os.Getenv("PATH"))
}

func TestRemoteIsWhatItsNameStandsFor(t *testing.T) {
	for _, tc := range []struct{ address, config, ghRepo, want string }{
		{"git@github.com-work:acme/mailer.git", "", "", "https://github.com/acme/mailer"},
		{"system-alias:acme/mailer", "", "", "https://github.com/acme/mailer"},
		{"ssh://git@gh-eu/acme/mailer.git", "", "", "https://github.com/acme/mailer"},
		{"work:acme/mailer", "", "", "https://github.example.com/acme/mailer"},
		{"unknown:acme/mailer", "", "", ""},
		{"git@github.com:acme/mailer.git", "", "", "https://github.com/acme/mailer"},
		{"git@github.example.com:acme/mailer.git", "", "", "https://github.example.com/acme/mailer"},
		{"https://github.com/acme/mailer", "", "", "https://github.com/acme/mailer"},
		{"https://github.com/acme/mailer", "base", "", "https://github.com/acme/mailer"},
		{"https://github.com/me/mailer", "acme/mailer", "", "https://github.com/acme/mailer"},
		{"https://github.com/me/mailer", "acme/mailer", "other/thing", "https://github.com/other/thing"},
		{"", "", "github.example.com/other/thing", "https://github.example.com/other/thing"},
		{"", "", "https://github.com/other/thing.git", "https://github.com/other/thing"},
		{"", "", "", ""},
	} {
		r := newRepo(t)
		fakeSSH(t, r)
		if tc.address != "" {
			r.git("remote", "add", "origin", tc.address)
		}
		if tc.config != "" {
			r.git("config", "remote.origin.gh-resolved", tc.config)
		}
		r.env = append(r.env, "GH_REPO="+tc.ghRepo)
		if got := r.inspect("").Source(); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
	r := newRepo(t)
	r.env = append(r.env, "GH_REPO=nonsense")
	if _, err := Inspect(t.Context(), Options{Dir: r.dir, Env: r.env}); err == nil {
		t.Error("GH_REPO=nonsense is accepted")
	}
}

func TestSetDefaultWinsOverOrigin(t *testing.T) {
	r := newRepo(t)
	r.git("remote", "add", "origin", "https://github.com/me/fork")
	r.git("remote", "add", "upstream", "https://github.com/acme/mailer")
	r.git("config", "remote.upstream.gh-resolved", "base")
	if got := r.inspect("").Source(); got != "https://github.com/acme/mailer" {
		t.Error(got)
	}
}

func TestLost(t *testing.T) {
	r := newRepo(t)
	r.write("a", "1")
	first := r.commit()
	r.write("a", "2")
	second := r.commit()
	r.git("checkout", "--quiet", "-b", "side", first)
	r.write("b", "1")
	side := r.commit()
	o := Options{Dir: r.dir, Env: r.env}
	for _, tc := range []struct {
		name, running, next string
		lost                int
		err                 error
	}{
		{"the same", second, second, 0, nil},
		{"a descendant", first, second, 0, nil},
		{"back", second, first, 1, nil},
		{"beside", second, side, 1, nil},
		{"unknown", strings.Repeat("0", 40), second, 0, ErrUnknownCommit},
		{"not a hash", "--output=x", second, 0, ErrUnknownCommit},
		{"empty", "", second, 0, ErrUnknownCommit},
	} {
		lost, err := Lost(t.Context(), o, tc.running, tc.next)
		if !errors.Is(err, tc.err) || len(lost) != tc.lost {
			t.Errorf("%s: %q, %v", tc.name, lost, err)
		}
	}
	if _, err := Lost(t.Context(), Options{Dir: t.TempDir(), Env: r.env}, first, second); !errors.Is(err, ErrUnknownCommit) {
		t.Errorf("outside of a checkout: %v", err)
	}
}
