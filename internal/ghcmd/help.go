package ghcmd

import (
	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// addGroup adds commands to root under a title of its help.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// installHelp shows flags by their purpose.
func installHelp(root *cobra.Command, env *cli.Env) {
	image := cli.FlagGroup{Title: "Image", Flags: []string{"worker", "image", "no-latest", "overwrite"}}
	build := cli.FlagGroup{Title: "Build", Flags: []string{
		"builder",
		"file",
		"context",
		"platform",
		"target",
		"build-arg",
		"secret",
		"cache-from",
		"cache-to",
		"no-cache",
		"pull",
		"layout",
		"no-layer-reuse",
	}}
	result := cli.FlagGroup{Title: "Result", Flags: []string{"dry-run", "output"}}
	for _, c := range root.Commands() {
		if c.Flags().Lookup("builder") != nil {
			cli.GroupFlags(c, cli.GroupsOf(c, image, build, result)...)
		}
	}
	cli.InstallGhHelp(root, env)
}
