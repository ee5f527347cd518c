// Package ghcmd is the command line of `gh sbw`: flags become options, and
// options a list of checks and stages that is written out in one place for
// each command.
package ghcmd

import (
	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// Main runs gh-sbw and returns its exit code.
func Main() int { return cli.Main("gh sbw", NewRoot) }

// NewRoot makes the command tree.
func NewRoot(env *cli.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "sbw <command> [flags]",
		Short: "Build a worker's image and publish it to GHCR",
		Long: `Build the worker's image for the cluster's architecture and push it to the
GitHub Container Registry as yourself.

What is published goes live with 'kubectl sbw rollout --tag TAG'.`,
		Example: `  # is everything there?
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
