package leak

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"

// reported is a testing.TB that records errors.
type reported struct {
	testing.TB
	errors []string
}

func (r *reported) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }

// TestRun checks that a secret is found in every forbidden place and ignored
// in the allowed ones. The scripts assemble it from two halves, so that it
// does not appear in their own text.
func TestRun(t *testing.T) {
	const halves = "a=ghp_; b=0123456789abcdefghijklmnopqrstuvwxyz; "
	dir := t.TempDir()
	for _, c := range []struct {
		name, script, env string
		want              string // empty: nothing is found
	}{
		{name: "a pipe", script: halves + "echo $a$b | cat | wc -c"},
		{name: "an argument", script: halves + "/bin/echo $a$b | wc -c", want: "started with a secret: /bin/echo"},
		{name: "its own environment", script: "true", env: "TOKEN=" + secret},
		{name: "a child's environment", script: "/bin/true; true", env: "TOKEN=" + secret, want: "started with a secret: /bin/true"},
		{name: "a clean child", script: "unset TOKEN; /bin/true; true", env: "TOKEN=" + secret},
		{name: "a file", script: halves + "echo $a$b > " + dir + "/f", want: "wrote a secret by write to " + dir + "/f"},
		{name: "a file by pieces", script: halves + "printf $a > " + dir + "/f; printf $b >> " + dir + "/f", want: "in the file " + dir + "/f"},
		{name: "an output", script: halves + "echo x$a$b >&2", want: "output"},
		{name: "base64", script: halves + "printf $a$b | base64 -w0", want: "output"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("/bin/sh", "-c", c.script)
			cmd.Env = []string{"PATH=/bin:/usr/bin"}
			if c.env != "" {
				cmd.Env = append(cmd.Env, c.env)
			}
			r := &reported{TB: t}
			if _, err := Run(r, cmd, Options{Secrets: []string{secret}, InOwnEnv: true, Dirs: []string{dir}}); err != nil {
				t.Fatal(err)
			}
			found := strings.Join(r.errors, "\n")
			if c.want == "" && found != "" || !strings.Contains(found, c.want) {
				t.Errorf("reported %q, want %q", found, c.want)
			}
			if err := os.RemoveAll(dir + "/f"); err != nil {
				t.Fatal(err)
			}
		})
	}
}
