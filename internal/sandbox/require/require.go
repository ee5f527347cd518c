// Package require checks that a machine has what a test needs beyond Go, and
// says how to install what is missing.
//
// The sandbox's `test` verb installs everything and sets SBW_SANDBOX to its
// directory. A missing part then fails the test, so that CI does not skip
// anything. A plain `go test ./...` on a laptop skips such a test and says
// what it needs.
package require

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// EnvDir names the environment variable that holds the sandbox's directory.
const EnvDir = "SBW_SANDBOX"

const remedy = "run `go run ./internal/sandbox/launcher test`, which installs it (Debian, root)"

// Dir returns the sandbox's directory: bin/ holds the programs that it built,
// npm/ the packages from npm.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(EnvDir)
	if dir == "" {
		t.Skipf("needs the sandbox (%s is not set): %s", EnvDir, remedy)
	}
	return dir
}

// Tool returns the path of a program in the sandbox's bin/ or on PATH.
func Tool(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv(EnvDir); dir != "" {
		p := filepath.Join(dir, "bin", name)
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	p, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv(EnvDir) != "" {
			t.Fatalf("needs %s, which the sandbox should have installed: %v", name, err)
		}
		t.Skipf("needs %s: %s", name, remedy)
	}
	return p
}
