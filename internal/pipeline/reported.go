package pipeline

import "sync"

// Reported remembers which findings were reported, so that each is reported
// once however many checks and stages come upon it: the same code about the same
// place in the same words is the same finding. One that has become graver is
// reported again. The zero value is ready for use, from several goroutines.
type Reported struct {
	mu   sync.Mutex
	seen map[identity]Severity
}

type identity struct {
	code        Code
	where, what string
}

// First remembers f and says whether it is to be reported.
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
