package whole

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/leak"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// halves lets a script assemble the token without containing it.
const halves = "a=ghp_; b=0123456789abcdefghijklmnopqrstuvwxyz; "

// reported is a testing.TB that records errors.
type reported struct {
	testing.TB
	errors []string
}

func (r *reported) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }

// TestTokenStaysInMemory traces a publish from gh to the last of its children, once for
// each source of a token: neither the token nor a bearer token is in an argument, in the
// environment of a child, in a file or in the output. The files are the home directory
// with state, cache and temporary directories, the checkout, and everything that the
// builder keeps.
func TestTokenStaysInMemory(t *testing.T) {
	w := newWorld(t)
	gh := require.Tool(t, "gh")
	w.buildxBuilder(t)
	stored := filepath.Join(w.home, "config", "gh", "hosts.yml")
	secrets := filepath.Join(w.home, "bin", "secrets")
	write(t, secrets, "#!/bin/sh\n"+halves+"echo $a$b\n", 0o755)
	// A hook's environment is the same as any child's.
	const hook = `hooks: {publish: [sh, -c, "env > $HOME/hooked; cat >> $HOME/hooked"]}`
	for _, c := range []struct {
		name   string
		config []string
		hosts  string // gh's file with stored logins
		env    []string
		args   []string
		fault  ghcr.Fault
		fails  bool
		leaks  []string // leaks that must be found
	}{
		{name: "GHCR_TOKEN", config: []string{hook}, args: []string{"--builder", "buildkit", "--verbose"},
			env: []string{"GHCR_TOKEN=" + token, "GHCR_USER=" + login, "MY_COPY=" + token}},
		{name: "command", config: []string{hook, "credentials: {command: [" + secrets + "]}"}, args: []string{"--builder", "buildx", "--events"}},
		{name: "stored login", config: []string{hook}, args: []string{"--builder", "buildkit", "-o", "json"}, env: []string{"GH_DEBUG=api"},
			hosts: "github.com:\n    user: " + login + "\n    oauth_token: " + token + "\n"},
		{name: "refusal that repeats the token", config: []string{hook}, args: []string{"--builder", "buildkit"}, env: []string{"GH_TOKEN=" + token}, fails: true,
			fault: ghcr.Fault{On: ghcr.ManifestPut, Times: -1, Do: ghcr.Answer(400, "X", "you sent "+token)}},
		// This proves that a leak through a child of the plugin is found.
		{name: "needle", args: []string{"--builder", "buildkit"}, env: []string{"GHCR_TOKEN=" + token, "GHCR_USER=" + login},
			config: []string{`hooks: {publish: [sh, -c, "` + halves + `/bin/true $a$b; printf $a > $HOME/leaked; printf $b >> $HOME/leaked; JOINED=$a$b /bin/echo"]}`},
			leaks:  []string{"started with a secret: /bin/true", "started with a secret: /bin/echo", "in the file " + w.home + "/leaked"}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			w.checkout(t, "LABEL run=\""+c.name+"\"\n", c.config...)
			w.front.Disarm()
			w.front.Forget()
			w.front.Inject(c.fault)
			if c.hosts != "" {
				write(t, stored, c.hosts, 0o600)
				defer os.Remove(stored)
			}
			r := &reported{TB: t}
			tag := strings.ReplaceAll(c.name, " ", "-")
			out, err := leak.Run(r, w.command(gh, c.env, append([]string{"sbw", "publish", tag}, c.args...)...), leak.Options{
				Secrets: []string{token}, User: login, InOwnEnv: true, Extension: w.plugin(), Except: []string{stored},
				Dirs: []string{w.home, w.repo, w.builderDir}, More: w.front.Bearers,
			})
			if (err != nil) != c.fails {
				t.Fatalf("%v: %s", err, out)
			}
			if bearers := w.front.Bearers(); len(bearers) == 0 {
				t.Error("the push did not reach the registry")
			}
			if !c.fails && w.digestOf(t, tag) == "" {
				t.Errorf("nothing was published: %s", out)
			}
			if _, err := os.Stat(filepath.Join(w.home, "hooked")); len(c.leaks) == 0 && !c.fails && err != nil {
				t.Error(err)
			}
			for _, want := range c.leaks {
				if !slices.ContainsFunc(r.errors, func(e string) bool { return strings.Contains(e, want) }) {
					t.Errorf("%q was not found in %q", want, r.errors)
				}
			}
			if len(c.leaks) == 0 {
				for _, e := range r.errors {
					t.Error(e)
				}
			}
		})
	}
}

// buildxBuilder makes a buildx builder that uses the world's BuildKit.
func (w *world) buildxBuilder(t *testing.T) {
	t.Helper()
	create := exec.Command(require.Tool(t, "buildx"), "create", "--name", "remote", "--driver", "remote", "--use", w.buildkit)
	create.Env = w.env
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
