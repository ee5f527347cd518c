package kubecmd

import (
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// TestEveryFlagHasItsPurpose: a flag that is missing from the purposes in help.go would
// be listed apart, where nobody looks for it. A flag that no command has is a leftover.
func TestEveryFlagHasItsPurpose(t *testing.T) {
	root := NewRoot(&cli.Env{Plugin: "kubectl sbw", Getenv: func(string) string { return "" }})
	known := map[string]bool{}
	for _, c := range root.Commands() {
		for _, g := range purposes {
			for _, f := range g.Flags {
				known[f] = known[f] || c.Flags().Lookup(f) != nil
			}
		}
		switch c.Name() {
		case "rollout", "restart", "doctor", "undo":
			_, flags := cli.FlagsByGroup(c, c.LocalNonPersistentFlags())
			for _, f := range flags[""] {
				t.Errorf("%s: --%s has no purpose: add it to purposes in help.go", c.Name(), f.Name)
			}
		}
	}
	for f, there := range known {
		if !there {
			t.Errorf("purposes has --%s, which no command has", f)
		}
	}
}
