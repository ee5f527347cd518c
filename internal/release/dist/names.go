package dist

import (
	"fmt"
	"strings"
)

// These are the names of the two plugins' executables, as gh and kubectl require
// them.
const (
	GH      = "gh-sbw"
	Kubectl = "kubectl-sbw"
)

// These files exist once in a release.
const (
	ManifestName  = "plugins.yaml"
	ChecksumsName = "checksums.txt"
	LicenseName   = "LICENSE"
)

// Plugins returns the programs that a release contains.
func Plugins() []string { return []string{GH, Kubectl} }

// Target is a platform, with the names that Go, gh and krew share.
type Target struct{ OS, Arch string }

// Targets returns the platforms that a release is made for.
func Targets() []Target {
	return []Target{
		{"darwin", "amd64"}, {"darwin", "arm64"},
		{"linux", "amd64"}, {"linux", "arm64"},
		{"windows", "amd64"}, {"windows", "arm64"},
	}
}

// ParseTarget parses a platform such as "linux/amd64".
func ParseTarget(s string) (Target, error) {
	os, arch, ok := strings.Cut(s, "/")
	if !ok || os == "" || arch == "" || strings.Contains(arch, "/") {
		return Target{}, fmt.Errorf("%q is not a platform: write it as linux/amd64", s)
	}
	return Target{os, arch}, nil
}

func (t Target) String() string { return t.OS + "/" + t.Arch }

// Binary returns the name of a plugin's executable on t.
func (t Target) Binary(plugin string) string {
	if t.OS == "windows" {
		return plugin + ".exe"
	}
	return plugin
}

// AssetName returns the name of a plugin's asset.
//
// gh takes the first asset whose name ends in <os>-<arch>, with .exe on windows
// (cli/cli pkg/cmd/extension/manager.go). So only gh's assets end like this: krew's
// archives contain <os>_<arch> and have another extension.
func AssetName(plugin, version string, t Target) string {
	if plugin == GH {
		return t.Binary(fmt.Sprintf("%s_%s_%s-%s", plugin, version, t.OS, t.Arch))
	}
	suffix := ".tar.gz"
	if t.OS == "windows" {
		suffix = ".zip"
	}
	return fmt.Sprintf("%s_%s_%s_%s%s", plugin, version, t.OS, t.Arch, suffix)
}
