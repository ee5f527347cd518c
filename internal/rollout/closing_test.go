package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
)

// The closing summary says where the time went, as far as that is known.
func TestClosing(t *testing.T) {
	switched := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	slow := &Startup{Pod: "worker-1", Pull: 1.5, Started: 2, Served: 2.3, Ready: 10.4, Probes: 8.1, Settings: "readinessProbe: initialDelaySeconds 5 and periodSeconds 10"}
	for _, test := range []struct {
		name  string
		found found
		lines []string // a part of each line
	}{
		{"nothing was started", found{}, nil},
		{"probe settings", found{followed: followed{startup: slow}}, []string{
			"image pulled in 1.5s, container started after 2.0s, accepted connections 2.3s later, Ready 10.4s after its start",
			"served 2.3s after its start and Ready after 10.4s: readinessProbe: initialDelaySeconds 5 and periodSeconds 10 cost 8.1s",
		}},
		{"a quick start", found{followed: followed{startup: &Startup{Pod: "worker-1", Started: 1, Ready: 1}}}, []string{
			"container started after 1.0s, Ready 1.0s after its start",
		}},
		{"nothing to drain", found{handing: handing{handed: switched, drained: switched.Add(time.Second), drainer: handover.NewDrainer(handover.DrainOptions{})}},
			[]string{"drain: no step was executing on the old pods, 1.0s after the switch"}},
		{"not drained", found{handing: handing{handed: switched, drainer: handover.NewDrainer(handover.DrainOptions{})}}, nil},
	} {
		r := &Run{found: test.found}
		lines := r.closing()
		if len(lines) != len(test.lines) {
			t.Errorf("%s: %q", test.name, lines)
			continue
		}
		for i, want := range test.lines {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: %q lacks %q", test.name, lines[i], want)
			}
		}
	}
}
