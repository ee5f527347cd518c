//go:build linux

package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
)

const (
	schedulerPort   = 26259
	controllersPort = 26257
)

func (c *Cluster) etcd() daemon.Spec {
	client := fmt.Sprintf("http://127.0.0.1:%d", etcdPort)
	peer := fmt.Sprintf("http://127.0.0.1:%d", etcdPeer)
	return daemon.Spec{
		Name: "etcd", Path: c.program("etcd"),
		Args: []string{
			"--data-dir", c.path("etcd"),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", "default=" + peer,
		},
	}
}

// kube returns a daemon of the multi-call binary.
func (c *Cluster) kube(name string, args ...string) daemon.Spec {
	return daemon.Spec{Name: name, Path: filepath.Join(c.Bin, name), Args: args}
}

func (c *Cluster) apiserver() daemon.Spec {
	return c.kube("kube-apiserver",
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", apiPort),
		"--advertise-address="+NodeIP,
		"--cert-dir="+c.path("apiserver"),
		"--tls-cert-file="+c.path("pki", "apiserver.crt"), "--tls-private-key-file="+c.path("pki", "apiserver.key"),
		"--service-cluster-ip-range="+ServiceCIDR,
		"--service-account-key-file="+c.path("pki", "accounts.key"),
		"--service-account-signing-key-file="+c.path("pki", "accounts.key"),
		"--service-account-issuer=https://kubernetes.default.svc."+DNSDomain,
		"--token-auth-file="+c.path("tokens.csv"),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged",
		// There is one API server and no pod calls it, so it needs no endpoints.
		"--endpoint-reconciler-type=none",
		"--kubelet-preferred-address-types=InternalIP",
		// The user's manifest has node port 8288.
		"--service-node-port-range=8000-32767",
		// Needed by cluster.yaml, and on by default from 1.36 on.
		"--feature-gates=MutatingAdmissionPolicy=true",
		"--runtime-config=admissionregistration.k8s.io/v1beta1=true",
		"--profiling=false",
	)
}

func (c *Cluster) controllers() daemon.Spec {
	return c.kube("kube-controller-manager",
		"--kubeconfig="+c.path("kube-controller-manager.kubeconfig"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", controllersPort), "--cert-dir="+c.path("controllers"),
		"--service-account-private-key-file="+c.path("pki", "accounts.key"),
		"--root-ca-file="+c.CA.File(),
		"--use-service-account-credentials",
		"--allocate-node-cidrs", "--cluster-cidr="+PodCIDR, "--node-cidr-mask-size=24", "--service-cluster-ip-range="+ServiceCIDR,
		"--leader-elect=false", "--profiling=false",
	)
}

func (c *Cluster) scheduler() daemon.Spec {
	return c.kube("kube-scheduler",
		"--kubeconfig="+c.path("kube-scheduler.kubeconfig"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", schedulerPort), "--cert-dir="+c.path("scheduler"),
		"--leader-elect=false", "--profiling=false",
	)
}

// httpOK returns a check that succeeds when a GET of url answers with 200.
func httpOK(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
			return fmt.Errorf("GET %s: %s: %s", url, resp.Status, b)
		}
		return nil
	}
}
