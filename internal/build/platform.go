package build

import (
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// checkPlatforms compares what a builder says it can run with what is asked
// for. A builder that says nothing is believed to be able.
func checkPlatforms(who string, can []string, req Request) []*pipeline.Finding {
	if len(can) == 0 {
		return nil
	}
	var all []*pipeline.Finding
	for _, p := range req.Platforms {
		if slices.ContainsFunc(can, func(c string) bool { return c == p || baseline(c) == baseline(p) }) {
			continue
		}
		_, arch, _ := strings.Cut(p, "/")
		arch, _, _ = strings.Cut(arch, "/")
		all = append(all, &pipeline.Finding{Code: "builder-platform", Severity: pipeline.Error,
			What: who + " cannot run steps for " + p, Why: "it runs " + strings.Join(can, ", "),
			Fix: "install emulation where it runs: docker run --privileged --rm tonistiigi/binfmt --install " + arch + " (Debian: apt install qemu-user-static binfmt-support)"})
	}
	return all
}

// baseline leaves away the variant that is meant when none is written
// (containerd/platforms normalize.go).
func baseline(p string) string {
	for full, short := range map[string]string{"linux/arm64/v8": "linux/arm64", "linux/arm/v7": "linux/arm", "linux/amd64/v1": "linux/amd64"} {
		if p == full {
			return short
		}
	}
	return p
}
