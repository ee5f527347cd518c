package verdict

import (
	"maps"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// linger is how long a cause may be invisible without being forgotten: while a kubelet
// retries, it shows no cause for a moment.
const linger = 10 * time.Second

// Memory is what a series of judgements passes from one to the next. The zero
// value begins a series. It is a value: Judge returns a new one.
type Memory struct {
	seen     map[pipeline.Code]sight
	high     marks
	complete time.Time
}

// sight records since when a cause has been visible, or invisible.
type sight struct{ first, gone time.Time }

// marks are counts of pods that reached a stage.
type marks [5]int32

// moved forgets all causes if a mark rises above its previous maximum.
func (m Memory) moved(now marks, _ time.Time) Memory {
	rose := false
	for i := range now {
		if now[i] > m.high[i] {
			m.high[i], rose = now[i], true
		}
	}
	if rose {
		m.seen = nil
	}
	return m
}

// Skip leaves out a time in which nothing was watched (a suspended process, a sleeping
// laptop), so that no grace period passes in it.
func (m Memory) Skip(d time.Duration) Memory {
	seen := maps.Clone(m.seen)
	for code, s := range seen {
		s.first = s.first.Add(d)
		if !s.gone.IsZero() {
			s.gone = s.gone.Add(d)
		}
		seen[code] = s
	}
	m.seen = seen
	if !m.complete.IsZero() {
		m.complete = m.complete.Add(d)
	}
	return m
}

func (m Memory) remember(causes []Cause, now time.Time) Memory {
	seen := maps.Clone(m.seen)
	if seen == nil {
		seen = map[pipeline.Code]sight{}
	}
	present := map[pipeline.Code]bool{}
	for _, c := range causes {
		present[c.Code] = true
		s, known := seen[c.Code]
		if !known || !s.gone.IsZero() && now.Sub(s.gone) > linger {
			s.first = now
		}
		s.gone = time.Time{}
		seen[c.Code] = s
	}
	for code, s := range seen {
		switch {
		case present[code]:
		case s.gone.IsZero():
			s.gone = now
			seen[code] = s
		case now.Sub(s.gone) > linger:
			delete(seen, code)
		}
	}
	m.seen = seen
	return m
}
