//go:build linux

package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"

	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
	"github.com/joelhooks/gh-sbw/internal/sandbox/egressproxy"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
	"github.com/joelhooks/gh-sbw/internal/sandbox/worker"
)

// RegistryAddr is the address of the registry itself, without its front. It
// serves plain HTTP and needs no credentials.
const RegistryAddr = "127.0.0.1:26500"

const outsideAddr = "127.0.0.1:26503"

// registry runs Debian's docker-registry. Only its front talks to it.
func (s *Sandbox) registry() (daemon.Spec, error) {
	config := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http:
  addr: %s
  # Uploads continue at the name and scheme that the client used.
  relativeurls: true
`, s.path("run", "registry"), RegistryAddr)
	file := s.path("run", "registry.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return daemon.Spec{}, err
	}
	path, err := exec.LookPath("docker-registry")
	if err != nil {
		return daemon.Spec{}, err
	}
	return daemon.Spec{Name: "registry", Path: path, Args: []string{"serve", file}}, nil
}

// outside runs this program a second time, as the daemon that replaces the
// internet.
func (s *Sandbox) outside() (daemon.Spec, error) {
	self := s.self()
	version, err := digest(self)
	if err != nil {
		return daemon.Spec{}, err
	}
	return daemon.Spec{Name: "outside", Path: self, Args: []string{"serve-outside"},
		Env: append(os.Environ(), "SBW_SANDBOX="+s.Dir), Version: version}, nil
}

// ServeOutside runs the daemon "outside" until ctx ends.
func (s *Sandbox) ServeOutside(ctx context.Context) error {
	accounts, err := s.Accounts()
	if err != nil {
		return err
	}
	ca, err := s.ca()
	if err != nil {
		return err
	}
	parent, err := parentProxy()
	if err != nil {
		return err
	}
	repository, _, _ := bytes.Cut([]byte(worker.BaseName), []byte(":"))
	front := ghcr.New(ghcr.Options{
		Upstream: ghcr.Proxy(&url.URL{Scheme: "http", Host: RegistryAddr}),
		Accounts: accounts.registry(),
		Public:   []string{string(repository)},
	})
	proxy := egressproxy.New(egressproxy.Options{
		CA: ca, Parent: parent, Log: log.Default(),
		Hosts: map[string]http.Handler{
			"ghcr.io":              front,
			"registry-1.docker.io": front, // where builders look for base images
			"api.github.com":       githubapi.New(accounts.github()),
		},
	})
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", outsideAddr)
	if err != nil {
		return err
	}
	return proxy.Serve(ctx, l)
}

func (s *Sandbox) builderAddr() string { return "unix://" + s.path("run", "buildkitd.sock") }

// builder runs BuildKit. Its cache outlives the sandbox.
func (s *Sandbox) builder() daemon.Spec {
	return daemon.Spec{
		Name: "buildkitd", Path: s.path("bin", "buildkitd"),
		Args: []string{
			"--addr", s.builderAddr(), "--root", s.path("buildkit"),
			"--oci-worker=true", "--containerd-worker=false",
			// Steps share the machine's network, so there are no interfaces to
			// remove.
			"--oci-worker-net=host", "--oci-worker-snapshotter=overlayfs",
			"--config", s.path("run", "buildkitd.toml"),
		},
		Env: append(os.Environ(), s.outsideEnv()...),
	}
}

// digest returns the digest of a file's content.
func digest(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
