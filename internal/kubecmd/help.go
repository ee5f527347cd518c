package kubecmd

import (
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// addGrouped adds the commands to root under the groups that help lists them in.
func addGrouped(root *cobra.Command, groups templates.CommandGroups) {
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.Message, Title: g.Message})
		for _, c := range g.Commands {
			c.GroupID = g.Message
		}
	}
	groups.Add(root)
}

// installHelp groups flags by purpose. A flag without a group comes last, so a new flag
// is shown even if it is not listed here.
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

// purposes groups the flags of rollout and of the commands that share them.
var purposes = []cli.FlagGroup{
	{Title: "Image", Flags: []string{"tag", "image", "no-pin", "to-revision"}},
	{Title: "Manifest", Flags: []string{"filename", "kustomize", "recursive", "image-only", "no-write", "force-conflicts"}},
	{Title: "Dry Run", Flags: []string{"dry-run", "diff"}},
	{Title: "Rollout", Flags: []string{"timeout", "prepull", "no-rollback", "no-settle", "lock-wait"}},
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
