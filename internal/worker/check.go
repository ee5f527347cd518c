package worker

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// Kinds are the kinds of workloads that can be rolled out.
var kinds = []string{"Deployment", "StatefulSet", "DaemonSet"}

var (
	// RFC 1123 subdomain, which the API server requires for an object's name.
	objectName = lazyregexp.New(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// urlPath matches the path in a request line: no spaces, no line ends, and no
// fragment, which is never sent.
var urlPath = lazyregexp.New(urlPathPattern)

const urlPathPattern = `^/[!"$-~]*$`

// checkChoices checks the values that are one of a list.
func checkChoices(w Worker, fail func(key, fix, format string, args ...any)) {
	for _, f := range []struct {
		key, val, format string
		of               []string
	}{
		{"deploy.kind", w.Deploy.Kind, "%q is not a workload that can be rolled out", kinds},
		{"build.compression", w.Build.Compression, "%q is not a supported compression", compressions},
		{"deploy.strategy", w.Deploy.Strategy, "%q is not a rollout strategy", strategies},
	} {
		if !slices.Contains(f.of, f.val) {
			fail(f.key, "write one of "+strings.Join(f.of, ", "), f.format, f.val)
		}
	}
}

// check reports invalid values, each at its own line, or at the worker's line
// if the value is a default.
func (r *reader) check(worker *yaml.Node, name string, w *Worker) {
	at := "workers." + name + "."
	fail := func(key, fix, format string, args ...any) {
		n := worker
		for k := at + key; ; k = k[:strings.LastIndexByte(k, '.')] {
			if found := r.values[k]; found != nil {
				n = found
				break
			}
			if len(k) <= len(at) {
				break
			}
		}
		r.fail(n, fix, "%s%s "+format, append([]any{at, key}, args...)...)
	}
	checkChoices(*w, fail)
	for _, f := range []struct{ key, val string }{
		{"deploy.namespace", w.Deploy.Namespace}, {"deploy.deployment", w.Deploy.Deployment}, {"deploy.container", w.Deploy.Container},
	} {
		if !objectName.MatchString(f.val) {
			fail(f.key, "use lower case letters, digits and '-'", "%q is not a Kubernetes name", f.val)
		}
	}
	for _, f := range []struct {
		key string
		val int
	}{{"probe.port", w.Probe.Port}, {"inngest.port", w.Inngest.Port}} {
		if f.val < 1 || f.val > 65535 {
			fail(f.key, "write a port between 1 and 65535", "%d is not a valid port", f.val)
		}
	}
	r.checkProbe(at, w.Probe, fail)
	for _, f := range []struct{ key, val string }{{"probe.path", w.Probe.Path}, {"inngest.path", w.Inngest.Path}} {
		if f.key == "probe.path" && !w.Probe.Asks() {
			continue
		}
		if _, err := url.ParseRequestURI(f.val); err != nil || !urlPath.MatchString(f.val) {
			fail(f.key, "write a path that begins with a slash, such as /healthz; spaces are %20", "%q is not the path of a URL", f.val)
		}
	}
	for _, f := range []struct{ key, val string }{
		{"deploy.manifest", w.Deploy.Manifest}, {"build.dockerfile", w.Build.Dockerfile}, {"build.context", w.Build.Context},
	} {
		if strings.TrimSpace(f.val) == "" {
			fail(f.key, "write a path, or remove the line to use the default", "is empty")
		}
	}
	if w.Hooks.ProvenRequired && len(w.Hooks.Proven) == 0 {
		fail("hooks.provenRequired", "name the command in hooks.proven", "has no command to require")
	}
	if w.Deploy.Restarts < 0 {
		fail("deploy.restarts", "write how many restarts are allowed; 0 means none", "is %d", w.Deploy.Restarts)
	}
	checkReasons(w.Allow.ZeroRetries, fail)
}

// checkReasons demands a reason for each function that may run without retries.
func checkReasons(reasons map[string]string, fail func(key, fix, format string, args ...any)) {
	for _, fn := range slices.Sorted(maps.Keys(reasons)) {
		if strings.TrimSpace(reasons[fn]) == "" {
			fail("allow.zeroRetries."+fn, "write why it is acceptable to lose one of its runs", "has no reason")
		}
	}
}

// checkProbe refuses unknown types, and keys that a type does not use.
func (r *reader) checkProbe(at string, p Probe, fail func(key, fix, format string, args ...any)) {
	if !slices.Contains(ProbeTypes, p.Type) {
		fail("probe.type", "write one of "+strings.Join(ProbeTypes, ", "), "%q is not a way to probe a pod", p.Type)
		return
	}
	if p.Asks() {
		return
	}
	for _, key := range []string{"probe.path", "probe.expect"} {
		if n := r.values[at+key]; n != nil && !isNull(n) {
			fail(key, "remove it, or use probe.type http or h2c", "asks for an answer, which a probe of type %s does not read", p.Type)
		}
	}
}
