package kubecmd

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// link is the connection to an Inngest server, and breaks on request.
type link struct {
	to http.Handler

	mu    sync.Mutex
	stage string          // the stage in which the next request that reads fails
	broke map[string]bool // the stages in which one failed
}

func (l *link) breakIn(stage string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stage = stage
}

func (l *link) breaks(body []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stage == "" || !bytes.Contains(body, []byte(`"query":"`)) || bytes.Contains(body, []byte(`"query":"mutation`)) {
		return false
	}
	l.broke[l.stage], l.stage = true, ""
	return true
}

func (l *link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || l.breaks(body) {
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	l.to.ServeHTTP(w, r)
}

// TestInngestIsReplacedInEveryStage breaks the connection to Inngest once in every stage
// that reads from it, with both strategies: a version that works is not rolled back. A
// server that has never answered is not waited for, and nothing is changed.
func TestInngestIsReplacedInEveryStage(t *testing.T) {
	w := newWorld(t, 1)
	w.withInngest(map[string]string{"SLOW_MS": "10"})
	w.write("event.key", testEventKey+"\n")
	w.run(0, "rollout", "--tag", "old")
	for _, c := range []struct {
		strategy, tag string
		end           pipeline.End
		stages        []string
	}{
		{"rolling", "new", pipeline.RefusedByPreflight, []string{"preflight"}},
		{"rolling", "new", pipeline.Done, []string{"running steps", "refresh", "settle", "lost runs", "confirm"}},
		{"switch", "old", pipeline.Done, []string{"prove", "refresh", "drain", "release", "lost runs", "confirm"}},
	} {
		o := w.options("rollout", "--tag", c.tag, "--strategy", c.strategy, "--confirm-run", "approval/requested", "--event-key-from", "file:event.key")
		ctx, cancel := context.WithCancelCause(w.Context())
		r := rollout.NewRollout(o.Target, o.Options, cancel)
		out := pipeline.Run(ctx, r.Pipeline, pipeline.SinkFunc(func(e pipeline.Event) {
			if e.Kind == pipeline.StageStarted && (e.Stage == "preflight") == (c.end == pipeline.RefusedByPreflight) {
				w.link.breakIn(e.Stage)
			}
		}))
		if err := r.Record(ctx, out); err != nil {
			t.Error(err)
		}
		cancel(nil)
		if out.End != c.end || (w.tag(0) == c.tag) != (c.end == pipeline.Done) {
			t.Errorf("%s ended %v and runs %s: %v", c.strategy, out.End, w.tag(0), out.Err)
		}
		for _, stage := range c.stages {
			if !w.link.broke[stage] {
				t.Errorf("%s: nothing was read in stage %s, only in %v", c.strategy, stage, w.link.broke)
			}
		}
		t.Logf("%s: the connection broke in %v", c.strategy, slices.Sorted(maps.Keys(w.link.broke)))
		w.link.broke = map[string]bool{}
	}
}
