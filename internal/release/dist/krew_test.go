package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// krewRoot returns a directory for krew to install into, and the environment for
// krew and for the kubectl that finds its plugins.
func krewRoot(t *testing.T) (root string, env []string) {
	t.Helper()
	root = t.TempDir()
	return root, isolated(t, "KREW_ROOT="+root, "PATH="+filepath.Join(root, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// TestKrewInstalls checks that the real krew installs a release, and that the
// real kubectl finds the plugin and completes its arguments.
func TestKrewInstalls(t *testing.T) {
	kubectl, krew := require.Tool(t, "kubectl"), require.Tool(t, "krew")
	dir := released(t, Kubectl)
	root, env := krewRoot(t)
	run(t, root, env, krew, "install", "--manifest="+filepath.Join(dir, ManifestName), "--archive="+filepath.Join(dir, AssetName(Kubectl, testVersion, here)))
	if got := read(t, filepath.Join(root, "store", "sbw", testVersion, LicenseName)); got != read(t, "../../../LICENSE") {
		t.Errorf("the LICENSE in the installation directory is another: %q", got)
	}
	if out := run(t, root, env, kubectl, "sbw", "--help"); !strings.Contains(out, "kubectl sbw <command>") {
		t.Errorf("kubectl sbw --help: %s", out)
	}
	isVersion(t, "kubectl sbw", run(t, root, env, kubectl, "sbw", "--version"), "k8s.io/client-go", "github.com/google/go-containerregistry")
	if out := run(t, root, env, kubectl, "plugin", "list"); !strings.Contains(out, filepath.Join(root, "bin", "kubectl-sbw")) || strings.Contains(out, "warning") {
		t.Errorf("kubectl plugin list: %s", out)
	}
	run(t, root, env, kubectl, "sbw", "completion", "--install")
	if out := run(t, root, env, kubectl, "__complete", "sbw", "roll"); !strings.Contains(out, "rollout\t") {
		t.Errorf("kubectl completes: %s", out)
	}
}

// TestKrewInstallsForEveryPlatform installs the plugin for every platform, as
// krew's own validator does. The programs in the archives are fake.
func TestKrewInstallsForEveryPlatform(t *testing.T) {
	krew, validate := require.Tool(t, "krew"), require.Tool(t, "validate-krew-manifest")
	dir := t.TempDir()
	sums := map[Target]string{}
	for _, target := range Targets() {
		archive := filepath.Join(dir, AssetName(Kubectl, testVersion, target))
		if err := os.WriteFile(archive, packed(t, Kubectl, target, 0o755, 0), 0o644); err != nil {
			t.Fatal(err)
		}
		var err error
		if sums[target], err = sha256Of(archive); err != nil {
			t.Fatal(err)
		}
	}
	text, err := Fill(pluginsYAML(t), testVersion, sums)
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "sbw.yaml") // as in an index
	if err := os.WriteFile(manifest, text, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, dir, isolated(t), validate, "-manifest", manifest, "-skip-install")
	for _, target := range Targets() {
		root, env := krewRoot(t)
		env = append(env, "KREW_OS="+target.OS, "KREW_ARCH="+target.Arch)
		run(t, root, env, krew, "install", "--manifest="+manifest, "--archive="+filepath.Join(dir, AssetName(Kubectl, testVersion, target)))
		for _, name := range []string{LicenseName, target.Binary(Kubectl)} {
			if _, err := os.Stat(filepath.Join(root, "store", "sbw", testVersion, name)); err != nil {
				t.Errorf("%s: %v", target, err)
			}
		}
	}
	// An archive with another digest is refused. Those of linux and darwin are equal
	// here.
	root, env := krewRoot(t)
	cmd := exec.CommandContext(t.Context(), krew, "install", "--manifest="+manifest, "--archive="+filepath.Join(dir, AssetName(Kubectl, testVersion, Target{"windows", "arm64"})))
	cmd.Dir, cmd.Env = root, append(env, "KREW_OS=linux", "KREW_ARCH=arm64")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("krew takes any archive: %s", out)
	}
}

// TestKrewRefusesWhatTheRulesRefuse checks that the rules in this package's tests
// agree with those of krew.
func TestKrewRefusesWhatTheRulesRefuse(t *testing.T) {
	validate := require.Tool(t, "validate-krew-manifest")
	for _, change := range refused {
		dir := t.TempDir()
		manifest := filepath.Join(dir, "sbw.yaml")
		if err := os.WriteFile(manifest, []byte(strings.Replace(string(pluginsYAML(t)), change.old, change.new, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), validate, "-manifest", manifest, "-skip-install")
		cmd.Env = isolated(t)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("with %q: krew takes it: %s", change.new, out)
		}
	}
}
