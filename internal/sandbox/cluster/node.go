//go:build linux

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
)

const (
	kubeletHealthPort = 26248
	proxyHealthPort   = 26256
	proxyMetricsPort  = 26249
	dnsHealthPort     = 26253
)

var (
	kubeletHealth = fmt.Sprintf("http://127.0.0.1:%d/healthz", kubeletHealthPort)
	dnsHealth     = fmt.Sprintf("http://127.0.0.1:%d/health", dnsHealthPort)
)

// socket returns the path of containerd's socket.
func (c *Cluster) socket() string { return c.path("containerd.sock") }

func (c *Cluster) containerd() daemon.Spec {
	return daemon.Spec{
		Name: "containerd", Path: filepath.Join(c.Bin, "containerd"),
		Args: []string{"--config", c.path("containerd.toml")},
		// containerd looks its shim up on PATH. Ours has the same version and must
		// come first.
		Env: append(append(os.Environ(), c.Env...), "PATH="+c.Bin+":"+os.Getenv("PATH")),
	}
}

func (c *Cluster) kubelet() daemon.Spec {
	return c.kube("kubelet",
		"--config="+c.path("kubelet.yaml"),
		"--kubeconfig="+c.path("kubelet.kubeconfig"),
		"--root-dir="+c.path("kubelet"), "--cert-dir="+c.path("kubelet", "pki"),
		"--hostname-override="+NodeName, "--node-ip="+NodeIP,
	)
}

func (c *Cluster) proxy() daemon.Spec {
	return c.kube("kube-proxy",
		"--kubeconfig="+c.path("kube-proxy.kubeconfig"),
		"--hostname-override="+NodeName, "--cluster-cidr="+PodCIDR,
		"--proxy-mode="+c.ProxyMode,
		fmt.Sprintf("--healthz-bind-address=127.0.0.1:%d", proxyHealthPort),
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", proxyMetricsPort),
		// Node ports do not use the machine's own addresses, and the machine's
		// connection tracking is not changed.
		"--nodeport-addresses="+NodeIP+"/32", "--iptables-localhost-nodeports=false",
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
	)
}

func (c *Cluster) dns() daemon.Spec {
	return daemon.Spec{Name: "coredns", Path: filepath.Join(c.Bin, "coredns"), Args: []string{"-conf", c.path("Corefile")}}
}

// program returns the path of a program that Debian installs.
func (c *Cluster) program(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	return name // starting it reports that it is missing
}
