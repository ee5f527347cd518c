package kubecmd

import (
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// flagRules lists the flags that contradict each other. A flag for a step that a dry
// run does not reach is not listed: people add --dry-run to the command line that they are about
// to run.
var flagRules = cli.FlagRules{Positive: []string{"timeout", "drain-timeout", "bake"}, Conflicts: []cli.FlagConflict{
	{Flag: "bake", With: "strategy", Value: string(handover.StrategyRolling), Why: "only a switch can be watched and taken back"},
	{Flag: "drain-timeout", With: "strategy", Value: string(handover.StrategyRolling), Why: "only a switch leaves old pods to drain"},
	{Flag: "resume", With: "strategy", Value: string(handover.StrategyRolling), Why: "only a switch can be resumed"},
	{Flag: "recursive", With: "kustomize", Why: "a kustomization names its own files"},
	{Flag: "recursive", With: "image-only", Why: "no manifest is read"},
	{Flag: "no-write", With: "image-only", Why: "no manifest is read"},
	{Flag: "probe-port", With: "probe", Value: worker.ProbeNone, Why: "nothing is probed"},
	{Flag: "bake", With: "no-rollback", Why: "the watch ends by going back"},
	{
		Flag:  "diff",
		With:  "dry-run",
		Value: string(rollout.DryRunClient),
		Why:   "it prints whole objects; --dry-run=server shows what would change",
	},
	{Flag: "inngest-url", With: "no-inngest", Why: "Inngest is left out"},
	{Flag: "inngest-via", With: "no-inngest", Why: "Inngest is left out"},
	{Flag: "signing-key-from", With: "no-inngest", Why: "Inngest is left out"},
	{Flag: "allow-removal", With: "no-inngest", Why: "Inngest is left out"},
	{Flag: "events", With: "quiet", Why: "--events is for programs and prints everything"},
}}

// checkNames refuses names that no cluster can have, before any cluster is asked.
func checkNames(t *rollout.Target) error {
	namespace := "deploy.namespace in " + worker.ConfigName
	if t.NamespaceGiven {
		namespace = "--namespace"
	}
	for _, n := range []struct {
		what, name string
		wrong      func(string) []string
	}{
		{namespace, t.Ref.Namespace, validation.IsDNS1123Label},
		{"deploy.deployment in " + worker.ConfigName, t.Ref.Name, validation.IsDNS1123Subdomain},
	} {
		if n.name == "" || len(n.wrong(n.name)) == 0 {
			continue
		}
		return pipeline.UsageErrorf(pipeline.CodeUsage, "use lower-case letters, digits and dashes, as `kubectl get` prints the name",
			"%s: %q is not a valid name", n.what, n.name)
	}
	return nil
}
