package pipeline

import "sync"

// Reported remembers which findings were reported, so that each is reported once even
// if several checks and stages find it. Findings with the same code, place and text
// are the same. One that has become more serious is reported again. The zero value is
// ready for use, from several goroutines.
type Reported struct {
	mu   sync.Mutex
	seen map[identity]Severity
}

type identity struct {
	code        Code
	where, what string
}

// First remembers f and reports whether it is new.
func (r *Reported) First(f *Finding) bool {
	id := identity{f.Code, f.Where, f.What}
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.seen[id]; ok && before >= f.Severity {
		return false
	}
	if r.seen == nil {
		r.seen = map[identity]Severity{}
	}
	r.seen[id] = f.Severity
	return true
}
