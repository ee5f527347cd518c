// Package dockerd runs a Docker engine for one test.
package dockerd

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// Debian is the directory of the programs of Debian's docker.io. They are
// version 20.10, the oldest that this project supports, and must find their
// own containerd and not the sandbox's.
const Debian = "/usr/bin"

// Start runs Debian's engine until t ends. It returns the engine's address, for
// DOCKER_HOST, and the docker program of the same version.
//
// The engine has its own network namespace, so it can create its bridge
// without touching the machine's interfaces and packet filter, and leaves
// nothing behind. It cannot pull images.
func Start(t testing.TB) (host, client string) {
	t.Helper()
	client = filepath.Join(Debian, "docker")
	if _, err := os.Stat(client); err != nil {
		client = require.Tool(t, "docker")
	}
	return start(t, require.Tool(t, "dockerd"), Debian), client
}

// StartCurrent is Start with an engine and a client of version 29, compiled from
// its Go modules; images says where the engine keeps them.
func StartCurrent(t testing.TB, images Store) (host, client string) {
	t.Helper()
	require.Tool(t, "containerd")
	bin := filepath.Join(require.Dir(t), "bin")
	enabled := strconv.FormatBool(images == Containerd)
	host = start(t, require.Tool(t, filepath.Join("moby", "dockerd")), bin, "--feature", "containerd-snapshotter="+enabled)
	return host, require.Tool(t, filepath.Join("moby", "docker"))
}

// Store is where a current engine keeps images.
type Store int

// The stores: containerd's is the default of a new installation of version 29,
// the graph driver's that of one which has been updated.
const (
	Containerd Store = iota
	GraphDriver
)

// start runs a daemon that looks for its helpers in bin first.
func start(t testing.TB, daemon, bin string, more ...string) (host string) {
	t.Helper()
	require.Root(t)
	// A socket's path may not be longer than 108 bytes.
	dir, err := os.MkdirTemp("", "dd")
	if err != nil {
		t.Fatal(err)
	}
	log := &serving{line: []byte("API listen on"), seen: make(chan struct{})}
	host = "unix://" + filepath.Join(dir, "s")
	argv := []string{
		"--net", daemon, "--iptables=false", "--ip6tables=false", "--host", host,
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
	}
	cmd := exec.Command("unshare", append(argv, more...)...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		end := <-ended
		if t.Failed() {
			t.Logf("dockerd ended: %v\n%s", end, log)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-log.seen:
	case err := <-ended:
		ended <- err
		t.Fatalf("dockerd ended: %v\n%s", err, log)
	case <-t.Context().Done():
		t.Fatal("dockerd did not start serving")
	}
	return host
}

// serving is a writer for a daemon's log that notices when the daemon is
// ready.
type serving struct {
	line []byte
	seen chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	done bool
}

func (s *serving) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if !s.done && bytes.Contains(s.text.Bytes(), s.line) {
		s.done = true
		close(s.seen)
	}
	return len(p), nil
}

// String returns the log without the gRPC library's lines about its
// connections.
func (s *serving) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for line := range strings.Lines(s.text.String()) {
		if !strings.Contains(line, "module=grpc") {
			b.WriteString(line)
		}
	}
	return b.String()
}
