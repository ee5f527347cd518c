package catalog

import (
	"fmt"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// sharedFunctions reports functions that two workers register with one server,
// as functions of two apps. Each event then starts both.
func sharedFunctions(c *Catalog, o CheckOptions) []*pipeline.Finding {
	if !o.SameServer {
		return nil
	}
	var found []*pipeline.Finding
	pairs(c, func(a Index, f Function, b Index, g Function) {
		if f.ID != g.ID {
			return
		}
		d := finding(f, fmt.Sprintf("%s is in both %s and %s", quoted(f.ID), a.Path, b.Path),
			"both workers register it with one server, and each event or tick starts it twice",
			"leave it in one of them")
		if !f.sameAs(g) {
			d.Evidence = append(d.Evidence, "the other one is at "+where(g))
		}
		found = append(found, d)
	})
	return found
}

func sharedEvents(c *Catalog, o CheckOptions) []*pipeline.Finding {
	return sharedTriggers(c, o, func(t Trigger) bool { return t.Event != "" },
		"each such event starts both, in different workers", "let only one of them listen to it, or separate them with an `if`")
}

func sharedCrons(c *Catalog, o CheckOptions) []*pipeline.Finding {
	return sharedTriggers(c, o, func(t Trigger) bool { return t.Cron != "" },
		"both start at the same moment, in different workers", "move one of them by a minute if they compete for the same resource")
}

func sharedTriggers(c *Catalog, o CheckOptions, take func(Trigger) bool, why, fix string) []*pipeline.Finding {
	if !o.SameServer {
		return nil
	}
	var found []*pipeline.Finding
	pairs(c, func(a Index, f Function, b Index, g Function) {
		if f.ID == g.ID {
			return // it is already reported as a shared function
		}
		for _, t := range f.Triggers {
			for _, u := range g.Triggers {
				if t != u || !take(t) {
					continue
				}
				d := finding(f, fmt.Sprintf("%s and %s have the same trigger: %s", quoted(f.ID), quoted(g.ID), t), why, fix)
				d.Evidence = append(d.Evidence, fmt.Sprintf("%s of %s is at %s", quoted(g.ID), b.Path, where(g)))
				found = append(found, d)
			}
		}
	})
	return found
}

// pairs visits each function of an index together with each one of a later
// index.
func pairs(c *Catalog, visit func(a Index, f Function, b Index, g Function)) {
	for i, a := range c.Indexes {
		for _, b := range c.Indexes[i+1:] {
			for _, f := range a.Functions {
				for _, g := range b.Functions {
					visit(a, f, b, g)
				}
			}
		}
	}
}
