package kubecmd

import (
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// addGrouped adds commands to root in kubectl's groups, which its help shows them in.
func addGrouped(root *cobra.Command, groups templates.CommandGroups) {
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.Message, Title: g.Message})
		for _, c := range g.Commands {
			c.GroupID = g.Message
		}
	}
	groups.Add(root)
}

// installHelp shows flags by their purpose. One that has none comes last in its list,
// so that a new flag is shown without a line here.
func installHelp(root *cobra.Command, env *cli.Env) {
	for _, c := range root.Commands() {
		if slices.Contains([]string{"rollout", "restart", "doctor", "undo"}, c.Name()) {
			cli.GroupFlags(c, cli.GroupsOf(c, purposes...)...)
		}
	}
	cli.GroupFlags(root,
		cli.FlagGroup{Title: "Worker and output", Flags: []string{"worker", "quiet", "verbose", "events", "v"}},
		cli.FlagGroup{Title: "Cluster and identity, as for kubectl", Flags: kubeconfigFlags(root)})
	cli.InstallKubectlHelp(root, env, templates.NewHelpFlagPrinter)
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
