package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/release"
)

// AddVersion adds --version: the release, its commit, Go, and the libraries
// that speak with GitHub, registries and Kubernetes.
func AddVersion(root *cobra.Command, env *Env) {
	info := release.Version()
	root.Version = info.Version
	// Cobra's own flag would take -v, which is klog's verbosity to kubectl's
	// users.
	root.Flags().Bool("version", false, "print the version, the commit and the libraries built in")
	root.SetVersionTemplate("{{print " + strconv.Quote(info.Text(env.Plugin)) + "}}")
}

// upgrade is how each plugin's host brings the newest release.
var upgrade = map[string]string{
	"gh sbw":      "gh extension upgrade sbw",
	"kubectl sbw": "kubectl krew upgrade sbw",
}

// newerRelease is the line about a newer release, or "". A shell's completion
// runs the program at every key: it neither shows nor asks.
func newerRelease(ctx context.Context, env *Env, args []string) string {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
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
