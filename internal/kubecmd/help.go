package kubecmd

import (
	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// dress puts commands and flags into the groups that help shows them in. What
// is in none of them comes last in its list, so that a new command or flag is
// shown without a line here.
func dress(root *cobra.Command, env *cli.Env) {
	for _, g := range []struct {
		id, title string
		commands  []string
	}{
		{"ship", "Rollout Commands:", []string{"rollout", "restart", "undo", "history"}},
		{"inngest", "Inngest Commands:", []string{"refresh", "functions", "runs"}},
		{"trouble", "Troubleshooting Commands:", []string{"status", "doctor", "explain"}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, name := range g.commands {
			if c, _, err := root.Find([]string{name}); err == nil && c != root {
				c.GroupID = g.id
			}
		}
	}
	for _, name := range []string{"rollout", "restart", "doctor", "undo"} {
		groupFlags(root, name)
	}
	cli.GroupFlags(root,
		cli.FlagGroup{Title: "Worker and output", Flags: []string{"worker", "quiet", "verbose", "events", "v"}},
		cli.FlagGroup{Title: "Cluster and identity, as for kubectl", Flags: kubeconfigFlags(root)})
	cli.InstallHelp(root, env)
}

// purposes are what the flags of a rollout and of its relatives are for.
var purposes = []cli.FlagGroup{
	{Title: "Image", Flags: []string{"tag", "image", "no-pin", "to-revision"}},
	{Title: "Manifest", Flags: []string{"filename", "kustomize", "recursive", "image-only", "no-write", "force-conflicts"}},
	{Title: "Trial", Flags: []string{"dry-run", "diff"}},
	{Title: "Rollout", Flags: []string{"timeout", "no-rollback", "no-settle", "lock-wait"}},
	{Title: "Prove, Then Switch", Flags: []string{"strategy", "drain-timeout", "bake", "resume"}},
	{Title: "Several Clusters", Flags: []string{"contexts", "wave-size", "max-failures"}},
	{Title: "Probe", Flags: []string{"probe", "probe-path", "probe-expect", "probe-port"}},
	{
		Title: "Restart Safety",
		Flags: []string{"wait-idle", "max-step-loss", "force", "rerun-lost", "confirm-run", "confirm-data", "event-key-from"},
	},
	{Title: "Inngest", Flags: []string{"inngest-url", "inngest-via", "signing-key-from", "no-inngest", "allow-removal", "prune-stale"}},
	{Title: "Output", Flags: []string{"output"}},
}

// groupFlags groups those of the flags that the command has.
func groupFlags(root *cobra.Command, command string) {
	c, _, err := root.Find([]string{command})
	if err != nil || c == root {
		return
	}
	var there []cli.FlagGroup
	for _, g := range purposes {
		kept := cli.FlagGroup{Title: g.Title}
		for _, f := range g.Flags {
			if c.Flags().Lookup(f) != nil {
				kept.Flags = append(kept.Flags, f)
			}
		}
		if len(kept.Flags) > 0 {
			there = append(there, kept)
		}
	}
	cli.GroupFlags(c, there...)
}
