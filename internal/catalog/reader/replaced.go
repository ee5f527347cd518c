package reader

import (
	"slices"

	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// leaveReplaced records functions that are not created by the SDK's
// createFunction but by code that is not evaluated: a subclass or a wrapper
// has its own method, or code replaces the method of a client. That code may
// change the options, so neither the id nor the retries are known.
func (e *entryRead) leaveReplaced(c *collection, r *reading) {
	if len(c.found) == 0 {
		return
	}
	evaluated := slices.ContainsFunc(e.sdk.clients, replaced)
	for _, path := range e.walked {
		m, err := r.program.Module(path)
		if err != nil {
			continue // it is reported where it is loaded
		}
		passOver := func(text []byte) bool { return !hasWord(text, createFunction) }
		m.Setters(passOver, func(s source.Setter) {
			if s.Name == createFunction {
				e.leaveMadeBy(c, s, s.Foreign && !evaluated)
			}
		})
	}
}

// replaced reports whether the evaluation gave a client another
// createFunction. The result of that one is known.
func replaced(client *jseval.Object) bool {
	v, _ := client.Own(createFunction)
	f, ok := v.(*jseval.Func)
	return !ok || !f.Native()
}

// leaveMadeBy removes the functions that a replaced createFunction may have
// created from the known ones: those of unknown clients, or all.
func (e *entryRead) leaveMadeBy(c *collection, s source.Setter, all bool) {
	var may []*function
	c.found = slices.DeleteFunc(c.found, func(f entry) bool {
		if !all && (f.client != nil || f.deferred) {
			return false
		}
		if !slices.Contains(may, f.function) {
			may = append(may, f.function)
		}
		return true
	})
	if len(may) > 0 {
		c.leave(s.At, "what %s is registered as", createFunction+" is replaced here by code that is not evaluated", may)
	}
}
