package kubecmd

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// conflict is a flag that would have no effect beside another one. A value limits the
// other flag to that value. Flags that a dry run merely does not get to do not count
// as conflicts: people add --dry-run to the command line that they are about to run.
type conflict struct{ flag, with, value, why string }

var conflicts = []conflict{
	{"bake", "strategy", string(handover.StrategyRolling), "only a switch can be watched and taken back"},
	{"drain-timeout", "strategy", string(handover.StrategyRolling), "only a switch leaves old pods to drain"},
	{"resume", "strategy", string(handover.StrategyRolling), "only a switch can be resumed"},
	{"recursive", "kustomize", "", "a kustomization names its own files"},
	{"recursive", "image-only", "", "no manifest is read"},
	{"no-write", "image-only", "", "no manifest is read"},
	{"probe-port", "probe", worker.ProbeNone, "nothing is probed"},
	{"bake", "no-rollback", "", "the watch ends by going back"},
	{"diff", "dry-run", string(rollout.DryRunClient), "it prints whole objects; --dry-run=server shows what would change"},
	{"inngest-url", "no-inngest", "", "Inngest is left out"},
	{"inngest-via", "no-inngest", "", "Inngest is left out"},
	{"signing-key-from", "no-inngest", "", "Inngest is left out"},
	{"allow-removal", "no-inngest", "", "Inngest is left out"},
	{"events", "quiet", "", "--events is for programs and prints everything"},
}

// positive are durations that must be above zero if they are given.
var positive = []string{"timeout", "drain-timeout", "bake"}

// checkFlags refuses command lines that contradict themselves, before anything is read.
func checkFlags(c *cobra.Command) error {
	fs := c.Flags()
	for _, r := range conflicts {
		if !isGiven(fs, r.flag) || !isGiven(fs, r.with) {
			continue
		}
		other := "--" + r.with
		if r.value != "" {
			if fs.Lookup(r.with).Value.String() != r.value {
				continue
			}
			other += "=" + r.value
		}
		return pipeline.UsageErrorf(codeUsage, "leave one of them out", "--%s has no effect with %s: %s", r.flag, other, r.why)
	}
	for _, name := range positive {
		if f := fs.Lookup(name); f != nil && f.Changed {
			if d, err := time.ParseDuration(f.Value.String()); err == nil && d <= 0 {
				return pipeline.UsageErrorf(codeUsage, "give it as 90s or 3m", "--%s %s is not above zero", name, d)
			}
		}
	}
	return nil
}

// isGiven reports whether a flag is on the command line and not turned off.
func isGiven(fs *pflag.FlagSet, name string) bool {
	f := fs.Lookup(name)
	return f != nil && f.Changed && !(f.Value.Type() == "bool" && f.Value.String() == "false")
}

// guard makes a command check its flags as soon as they are parsed.
func guard(c *cobra.Command) {
	args := c.Args
	c.Args = func(c *cobra.Command, words []string) error {
		if args != nil {
			if err := args(c, words); err != nil {
				return err
			}
		}
		return checkFlags(c)
	}
}

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
		return pipeline.UsageErrorf(codeUsage, "use lower-case letters, digits and dashes, as `kubectl get` prints the name",
			"%s: %q is not a valid name", n.what, n.name)
	}
	return nil
}
