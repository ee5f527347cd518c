//go:build linux

// Package containerd runs a containerd for one test, with nothing in it and without
// Kubernetes' part of it.
package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// Daemon is a running containerd.
type Daemon struct {
	Dir string // holds all of its files, and is removed with it
	// Stop ends it before its test ends. It may be called more than once.
	Stop func()

	ctr string
}

const config = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
address = %q
`

// Start runs a daemon until t ends.
func Start(t testing.TB) *Daemon {
	t.Helper()
	daemon := require.Tool(t, "containerd")
	require.Root(t)
	dir, err := os.MkdirTemp("", "cd") // a socket's path may not be longer than 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{Dir: dir, ctr: require.Tool(t, "ctr")}
	file := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf(config, filepath.Join(dir, "root"), filepath.Join(dir, "state"), d.socket())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(daemon, "--config", file)
	// The shims are beside the daemon.
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(daemon)+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.Stop = sync.OnceFunc(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it was ended by the signal
		if t.Failed() {
			t.Logf("containerd:\n%s", log.String()[max(0, log.Len()-8000):])
		}
		if err := errors.Join(unmountBelow(dir), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(d.Stop)
	for range 600 {
		if d.Ctr("version").Run() == nil {
			return d
		}
		if waiting.For(t.Context(), 100*time.Millisecond) != nil {
			break
		}
	}
	t.Fatalf("containerd does not answer:\n%s", log.String())
	return nil
}

func (d *Daemon) socket() string { return filepath.Join(d.Dir, "s") }

// Ctr returns a command of the daemon's own client.
func (d *Daemon) Ctr(args ...string) *exec.Cmd {
	return exec.Command(d.ctr, append([]string{"--address", d.socket()}, args...)...)
}

// unmountBelow unmounts what containerd leaves mounted, because its mount manager keeps
// mounts for an hour.
func unmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	for _, line := range slices.Backward(strings.Split(string(text), "\n")) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			errs = append(errs, unix.Unmount(f[1], unix.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}
