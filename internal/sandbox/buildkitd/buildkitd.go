// Package buildkitd runs a BuildKit of a test's own.
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

// Start runs a daemon until t ends. It returns the daemon's address, for
// BUILDKIT_HOST, and the directory that all of its files are in.
func Start(t testing.TB) (host, dir string) {
	t.Helper()
	daemon, client := require.Tool(t, "buildkitd"), require.Tool(t, "buildctl")
	require.Tool(t, "runc")
	require.Root(t)
	// The socket's path must be short: 108 bytes at most.
	dir, err := os.MkdirTemp("", "bk")
	if err != nil {
		t.Fatal(err)
	}
	// As in BuildKit's own image, where emulators lie beside the daemon.
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
		_ = cmd.Wait() // ended by a signal
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
		t.Fatalf("buildkitd does not answer: %v\n%s", err, out)
	}
	return host, dir
}
