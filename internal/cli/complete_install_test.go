package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstallCompleter(t *testing.T) {
	dir := t.TempDir()
	plugin := filepath.Join(dir, completedPlugin)
	found := func(string) (string, error) { return plugin, nil }
	want := filepath.Join(dir, completerProgram)
	for range 2 { // the second replaces the first
		path, err := installCompleter("linux", found)
		if err != nil || path != want {
			t.Fatalf("%s, %v", path, err)
		}
		if target, err := os.Readlink(path); err != nil || target != completedPlugin {
			t.Errorf("it points to %q (%v): it should follow the plugin's own path", target, err)
		}
		path, err = installCompleter("windows", found)
		if err != nil || path != want+".cmd" {
			t.Fatalf("%s, %v", path, err)
		}
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "@kubectl sbw __complete %*\r\n") {
			t.Errorf("%q, %v", text, err)
		}
	}
}

func TestInstallCompleterRefuses(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, completerProgram)
	if err := os.WriteFile(foreign, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		look       func(string) (string, error)
	}{
		{"another's file", "was not made by this plugin", func(string) (string, error) { return filepath.Join(dir, completedPlugin), nil }},
		{"no plugin on PATH", "is not on PATH", func(string) (string, error) { return "", exec.ErrNotFound }},
		{"no such directory", "cannot be written: no such file", func(string) (string, error) { return filepath.Join(dir, "gone", completedPlugin), nil }},
	} {
		if _, err := installCompleter("linux", c.look); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if text, err := os.ReadFile(foreign); err != nil || string(text) != "#!/bin/sh\n" {
		t.Errorf("somebody else's file has become %q (%v)", text, err)
	}
}
