//go:build linux

package cluster

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/sandbox/sweep"
)

// Down stops whatever is left of the cluster and removes every trace of it: its
// processes and pods, mounts, namespaces, control groups, netfilter rules and
// addresses, and finally its directory. It continues after an error and reports all
// of them.
func (c *Cluster) Down(ctx context.Context) error {
	var errs []error
	did := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	// The kubelet first, because it would restart what is being stopped. Nothing in
	// the cluster outlives its directory, so nothing gets time to finish.
	for _, name := range []string{
		"kubelet", "kube-proxy", "coredns", "kube-scheduler", "kube-controller-manager", "containerd", "kube-apiserver", "etcd",
	} {
		did(c.Set.Stop(ctx, name, 0))
	}
	n, err := sweep.Processes(ctx, c.Dir)
	did(err)
	m, err := sweep.Mounts(c.Dir)
	did(err)
	if n+m > 0 {
		c.Say("ended %d processes of pods, unmounted %d file systems", n, m)
	}
	did(sweep.Cgroups("kubepods"))
	did(sweep.Cgroups("k8s.io"))
	if exists(c.path("before.json")) {
		// Only a machine on which this cluster ran has these chains.
		did(sweep.Chains(ctx, "KUBE-", "CNI-"))
		did(sweep.Tables(ctx, "kube-proxy"))
		did(c.forgetCNI())
		did(c.forgetLogs())
		did(sweep.Sockets("/run/containerd/s"))
	}
	did(c.host().restore(ctx))
	if len(errs) == 0 {
		did(os.RemoveAll(c.Dir))
	}
	return errors.Join(errs...)
}

// forgetCNI removes what libcni remembers about the attachments of our pods. It
// keeps them in one fixed place, and they name network namespaces below our
// directory.
func (c *Cluster) forgetCNI() error {
	files, err := filepath.Glob("/var/lib/cni/results/*")
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || err == nil && !bytes.Contains(b, []byte(c.Dir+"/")) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// forgetLogs removes the links to the logs of our pods, which the kubelet keeps in
// one fixed place.
func (c *Cluster) forgetLogs() error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	for _, l := range links {
		to, err := os.Readlink(l)
		if err != nil || !strings.HasPrefix(to, c.Dir+"/") {
			continue // it is somebody else's, or has just been removed
		}
		if err := os.Remove(l); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
