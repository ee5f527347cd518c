package ui

import (
	"cmp"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/units"
)

// run is the state that the events so far add up to. Its text is already sanitised.
type run struct {
	stages []*stage
	byName map[string]*stage
}

type state int

const (
	pending state = iota
	running
	done
	skipped
	failed
)

// stage is the state of one stage.
type stage struct {
	name   string
	state  state
	began  time.Time
	took   time.Duration
	reason string // why it was skipped, or the error in one line
	// implicit is true for a stage that emits events without having been started.
	implicit bool
	now      string // the last detail
	items    []*item
	byItem   map[string]*item
	tables   []*pipeline.Table
	moved    int64 // bytes that went over the wire, those sent again too
	rate     meter
	// For Plain: when it last gave a sign of life, and the bytes done by then.
	said      time.Time
	saidBytes int64
}

type item struct {
	pipeline.Progress
	began   time.Time
	written time.Time // when Events last wrote it
}

func (i *item) finished() bool { return i.Total > 0 && i.Done >= i.Total }

func newRun() *run { return &run{byName: map[string]*stage{}} }

// stage returns the stage with a name. A stage that is never started (such as
// evidence and cleaning up) begins with its first event.
func (r *run) stage(name string, at time.Time) *stage {
	s := r.byName[name]
	if s == nil {
		s = &stage{name: name, byItem: map[string]*item{}}
		r.stages, r.byName[name] = append(r.stages, s), s
	}
	if s.state == pending && !at.IsZero() {
		s.state, s.began, s.said, s.implicit = running, at, at, true
		r.toFront(s)
	}
	return s
}

// plan adds stages that are still to come.
func (r *run) plan(names []string) {
	for _, n := range names {
		r.stage(n, time.Time{})
	}
}

// take adds an event that sanitizeEvent has made safe.
func (r *run) take(e pipeline.Event) *stage {
	s := r.stage(e.Stage, e.Time)
	switch e.Kind {
	case pipeline.StageStarted:
		for _, o := range r.stages {
			if o.implicit && o.state == running { // no other event will say that it ended
				o.state, o.took = done, max(0, e.Time.Sub(o.began))
			}
		}
		// A stage may run a second time, after an undo: start from the beginning.
		*s = stage{name: s.name, state: running, began: e.Time, said: e.Time, byItem: map[string]*item{}}
		r.toFront(s)
	case pipeline.StageFinished:
		s.took, s.now = e.Duration, ""
		switch {
		case e.Err != nil:
			s.state, s.reason = failed, oneLine(e.Err)
		case e.Text != "":
			s.state, s.reason = skipped, e.Text
		default:
			s.state = done
		}
	case pipeline.Detailed:
		s.now = e.Text
	case pipeline.Progressed:
		s.progress(e)
	case pipeline.Tabled:
		s.table(e.Table)
	}
	return s
}

// toFront puts a stage that starts behind those that have started before it
// and before those that are still to come.
func (r *run) toFront(s *stage) {
	i := slices.Index(r.stages, s)
	r.stages = slices.Delete(r.stages, i, i+1)
	at := len(r.stages)
	for at > 0 && r.stages[at-1].state == pending {
		at--
	}
	r.stages = slices.Insert(r.stages, at, s)
}

func (s *stage) progress(e pipeline.Event) {
	p := *e.Progress
	it := s.byItem[p.Item]
	if it == nil {
		// If an item has progress from its start, it was mounted or existed
		// already, so it says nothing about the uplink.
		it = &item{Progress: p, began: e.Time}
		s.items, s.byItem[p.Item] = append(s.items, it), it
	}
	if p.Unit == pipeline.Bytes {
		s.moved += max(0, p.Done-it.Done)
		s.rate.add(e.Time, s.moved)
	}
	it.Progress = p
}

func (s *stage) table(t *pipeline.Table) {
	i := slices.IndexFunc(s.tables, func(o *pipeline.Table) bool { return o.Title == t.Title })
	if i < 0 {
		s.tables = append(s.tables, t)
	} else {
		s.tables[i] = t
	}
}

// sum returns the total progress of the items with one unit.
type sum struct {
	items, finished int
	done, total     int64
	open            bool // some total is not known yet
}

func (s *stage) sum(u pipeline.Unit) sum {
	var t sum
	for _, i := range s.items {
		if i.Unit != u {
			continue
		}
		t.items++
		t.done += i.Done
		t.total += max(i.Total, i.Done)
		if i.finished() {
			t.finished++
		}
		if i.Total <= 0 {
			t.open = true
		}
	}
	return t
}

// inFlight returns the items that have started and not ended, the oldest first.
func (s *stage) inFlight(u pipeline.Unit) []*item {
	var all []*item
	for _, i := range s.items {
		if i.Unit == u && !i.finished() {
			all = append(all, i)
		}
	}
	slices.SortStableFunc(all, func(a, b *item) int { return cmp.Compare(a.began.UnixNano(), b.began.UnixNano()) })
	return all
}

// elapsed returns how long the stage took or has been running.
func (s *stage) elapsed(now time.Time) time.Duration {
	if s.state == running {
		return max(0, now.Sub(s.began))
	}
	return s.took
}

// meter measures a rate over the last seconds, so that it follows the uplink
// without jumping at every chunk.
type meter struct {
	samples []sample
}

type sample struct {
	at    time.Time
	total int64
}

const (
	meterWindow = 5 * time.Second
	meterStep   = 100 * time.Millisecond
)

func (m *meter) add(at time.Time, total int64) {
	if n := len(m.samples); n > 1 && at.Sub(m.samples[n-2].at) < meterStep {
		m.samples[n-1] = sample{at, total}
		return
	}
	m.samples = append(m.samples, sample{at, total})
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= meterWindow {
		m.samples = m.samples[1:]
	}
}

// perSecond returns the rate, or 0 while too little is known. Time without a sample
// counts, so the rate of a stalled uplink decreases.
func (m *meter) perSecond(now time.Time) float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	span := last.at.Sub(first.at)
	if idle := now.Sub(last.at); idle > time.Second {
		span += idle
	}
	if span < 300*time.Millisecond {
		return 0
	}
	return float64(last.total-first.total) / span.Seconds()
}

// oneLine formats an error for a stage's line: what happened, without the remedy,
// which is printed with the finding.
func oneLine(err error) string {
	found := pipeline.AsFindings("", err)
	if len(found) == 0 {
		return ""
	}
	f := found[0]
	text := f.What
	if text == "" {
		text = f.Why
	}
	if n := len(found) - 1; n > 0 {
		text += " (and " + units.Count(n, "more", "more") + ")"
	}
	return Sanitize(text)
}
