package ghcmd

import (
	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// dress puts commands and flags into the groups that help shows them in.
func dress(root *cobra.Command, env *cli.Env) {
	for _, g := range []struct {
		id, title string
		commands  []string
	}{
		{"publish", "Publish commands", []string{"publish", "tags"}},
		{"check", "Check commands", []string{"doctor", "functions", "explain"}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, name := range g.commands {
			if c, _, err := root.Find([]string{name}); err == nil && c != root {
				c.GroupID = g.id
			}
		}
	}
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
	for _, c := range root.Commands() {
		if c.Flags().Lookup("builder") != nil {
			result := cli.FlagGroup{Title: "Result"}
			for _, f := range []string{"dry-run", "output"} {
				if c.Flags().Lookup(f) != nil {
					result.Flags = append(result.Flags, f)
				}
			}
			cli.GroupFlags(c, image, build, result)
		}
	}
	cli.InstallHelp(root, env)
}
