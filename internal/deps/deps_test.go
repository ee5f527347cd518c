// Package deps tests which packages may import and link which others. There are few rules,
// and each comes with its reason.
package deps

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const module = "github.com/joelhooks/gh-sbw/"

var rules = []struct {
	pkg    string
	never  []string // import path prefixes
	reason string
}{
	{"cmd/gh-sbw", []string{"k8s.io/", "sigs.k8s.io/", module + "internal/cluster", module + "internal/kubecmd"},
		"gh-sbw starts in milliseconds and stays small"},
	{"cmd/kubectl-sbw", []string{module + "internal/layer", module + "internal/reuse"}, "a rollout pushes no layers"},
	{"cmd/kubectl-sbw", []string{module + "internal/build", module + "internal/ghcmd", module + "internal/identity", "github.com/cli/go-gh", "github.com/moby/buildkit"},
		"kubectl-sbw ships what is published and builds nothing"},
	{"internal/publish", []string{"github.com/spf13/cobra", "github.com/spf13/pflag", module + "internal/ui", module + "internal/cli"},
		"the use case knows no flags and no terminal"},
	{"internal/rollout", []string{module + "internal/cli", module + "internal/ui", module + "internal/kubecmd", module + "internal/ghcmd"},
		"the use case knows no flags and no terminal"},
	{"cmd/gh-sbw", []string{"github.com/santhosh-tekuri"}, "JSON schemas are validated in tests only"},
	{"cmd/kubectl-sbw", []string{"github.com/santhosh-tekuri"}, "JSON schemas are validated in tests only"},
	{"cmd/gh-sbw", []string{module + "internal/sandbox"}, "the sandbox is for demo and tests"},
	{"cmd/kubectl-sbw", []string{module + "internal/sandbox"}, "the sandbox is for demo and tests"},
}

// layers are imports that only some packages may have.
var layers = []struct {
	imports string
	allowed []string
	reason  string
}{
	{"github.com/spf13/cobra", []string{"internal/ghcmd", "internal/kubecmd", "internal/cli", "internal/readme"}, "only the command layer knows flags"},
	{"github.com/spf13/pflag", []string{"internal/ghcmd", "internal/kubecmd", "internal/cli", "internal/readme"}, "only the command layer knows flags"},
	{"github.com/charmbracelet/", []string{"internal/ui"}, "only ui knows terminals"},
	{"golang.org/x/term", []string{"internal/ui"}, "only ui knows terminals"},
	// YAML is read with go.yaml.in/yaml/v3, because stamping a file and reporting errors
	// with their line need the positions of nodes. Kubernetes reads YAML 1.1, in which more
	// words are not strings, and writes its own style. Its library is used where the result
	// must be the same as kubectl's.
	{"sigs.k8s.io/yaml", []string{"internal/manifest", "internal/cluster/apply", "internal/kubecmd"}, "read YAML with go.yaml.in/yaml/v3"},
	{"gopkg.in/yaml", nil, "read YAML with go.yaml.in/yaml/v3"},
	{"go.yaml.in/yaml/v2", nil, "read YAML with go.yaml.in/yaml/v3"},
	{module + "internal/ui", []string{"internal/ghcmd", "internal/kubecmd", "internal/cli", "internal/ui"}, "domain packages return values and report events"},
}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = require.Sources(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestWhatTheBinariesLink(t *testing.T) {
	for _, rule := range rules {
		for _, dep := range list(t, "-deps", "./"+rule.pkg) {
			for _, never := range rule.never {
				if strings.HasPrefix(dep, never) {
					t.Errorf("%s links %s: %s", rule.pkg, dep, rule.reason)
				}
			}
		}
	}
}

// kubectlPackages are the packages of k8s.io/kubectl that the product may link,
// and the reasons against others: pkg/cmd/... consists of commands that print by
// themselves, and templates' command templates and pkg/util/completion make the linker
// keep every method (17 MB and more).
var kubectlPackages = map[string]bool{
	"k8s.io/kubectl/pkg/util":            true,
	"k8s.io/kubectl/pkg/util/deployment": true,
	"k8s.io/kubectl/pkg/util/interrupt":  true,
	"k8s.io/kubectl/pkg/util/podutils":   true,
	"k8s.io/kubectl/pkg/util/templates":  true,
	"k8s.io/kubectl/pkg/util/term":       true,
}

func TestWhatIsLinkedOfKubectl(t *testing.T) {
	for _, dep := range list(t, "-deps", "./cmd/kubectl-sbw") {
		if strings.HasPrefix(dep, "k8s.io/kubectl/") && !kubectlPackages[dep] {
			t.Errorf("cmd/kubectl-sbw links %s: measure it, and list it here if it is worth its size", dep)
		}
	}
}

func TestPipelineStandsOnTheStandardLibraryAlone(t *testing.T) {
	for _, dep := range list(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./internal/pipeline") {
		if dep != "" && dep != module+"internal/pipeline" {
			t.Errorf("internal/pipeline links %s", dep)
		}
	}
}

func TestLayers(t *testing.T) {
	for _, line := range list(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./cmd/...", "./internal/...") {
		pkg, imports, _ := strings.Cut(line, " ")
		pkg = strings.TrimPrefix(pkg, module)
		if strings.HasPrefix(pkg, "internal/sandbox") {
			continue
		}
		for _, imp := range strings.Fields(imports) {
			for _, layer := range layers {
				if !strings.HasPrefix(imp, layer.imports) {
					continue
				}
				ok := false
				for _, a := range layer.allowed {
					ok = ok || pkg == a || strings.HasPrefix(pkg, a+"/")
				}
				if !ok {
					t.Errorf("%s imports %s: %s", pkg, imp, layer.reason)
				}
			}
		}
	}
}
