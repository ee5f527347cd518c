package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/release"
)

// AddVersion adds --version to a root that has its RunE: the release, its
// commit, Go, and the libraries that speak with GitHub, registries and
// Kubernetes.
//
// Cobra's own flag is not used. It would take -v, which is klog's verbosity to
// kubectl's users, and a text of one's own takes a template: text/template
// finds methods by name, for which the linker keeps every method there is, half
// a megabyte and more of gh-sbw.
func AddVersion(root *cobra.Command, env *Env) {
	info := release.Version()
	asked := root.Flags().Bool("version", false, "print the version, the commit and the libraries built in")
	run := root.RunE
	root.RunE = func(c *cobra.Command, args []string) error {
		if !*asked {
			return run(c, args)
		}
		_, err := io.WriteString(c.OutOrStdout(), info.Text(env.Plugin))
		return err
	}
}

// upgrade is how each plugin's host brings the newest release.
var upgrade = map[string]string{
	"gh sbw":      "gh extension upgrade sbw",
	"kubectl sbw": "kubectl krew upgrade sbw",
}

// newerRelease is the line about a newer release, or "". A shell's completion
// runs the program at every key: it neither shows nor asks.
func newerRelease(ctx context.Context, env *Env, args []string) string {
	if asksCompletion(args) {
		return ""
	}
	line, _ := release.Hint(ctx, release.HintOptions{
		Running: env.Version,
		Upgrade: upgrade[env.Plugin],
		// Only a terminal has a width.
		Terminal: env.Style(env.Err).Width > 0,
		Getenv:   env.Getenv,
	})
	return line
}
