package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// binEnv names the gh-sbw to measure; without it one is built.
const binEnv = "SBW_BENCH_GH_SBW"

var built string // the directory that one is built into

func TestMain(m *testing.M) {
	code, err := func() (_ int, err error) {
		if built, err = os.MkdirTemp("", "bench-"); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(built)) }()
		return m.Run(), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// buildOnce returns the gh-sbw that is measured, stripped as a release is.
var buildOnce = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv(binEnv); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(built, "gh-sbw")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "github.com/joelhooks/gh-sbw/cmd/gh-sbw")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

func ghSbw(b *testing.B) string {
	b.Helper()
	bin, err := buildOnce()
	if err != nil {
		b.Fatal(err)
	}
	return bin
}
