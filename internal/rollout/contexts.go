package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// within returns a sink that prefixes each stage and finding of a run with the name
// of its context: CONTEXT/STAGE.
func within(name string, sink pipeline.Sink) pipeline.Sink {
	return pipeline.SinkFunc(func(e pipeline.Event) {
		e.Stage = name + "/" + e.Stage
		if e.Finding != nil {
			e.Finding = Named(name, e.Finding)
		}
		sink.Emit(e)
	})
}

// about returns a sink for events about one context within a stage that concerns all of them.
func about(name string, sink pipeline.Sink) pipeline.Sink {
	return pipeline.SinkFunc(func(e pipeline.Event) {
		if e.Text != "" {
			e.Text = name + ": " + e.Text
		}
		if e.Progress != nil {
			p := *e.Progress
			p.Item = name + " " + p.Item
			e.Progress = &p
		}
		if e.Finding != nil {
			e.Finding = Named(name, e.Finding)
		}
		sink.Emit(e)
	})
}

// Named returns a copy of a finding that names the context it is about.
func Named(name string, f *pipeline.Finding) *pipeline.Finding {
	with := *f
	with.What = name + ": " + f.What
	return &with
}

// Together adds the context names to the findings, and merges findings that several contexts share.
func Together(names []string, found [][]*pipeline.Finding) []*pipeline.Finding {
	type group struct {
		*pipeline.Finding
		names []string
	}
	var order []*group
	same := map[string]*group{}
	for i, fs := range found {
		for _, f := range fs {
			key := fmt.Sprintf("%d\x00%s\x00%s\x00%s", f.Severity, f.Code, f.Error(), strings.Join(f.Evidence, "\n"))
			g := same[key]
			if g == nil {
				g = &group{Finding: f}
				same[key] = g
				order = append(order, g)
			}
			if !slices.Contains(g.names, names[i]) {
				g.names = append(g.names, names[i])
			}
		}
	}
	all := make([]*pipeline.Finding, len(order))
	for i, g := range order {
		all[i] = Named(strings.Join(g.names, ", "), g.Finding)
	}
	return all
}
