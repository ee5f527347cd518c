package cli

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// FlagConflict is a flag that has no effect beside another one.
type FlagConflict struct {
	Flag, With string
	// Value limits the conflict to this value of With; if it is empty, every
	// value conflicts.
	Value string
	Why   string
}

// FlagRules is what a command line must obey beyond the syntax of its flags.
type FlagRules struct {
	Conflicts []FlagConflict
	// Positive names durations that must be above zero if they are given.
	Positive []string
}

// Apply makes c check the rules as soon as its flags are parsed, before anything
// is read. Rules about flags that c does not have are ignored.
func (r *FlagRules) Apply(c *cobra.Command) {
	args := c.Args
	c.Args = func(c *cobra.Command, words []string) error {
		if args != nil {
			if err := args(c, words); err != nil {
				return err
			}
		}
		return r.check(c.Flags())
	}
}

func (r *FlagRules) check(fs *pflag.FlagSet) error {
	for _, x := range r.Conflicts {
		if !isGiven(fs, x.Flag) || !isGiven(fs, x.With) {
			continue
		}
		other := "--" + x.With
		if x.Value != "" {
			if fs.Lookup(x.With).Value.String() != x.Value {
				continue
			}
			other += "=" + x.Value
		}
		return pipeline.UsageErrorf(pipeline.CodeUsage, "leave one of them out", "--%s has no effect with %s: %s", x.Flag, other, x.Why)
	}
	for _, name := range r.Positive {
		if f := fs.Lookup(name); f != nil && f.Changed {
			if d, err := time.ParseDuration(f.Value.String()); err == nil && d <= 0 {
				return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as 90s or 3m", "--%s %s is not above zero", name, d)
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
