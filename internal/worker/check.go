package worker

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// Kinds are the workloads that a rollout can be of.
var kinds = []string{"Deployment", "StatefulSet", "DaemonSet"}

var (
	// RFC 1123 subdomain, as the API server wants an object's name.
	objectName = lazyregexp.New(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// check tells what cannot be meant, each at the line of the worker.
func (r *reader) check(n *yaml.Node, name string, w *Worker) {
	at := "workers." + name + "."
	if !slices.Contains(kinds, w.Deploy.Kind) {
		r.fail(n, "write one of "+strings.Join(kinds, ", "), "%sdeploy.kind %q is no workload that can be rolled out", at, w.Deploy.Kind)
	}
	if !slices.Contains(compressions, w.Build.Compression) {
		r.fail(n, "write one of "+strings.Join(compressions, ", "), "%sbuild.compression %q is not a compression that registries and runtimes take", at, w.Build.Compression)
	}
	for _, f := range []struct{ key, val string }{
		{"deploy.namespace", w.Deploy.Namespace}, {"deploy.deployment", w.Deploy.Deployment}, {"deploy.container", w.Deploy.Container},
	} {
		if !objectName.MatchString(f.val) {
			r.fail(n, "use lower case letters, digits and '-'", "%s%s %q is no Kubernetes name", at, f.key, f.val)
		}
	}
	for _, f := range []struct {
		key string
		val int
	}{{"probe.port", w.Probe.Port}, {"inngest.port", w.Inngest.Port}} {
		if f.val < 1 || f.val > 65535 {
			r.fail(n, "write a port between 1 and 65535", "%s%s %d is no port", at, f.key, f.val)
		}
	}
	if w.Deploy.Restarts < 0 {
		r.fail(n, "write how many restarts are allowed, 0 for none", "%sdeploy.restarts is %d", at, w.Deploy.Restarts)
	}
	for fn, reason := range w.Allow.ZeroRetries {
		if strings.TrimSpace(reason) == "" {
			r.fail(n, "write why losing a run of it is acceptable", "%sallow.zeroRetries.%s has no reason", at, fn)
		}
	}
}
