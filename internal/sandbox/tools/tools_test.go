package tools

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func silent(string, ...any) {}

func TestTheErrorContainsTheEndOfTheOutput(t *testing.T) {
	cmd := exec.Command("sh", "-c", "for i in $(seq 1 100); do echo line $i; done; echo the reason >&2; exit 3")
	err := runReporting(cmd, silent, "it", func(string) string { return "" })
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("%v", err)
	}
	if msg := err.Error(); !strings.Contains(msg, "the reason") || !strings.Contains(msg, "line 100") || strings.Contains(msg, "line 10\n") {
		t.Errorf("%v", err)
	}
	if err := runReporting(exec.Command("true"), silent, "it", func(string) string { return "" }); err != nil {
		t.Errorf("%v", err)
	}
}

// TestBuildOnlyWhatChanged builds a module with one file, and again after each
// change that matters.
func TestBuildOnlyWhatChanged(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "internal", "sandbox", "mod")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/mod\n\ngo 1.26\n")
	write("main.go", "package main\n\nfunc main() {}\n")
	one := build{name: "mod", module: "mod", packages: []string{"."}, links: []string{"alias"}}
	said := 0
	b := Builder{Root: root, Cache: t.TempDir(), Say: func(string, ...any) { said++ }}
	built := func() bool {
		t.Helper()
		said = 0
		if err := b.build(context.Background(), one); err != nil {
			t.Fatal(err)
		}
		return said > 0
	}
	bin := filepath.Join(b.Cache, "bin")
	for _, step := range []struct {
		name   string
		change func()
		want   bool
	}{
		{"first", func() {}, true},
		{"nothing changed", func() {}, false},
		{"source changed", func() { write("main.go", "package main\n\nfunc main() { println() }\n") }, true},
		{"program gone", func() { os.Remove(filepath.Join(bin, "mod")) }, true},
		{"link gone", func() { os.Remove(filepath.Join(bin, "alias")) }, true},
		{"other flags", func() { one.flags = []string{"-ldflags=-s"} }, true},
		{"nothing changed again", func() {}, false},
	} {
		step.change()
		if got := built(); got != step.want {
			t.Errorf("%s: built %v", step.name, got)
		}
	}
	if out, err := exec.Command(filepath.Join(bin, "alias")).CombinedOutput(); err != nil {
		t.Errorf("the link does not run: %v %s", err, out)
	}
}
