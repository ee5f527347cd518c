// Package ghcmd is the command line of `gh sbw`. Each command turns flags into the options
// of a use case in internal/publish, and prints the result.
package ghcmd

import (
	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// Main runs gh-sbw and returns its exit code.
func Main() int { return cli.Main("gh sbw", NewRoot) }

// NewRoot returns the command tree.
func NewRoot(env *cli.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "sbw <command> [flags]",
		Short: "Build a worker's image and publish it to GHCR",
		Long: `Build the worker's image for the cluster's architecture and push it to the
GitHub Container Registry as yourself.

To put a published image into production, run 'kubectl sbw rollout --tag TAG'.`,
		Example: `  # is everything ready for a publish?
  gh sbw doctor

  # build this checkout and publish it
  gh sbw publish

  # what does an error mean?
  gh sbw explain "exec format error"`,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "gh sbw"},
		RunE:        func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cli.AddOutputFlags(root, env)
	addGroup(root, "Publish commands", newPublish(env, nil), newTags(env, nil))
	addGroup(root, "Check commands", newDoctor(env, nil), newFunctions(env, nil), cli.NewExplain(env))
	cli.AddVersion(root, env)
	completions(root, env)
	installHelp(root, env)
	return root
}
