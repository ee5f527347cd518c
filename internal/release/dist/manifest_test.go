package dist

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// krewManifest is the part of a plugin's manifest that krew reads (krew
// pkg/index/types.go). The test uses the same library, which reads digits without
// quotes as a number. An unknown field fails the test.
type krewManifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string         `json:"version"`
		Homepage         string         `json:"homepage"`
		ShortDescription string         `json:"shortDescription"`
		Description      string         `json:"description"`
		Caveats          string         `json:"caveats"`
		Platforms        []krewPlatform `json:"platforms"`
	} `json:"spec"`
}

type krewPlatform struct {
	Selector *struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Bin    string `json:"bin"`
}

func readManifest(t *testing.T, text []byte) krewManifest {
	t.Helper()
	var m krewManifest
	if err := yaml.UnmarshalStrict(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

var (
	krewName = regexp.MustCompile(`^[\w-]+$`)
	krewSum  = regexp.MustCompile(`^[a-f0-9]{64}$`)
)

// krewRefuses returns the rules of krew that the manifest breaks (krew
// internal/index/validation/validate.go and cmd/validate-krew-manifest/main.go);
// nil if krew accepts it.
func krewRefuses(m krewManifest) (why []string) {
	rule := func(ok bool, format string, args ...any) {
		if !ok {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	rule(m.APIVersion == "krew.googlecontainertools.github.com/v1alpha2", "apiVersion %q", m.APIVersion)
	rule(m.Kind == "Plugin", "kind %q", m.Kind)
	rule(krewName.MatchString(m.Metadata.Name), "name %q", m.Metadata.Name)
	rule(versions.MatchString(m.Spec.Version), "version %q", m.Spec.Version)
	rule(m.Spec.ShortDescription != "" && !strings.ContainsAny(m.Spec.ShortDescription, "\r\n"), "shortDescription %q", m.Spec.ShortDescription)
	rule(len(m.Spec.Platforms) > 0, "no platform")
	matched := map[Target]string{}
	for i, p := range m.Spec.Platforms {
		rule(p.URI != "" && p.Bin != "", "platform %d: no uri or bin", i)
		rule(krewSum.MatchString(p.SHA256), "platform %d: sha256 %q", i, p.SHA256)
		if p.Selector == nil || len(p.Selector.MatchLabels) == 0 {
			rule(false, "platform %d: empty selector", i)
			continue
		}
		for key := range p.Selector.MatchLabels {
			rule(key == "os" || key == "arch", "platform %d: selector over %q", i, key)
		}
		for _, t := range Targets() {
			labels := p.Selector.MatchLabels
			if (labels["os"] == "" || labels["os"] == t.OS) && (labels["arch"] == "" || labels["arch"] == t.Arch) {
				rule(matched[t] == "", "%s is matched by %s and by %s", t, matched[t], p.URI)
				matched[t] = p.URI
			}
		}
	}
	return why
}

func pluginsYAML(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../" + ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKrewTakesTheManifest(t *testing.T) {
	m := readManifest(t, pluginsYAML(t))
	if why := krewRefuses(m); why != nil {
		t.Error(why)
	}
	// In an index the file is plugins/<name>.yaml, and the name of the binary that
	// kubectl looks for follows from it.
	if m.Metadata.Name != "sbw" || Kubectl != "kubectl-"+m.Metadata.Name {
		t.Errorf("name %q", m.Metadata.Name)
	}
	if len(m.Spec.Platforms) != len(Targets()) {
		t.Errorf("%d platforms, the release makes %d", len(m.Spec.Platforms), len(Targets()))
	}
}

// refused lists changes after which krew refuses the manifest.
var refused = []struct{ old, new string }{
	{"v1alpha2", "v1alpha1"}, {"kind: Plugin", "kind: Plugins"}, {"name: sbw", "name: s.b.w"},
	{"version: v0.0.0", "version: 0.0.0"}, {"shortDescription: Roll", "shortDescription: \"\" # Roll"},
	{"arch: arm64", "arch: amd64"}, {"os: linux", "kernel: linux"}, {strings.Repeat("0", 64), strings.Repeat("A", 64)},
	{"bin: kubectl-sbw", "bin: \"\" # "}, {`sha256: "` + strings.Repeat("0", 64) + `"`, "sha256: " + strings.Repeat("0", 64)},
}

// TestTheRulesRefuse checks the rules above with manifests that krew refuses.
func TestTheRulesRefuse(t *testing.T) {
	good := string(pluginsYAML(t))
	for _, c := range refused {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Errorf("%q is not in the manifest", c.old)
		} else if krewRefuses(readManifest(t, []byte(bad))) == nil {
			t.Errorf("with %q: taken", c.new)
		}
	}
}

func sums() map[Target]string {
	all := map[Target]string{}
	for i, t := range Targets() {
		all[t] = fmt.Sprintf("%064x", i+1)
	}
	return all
}

func TestFill(t *testing.T) {
	before := pluginsYAML(t)
	after, err := Fill(before, "v1.2.3", sums())
	if err != nil {
		t.Fatal(err)
	}
	m := readManifest(t, after)
	if why := krewRefuses(m); why != nil {
		t.Error(why)
	}
	if m.Spec.Version != "v1.2.3" {
		t.Errorf("version %s", m.Spec.Version)
	}
	for _, p := range m.Spec.Platforms {
		target := Target{p.Selector.MatchLabels["os"], p.Selector.MatchLabels["arch"]}
		want := krewPlatform{Selector: p.Selector, URI: URI("v1.2.3", target), SHA256: sums()[target], Bin: target.Binary(Kubectl)}
		if p != want {
			t.Errorf("%s: %+v, want %+v", target, p, want)
		}
	}
	// A release replaces the values of an earlier one, and everything else stays.
	again, err := Fill(after, "v0.0.0", zeros())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, before) {
		t.Error("filling changed more than version, uri and sha256")
	}
}

func zeros() map[Target]string {
	all := sums()
	for t := range all {
		all[t] = strings.Repeat("0", 64)
	}
	return all
}

func TestFillRefuses(t *testing.T) {
	good := string(pluginsYAML(t))
	for name, bad := range map[string]string{
		"no version":                     strings.Replace(good, "  version: v0.0.0\n", "", 1),
		"two versions":                   strings.Replace(good, "  version: v0.0.0\n", "  version: v0.0.0\n  version: v0.0.0\n", 1),
		"no platform for it":             strings.Replace(good, "_linux_arm64", "_linux_riscv64", 1),
		"one platform twice":             strings.Replace(good, "_linux_arm64", "_linux_amd64", 1),
		"no sha256 after the uri":        strings.Replace(good, `      sha256: "`+strings.Repeat("0", 64)+"\"\n", "", 1),
		"no sha256 after the last uri":   good[:strings.LastIndex(good, "      sha256:")],
		"a placeholder of another shape": strings.Replace(good, strings.Repeat("0", 64), "TBD", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if bad == good {
				t.Fatal("the manifest does not have what this case takes away")
			}
			if _, err := Fill([]byte(bad), "v1.2.3", sums()); err == nil {
				t.Error("filled")
			}
		})
	}
}
