//go:build linux

// Package cluster runs a Kubernetes cluster of one node on this machine: etcd,
// the control plane, containerd, a kubelet, kube-proxy and DNS, as ordinary
// detached processes below one directory. Up starts it, Down removes every trace
// of it, Kubectl and Ctr talk to it.
// The node is an arm64 node, like the ones it represents. Its containerd
// chooses and runs linux/arm64 (under qemu if the machine has another
// architecture), and its label says so. The kubelet would report the
// architecture of its own binary, so an admission policy corrects that in the
// node's status. See config/cluster.yaml.
//
// Addresses are in 198.18.0.0/15, which RFC 2544 reserves for test beds, so they do
// not collide with a network that a developer's machine is on.
//
// The daemons get the flags that Kubernetes' own hack/local-up-cluster.sh
// uses, except for those that a single node does not need.
package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
)

// Addresses on which the cluster listens, and which it assigns.
const (
	NodeName    = "sbw"
	NodeIP      = "198.18.0.1" // an address on lo; a node's address must not be a loopback address
	PodCIDR     = "198.18.64.0/20"
	ServiceCIDR = "198.18.128.0/20"
	DNSDomain   = "cluster.local"
	Arch        = "arm64"

	apiPort     = 26443
	etcdPort    = 26379
	etcdPeer    = 26380
	kubeletPort = 26250
)

// Cluster is the directory of a cluster and what is needed to run it.
type Cluster struct {
	Bin string // the programs; see package tools
	Dir string // sockets, state, configuration; removed by Down
	Set daemon.Set
	CA  *pki.CA
	// Env is the environment in which containerd reaches registries: its proxy and
	// its CA bundle.
	Env []string
	// ProxyMode is kube-proxy's --proxy-mode: iptables, or nftables, which needs
	// the program nft.
	ProxyMode string
	Say       func(format string, args ...any)
}

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.Dir, "kubeconfig") }

func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}

// Up starts what is not running and waits until the node is ready.
func (c *Cluster) Up(ctx context.Context) error {
	if err := c.host().prepare(ctx); err != nil {
		return fmt.Errorf("prepare the machine: %w", err)
	}
	if err := c.writeConfig(); err != nil {
		return fmt.Errorf("write the cluster's configuration: %w", err)
	}
	if err := c.start(ctx, c.etcd(), httpOK(fmt.Sprintf("http://127.0.0.1:%d/health", etcdPort))); err != nil {
		return err
	}
	// containerd and the API server start at the same time.
	if _, err := c.Set.Start(ctx, c.containerd()); err != nil {
		return err
	}
	if err := c.start(ctx, c.apiserver(), c.apiReady); err != nil {
		return err
	}
	for _, s := range []daemon.Spec{c.controllers(), c.scheduler(), c.proxy()} {
		if _, err := c.Set.Start(ctx, s); err != nil {
			return err
		}
	}
	if err := c.apply(ctx, "cluster.yaml"); err != nil {
		return err
	}
	if err := c.start(ctx, c.containerd(), c.containerdReady); err != nil {
		return err
	}
	if err := c.importPause(ctx); err != nil {
		return err
	}
	if err := c.start(ctx, c.dns(), httpOK(dnsHealth)); err != nil {
		return err
	}
	if err := c.start(ctx, c.kubelet(), httpOK(kubeletHealth)); err != nil {
		return err
	}
	return c.start(ctx, c.kubelet(), c.nodeReady)
}

// RestartAPIServer stops the API server and starts it again. Pods keep running, and
// every watch ends.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	if err := c.Set.Stop(ctx, "kube-apiserver", 10*time.Second); err != nil {
		return err
	}
	return c.start(ctx, c.apiserver(), c.apiReady)
}

// start starts a daemon unless it is running, and waits until ready succeeds. If
// the daemon dies before that, the error contains the end of its log.
func (c *Cluster) start(ctx context.Context, s daemon.Spec, ready func(context.Context) error) error {
	started, err := c.Set.Start(ctx, s)
	if err != nil {
		return err
	}
	begin := time.Now()
	const patience = 2 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.Set.Await(ctx, s.Name, ready); err != nil {
		return err
	}
	if started {
		c.Say("%s is up (%.1f s)", s.Name, time.Since(begin).Seconds())
	}
	return nil
}

// Kubectl runs kubectl as the administrator and returns its stdout.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, "kubectl"), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "KUBECACHEDIR="+c.path("kubectl-cache"))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}

func (c *Cluster) apply(ctx context.Context, name string) error {
	b, err := config.ReadFile("config/" + name)
	if err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, string(b), "apply", "-f", "-")
	return err
}

func (c *Cluster) apiReady(ctx context.Context) error {
	_, err := c.Kubectl(ctx, "", "get", "--raw", "/readyz", "--request-timeout=5s")
	return err
}

func (c *Cluster) nodeReady(ctx context.Context) error {
	_, err := c.Kubectl(ctx, "", "wait", "--for=condition=Ready", "node/"+NodeName, "--timeout=5s")
	return err
}

func (c *Cluster) containerdReady(ctx context.Context) error {
	out, err := c.Ctr(ctx, "version")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Ctr runs ctr against the node's containerd, in the kubelet's namespace.
func (c *Cluster) Ctr(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(
		ctx,
		filepath.Join(c.Bin, "ctr"),
		append([]string{"--address", c.socket(), "--namespace", "k8s.io"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Import loads an image archive (OCI or docker-save tar) into the node.
func (c *Cluster) Import(ctx context.Context, tar string) error {
	_, err := c.Ctr(ctx, "image", "import", tar)
	return err
}

// HasImage reports whether the node has an image under this name.
func (c *Cluster) HasImage(ctx context.Context, ref string) (bool, error) {
	out, err := c.Ctr(ctx, "image", "list", "--quiet")
	if err != nil {
		return false, err
	}
	return slices.Contains(strings.Fields(out), ref), nil
}
