//go:build linux

// Package sandbox is a whole delivery on one machine: a Kubernetes cluster of
// one arm64 node, a registry behind a front that acts as GHCR, a builder, the
// corner of GitHub that a publish asks, an Inngest server, and a worker to
// ship. All of it is real but the last two servers, GitHub and Inngest, which
// nobody can install.
//
// Everything lives in one directory (Dir): bin, npm, images and src are made
// once and kept; buildkit is the builder's cache; run is the state of what is
// running, and goes with `down`. What runs are detached processes
// (package daemon), so that `up` returns, and any later command finds them.
//
// To add a program: name it in the tools package; to run it: give Up a
// daemon.Spec and Down its name.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/joelhooks/gh-sbw/internal/sandbox/cluster"
	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
	"github.com/joelhooks/gh-sbw/internal/sandbox/need"
	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
	"github.com/joelhooks/gh-sbw/internal/sandbox/tools"
)

// Sandbox is one directory and what runs in it.
type Sandbox struct {
	Dir  string
	Root string // the repository's own directory, whose programs are built
	say  tools.Say
}

// Open finds the directory: $SBW_SANDBOX, else sbw-sandbox in the user's cache
// directory.
func Open(root string, say tools.Say) (*Sandbox, error) {
	dir := os.Getenv(need.EnvDir)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(cache, "sbw-sandbox")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	// A socket's whole path fits into 108 bytes (unix(7)); the longest below
	// Dir is the kubelet's, run/cluster/kubelet/device-plugins/kubelet.sock.
	const most = 50
	if len(dir) > most {
		return nil, fmt.Errorf("%s is too long a path for the sockets below it (%d bytes, %d at most): set %s to a shorter one", dir, len(dir), most, need.EnvDir)
	}
	return &Sandbox{Dir: dir, Root: root, say: say}, nil
}

func (s *Sandbox) path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// Bin is the directory of the programs that were built.
func (s *Sandbox) Bin() string { return s.path("bin") }

func (s *Sandbox) set() daemon.Set { return daemon.Set{Dir: s.path("run", "daemons")} }

func (s *Sandbox) ca() (*pki.CA, error) { return pki.Open(s.path("run", "pki")) }

// Cluster is the sandbox's cluster, running or not.
func (s *Sandbox) Cluster() (*cluster.Cluster, error) {
	ca, err := s.ca()
	if err != nil {
		return nil, err
	}
	return &cluster.Cluster{
		Bin: s.Bin(), Dir: s.path("run", "cluster"), Set: s.set(), CA: ca,
		Env: s.outsideEnv(), Say: s.say,
	}, nil
}

// check says what the machine lacks before anything is begun.
func check() error {
	if os.Geteuid() != 0 {
		return errors.New("the sandbox mounts, makes network namespaces and installs packages: run it as root (sudo -E)")
	}
	for _, p := range []string{"go", "npm", "apt-get"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("the sandbox needs %s on PATH (it takes a Debian machine with Go and npm): %w", p, err)
		}
	}
	return nil
}

// lock lets one command at a time change what runs.
func (s *Sandbox) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	told := false
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, err
		}
		if !told {
			s.say("waiting for another command that works in %s", s.Dir)
			told = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// parentProxy is the proxy that the machine itself uses.
func parentProxy() (*url.URL, error) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		if v := os.Getenv(name); v != "" && !strings.Contains(v, outsideAddr) {
			if !strings.Contains(v, "://") {
				v = "http://" + v
			}
			return url.Parse(v)
		}
	}
	return nil, nil
}
