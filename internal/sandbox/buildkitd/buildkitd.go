// Package buildkitd runs a BuildKit daemon for one test.
package buildkitd

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// Start runs a daemon until t ends. It returns the daemon's address, which
// belongs in BUILDKIT_HOST, and the directory that holds all of its files.
func Start(t testing.TB) (host, dir string) {
	t.Helper()
	daemon, client := require.Tool(t, "buildkitd"), require.Tool(t, "buildctl")
	require.Tool(t, "runc")
	require.Root(t)
	// A socket's path may not be longer than 108 bytes.
	dir, err := os.MkdirTemp("", "bk")
	if err != nil {
		t.Fatal(err)
	}
	// BuildKit's own image also keeps the emulators in the daemon's directory.
	if err := os.Symlink(require.Tool(t, "qemu-aarch64-static"), filepath.Join(dir, "buildkit-qemu-aarch64")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	host = "unix://" + filepath.Join(dir, "s")
	cmd := exec.Command(daemon, "--addr", host, "--root", filepath.Join(dir, "root"), "--oci-worker-net", "host")
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":"+dir)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was ended by the signal
		if t.Failed() {
			t.Logf("buildkitd:\n%s", log.String())
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, client, "--addr", host, "--wait", "--timeout", "60", "debug", "workers").CombinedOutput()
	if err != nil {
		t.Fatalf("buildkitd did not answer: %v\n%s", err, out)
	}
	return host, dir
}
