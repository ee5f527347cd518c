//go:build linux

// Package sandbox runs everything that shipping a worker needs on one machine: a
// Kubernetes cluster with one arm64 node, a registry behind a front that behaves
// like GHCR, a builder, the part of GitHub's API that publish uses, an Inngest
// server, and a worker to ship. Open finds or creates it; Up, Demo, Test and Down
// do what the launcher's verbs say.
//
// Only the servers of GitHub and Inngest are replaced, because they cannot be
// installed here. Everything else is real.
//
// Everything lives in one directory (Dir): bin, npm, images and src are created
// once and kept; buildkit is the builder's cache; run is the state of what is
// running, and is removed by `down`. The servers are detached processes
// (package daemon), so `up` returns, and later commands find them.
//
// To add a program, name it in the tools package. To run it, give Up a
// daemon.Spec and Down its name.
package sandbox

import (
	"cmp"
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
	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
	"github.com/joelhooks/gh-sbw/internal/sandbox/tools"
)

// Sandbox is a directory and the servers that keep their state in it.
type Sandbox struct {
	Dir  string
	Root string // the repository, whose programs are built
	say  tools.Say
}

// Open returns the sandbox in $SBW_SANDBOX, or else in the directory sbw-sandbox of
// the user's cache directory.
func Open(root string, say tools.Say) (*Sandbox, error) {
	dir := os.Getenv(require.EnvDir)
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
	// A socket's path must fit into 108 bytes (unix(7)). The longest one below
	// Dir is the kubelet's, run/cluster/kubelet/device-plugins/kubelet.sock.
	const most = 50
	if len(dir) > most {
		return nil, fmt.Errorf(
			"the path %s is too long for the sockets below it (%d bytes, %d at most): set %s to a shorter one",
			dir,
			len(dir),
			most,
			require.EnvDir,
		)
	}
	return &Sandbox{Dir: dir, Root: root, say: say}, nil
}

func (s *Sandbox) path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// Bin returns the directory of the programs that the sandbox built.
func (s *Sandbox) Bin() string { return s.path("bin") }

func (s *Sandbox) set() daemon.Set { return daemon.Set{Dir: s.path("run", "daemons")} }

func (s *Sandbox) ca() (*pki.CA, error) { return pki.Open(s.path("run", "pki")) }

// Cluster returns the sandbox's cluster, whether it is running or not.
func (s *Sandbox) Cluster() (*cluster.Cluster, error) {
	ca, err := s.ca()
	if err != nil {
		return nil, err
	}
	return &cluster.Cluster{
		Bin: s.Bin(), Dir: s.path("run", "cluster"), Set: s.set(), CA: ca,
		Env: s.outsideEnv(), ProxyMode: proxyMode(), Say: s.say,
	}, nil
}

// envProxyMode names the environment variable that chooses how the node's
// kube-proxy leads Services to pods. A hand-over depends on it, so the benchmarks
// are run in each mode; the tests use the default.
const envProxyMode = "SBW_SANDBOX_PROXY_MODE"

func proxyMode() string { return cmp.Or(os.Getenv(envProxyMode), "iptables") }

// check reports what the machine lacks, before anything is started.
func check() error {
	if os.Geteuid() != 0 {
		return errors.New("the sandbox mounts file systems, creates network namespaces and installs packages: run it as root (sudo -E)")
	}
	for _, p := range []string{"go", "npm", "apt-get"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("the sandbox needs %s on PATH (it runs on Debian, with Go and npm installed): %w", p, err)
		}
	}
	return nil
}

// lock makes sure that only one command at a time changes what is running.
func (s *Sandbox) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	reported := false
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
		if !reported {
			s.say("waiting for another command that is using %s", s.Dir)
			reported = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// parentProxy returns the proxy that the machine itself uses.
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
