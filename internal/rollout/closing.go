package rollout

import (
	"fmt"
	"time"

	"github.com/joelhooks/gh-sbw/internal/units"
)

// closing returns the lines of the closing summary that say where the time went until
// the new version served and the old one was idle.
func (r *Run) closing() []string {
	s := &r.found
	var lines []string
	if u := s.startup; u != nil {
		lines = append(lines, u.String())
		if u.Probes > 0 {
			lines = append(lines, fmt.Sprintf(
				"served %s after its start and Ready after %s: %s cost %s; a startupProbe with periodSeconds 1 would not (`kubectl sbw explain %s`)",
				inSeconds(u.Ready-u.Probes), inSeconds(u.Ready), u.Settings, inSeconds(u.Probes), CodeProbeDelay,
			))
		}
	}
	if took := s.drainTook(); took > 0 {
		what := "no step was executing on the old pods"
		if n := s.drainer.Steps(); n > 0 {
			what = count(n, "step") + " finished on the old pods"
		}
		lines = append(lines, fmt.Sprintf("drain: %s, %s after the switch", what, units.Elapsed(took)))
	}
	return lines
}

// drainTook returns the time from the switch until no step was left on the old pods;
// zero if they were not waited for or still have steps.
func (h *handing) drainTook() time.Duration {
	if h.drained.IsZero() || h.handed.IsZero() || h.drainer == nil {
		return 0
	}
	return h.drained.Sub(h.handed)
}
