package worker

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Kinds are the workloads that a rollout can be of.
var kinds = []string{"Deployment", "StatefulSet", "DaemonSet"}

var (
	// RFC 1123 subdomain, as the API server wants an object's name.
	objectName = lazyregexp.New(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	platform   = lazyregexp.New(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?$`)
)

// check tells what cannot be meant, each at the line of the worker.
func (r *reader) check(n *yaml.Node, name string, w *Worker) {
	at := "workers." + name + "."
	if !slices.Contains(kinds, w.Deploy.Kind) {
		r.fail(n, "write one of "+strings.Join(kinds, ", "), "%sdeploy.kind %q is no workload that can be rolled out", at, w.Deploy.Kind)
	}
	for _, p := range w.Build.Platforms {
		if !platform.MatchString(p) {
			r.fail(n, "write it as linux/arm64", "%sbuild.platforms: %q is no platform", at, p)
		}
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
	for fn, reason := range w.Allow.ZeroRetries {
		if strings.TrimSpace(reason) == "" {
			r.fail(n, "write why losing a run of it is acceptable", "%sallow.zeroRetries.%s has no reason", at, fn)
		}
	}
	if w.Image != "" {
		if err := CheckImage(w.Image); err != nil {
			r.fail(n, "write it as ghcr.io/owner/name", "%simage: %s", at, pipeline.AsFindings("", err)[0].What)
		}
	}
}

// CheckPlatform says whether p is an os/arch[/variant].
func CheckPlatform(p string) error {
	if platform.MatchString(p) {
		return nil
	}
	return pipeline.UsageErrorf("usage", "write it as linux/arm64", "--platform %q is no platform", p)
}

// imagePath is the repository's path of the distribution specification.
var imagePath = lazyregexp.New(`^[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)

// CheckImage says whether ref is an image's repository, without tag or digest:
// HOST/OWNER/NAME. The Finding is of code "image-name".
func CheckImage(ref string) error {
	host, path, ok := strings.Cut(ref, "/")
	switch {
	case !ok || !strings.ContainsAny(host, ".:") && host != "localhost":
		return pipeline.UsageErrorf("image-name", "write it with its registry, as ghcr.io/owner/name", "image %q names no registry", ref)
	case strings.Contains(path, "@"), strings.Contains(path, ":"):
		return pipeline.UsageErrorf("image-name", "leave the tag or digest away; the tag is given by itself", "image %q has a tag or digest", ref)
	case path != strings.ToLower(path):
		return pipeline.UsageErrorf("image-name", "write it in lower case: "+host+"/"+strings.ToLower(path), "image %q has upper case letters, which registries refuse", ref)
	case !imagePath.MatchString(path):
		return pipeline.UsageErrorf("image-name", "write it as ghcr.io/owner/name", "image %q is not a valid repository name", ref)
	}
	return nil
}
