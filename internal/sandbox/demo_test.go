//go:build linux

package sandbox

import (
	"strings"
	"testing"
)

func TestTagOf(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a1", 32)
	tests := map[string]string{
		"ghcr.io/joelhooks/system-bus-worker:20251123-101500" + digest + "\n": "20251123-101500",
		"localhost:5000/a/b:v1.2_x-y" + digest + "\n":                         "v1.2_x-y",
		"ghcr.io/a/b" + digest + "\n":                                         "",
		"ghcr.io/a/b:v1\n":                                                    "",
		"two ghcr.io/a/b:v1" + digest + "\n":                                  "",
		"":                                                                    "",
	}
	for line, want := range tests {
		got, err := tagOf(line)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

// The shell snippet and the process environment are the same, and neither
// brings one of the user's own tokens into the sandbox.
func TestEnvironment(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "the user's own")
	t.Setenv("DOCKER_CONFIG", "/home/me/.docker")
	s := &Sandbox{Dir: t.TempDir(), say: func(string, ...any) {}}
	list, err := s.Environ()
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Join(list, "\n")
	for _, not := range []string{"the user's own", "/home/me/.docker"} {
		if strings.Contains(env, not) {
			t.Errorf("%q is in the environment", not)
		}
	}
	shell, err := s.Shell()
	if err != nil {
		t.Fatal(err)
	}
	vars, err := s.Env()
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range vars {
		if !strings.Contains(env, k+"="+v) || !strings.Contains(shell, "export "+k+"='"+v+"'\n") {
			t.Errorf("%s=%s is missing", k, v)
		}
	}
}
