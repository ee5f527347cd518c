package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/release"
)

func TestVersionFlag(t *testing.T) {
	var out, errs bytes.Buffer
	env := &Env{Plugin: "kubectl sbw", Out: &out, Err: &errs, Getenv: func(string) string { return "" }}
	root := &cobra.Command{Use: "sbw", Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: env.Plugin}, RunE: func(*cobra.Command, []string) error {
		t.Error("the command ran")
		return nil
	}}
	AddVersion(root, env)
	if code := Execute(t.Context(), env, root, []string{"--version"}); code != 0 || out.String() != release.Version().Text(env.Plugin) || errs.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out.String(), errs.String())
	}
	// -v is klog's verbosity.
	if code := Execute(t.Context(), env, root, []string{"-v"}); code != 2 || !strings.Contains(errs.String(), "-v") {
		t.Errorf("-v: exit code %d, stderr %q", code, errs.String())
	}
}

func TestNoHintInCompletion(t *testing.T) {
	for _, arg := range []string{cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd} {
		env := &Env{Plugin: "gh sbw", Version: "v1.2.3", Getenv: func(name string) string {
			t.Errorf("%s was requested: a key press in a shell must not cause requests", name)
			return ""
		}}
		if line := releaseNotice(t.Context(), env, []string{arg, "publish", ""}); line != "" {
			t.Error(line)
		}
	}
}

// TestEveryPluginCanBeUpgraded: a hint without a command helps nobody.
func TestEveryPluginCanBeUpgraded(t *testing.T) {
	for _, plugin := range []string{"gh sbw", "kubectl sbw"} {
		if upgrade[plugin] == "" {
			t.Errorf("%s has no command that upgrades it", plugin)
		}
	}
}
