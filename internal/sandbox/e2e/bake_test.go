//go:build linux

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// TestBakeOnTheCluster bakes three versions under a load of runs: one whose pods end
// some time after the switch, one whose runs fail, and a good one. The run states the rule,
// and returns to the old version exactly when the new one is worse.
func TestBakeOnTheCluster(t *testing.T) {
	s := up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	shared.turn.Lock()
	defer shared.turn.Unlock()
	l := newLoad(ctx, t, s, newStoryImages(ctx, t, s, npmworkers.SDK3)[npmworkers.SDK3], "load-bake")
	l.begin(time.Second, shortJobs[1:2]) // a function without retries
	for _, c := range []struct {
		tag  string
		env  []string
		code int
		why  string
	}{
		{"ends-later", []string{"CRASH_AFTER_MS=8000"}, int(pipeline.Restored), "performs worse than the old one"}, // its restart, or the runs that this kills
		{"fails-runs", []string{"FAIL_STEPS=1"}, int(pipeline.Restored), "in the 25s before it"},
		{"good", nil, 0, "does not perform worse"},
	} {
		l.publish(c.tag, c.env...)
		r := l.roll(moment{}, c.tag, "--strategy", "switch", "--bake", "25s")
		if r.code != c.code || !strings.Contains(r.stderr, c.why) || !r.said(handover.BakeRule) {
			t.Fatalf("%s: exit %d\n%s", c.tag, r.code, r.stderr)
		}
		if selector := l.selector(); len(selector) != 1 {
			t.Errorf("after %s the Service still selects %v", c.tag, selector)
		}
		want := "v0"
		if c.code == 0 {
			want = c.tag
		}
		if image := l.image(); !strings.Contains(image, ":"+want+"@") {
			t.Errorf("after %s the worker runs %s", c.tag, image)
		}
	}
	l.stop[0]()
	for _, stop := range l.stop[1:] {
		stop()
	}
}

// image returns the image that the Deployment has now.
func (l *load) image() string {
	l.Helper()
	c, err := l.s.Cluster()
	if err != nil {
		l.Fatal(err)
	}
	out, err := c.Kubectl(l.ctx, "", "--namespace=joelclaw", "get", "deployment", l.name, "--output=jsonpath={.spec.template.spec.containers[0].image}")
	if err != nil {
		l.Fatal(err)
	}
	return out
}
