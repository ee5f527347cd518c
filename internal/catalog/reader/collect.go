package reader

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
)

// collection collects the functions that an index registers.
type collection struct {
	machine *jseval.Machine
	index   string
	found   []entry
	maybe   []*function // functions that may be registered
	// written lists functions that were never created in the evaluation and
	// whose calls have retries: 0.
	written []catalog.Function
	seen    map[seenKey]bool
	visited map[any]bool
	open    []catalog.Unresolved
	// doubtful lists exports whose values come from code that is not
	// evaluated. They matter if that code can reach functions.
	doubtful   []doubt
	incomplete bool
	// app and handler are those of the handler whose functions are being
	// collected.
	app     string
	handler int
	// dynamic means that some of them are in modules that are chosen at run
	// time, and registersUnknown that a call registers something completely
	// unknown.
	dynamic, registersUnknown bool
}

// entry is one registered function.
type entry struct {
	*function
	app     string // the handler's app id; empty means the client's
	handler int
}

// seenKey identifies a function that two handlers of one app serve.
type seenKey struct {
	f   *function
	app string
}

type doubt struct {
	u    *jseval.Unknown
	what string
}

// maxNesting limits the depth at which functions are looked for in objects and
// arrays.
const maxNesting = 6

func newCollection(m *jseval.Machine, index string) *collection {
	return &collection{machine: m, index: index, seen: map[seenKey]bool{}, visited: map[any]bool{}}
}

// exported collects the functions in the exports of an index.
func (c *collection) exported(exports []jseval.Export, rest *jseval.Unknown) {
	for _, e := range exports {
		c.value(e.Value, e.Name, false, 0)
	}
	if rest != nil {
		c.unknown(rest, "what else "+c.index+" exports")
	}
	if len(c.found) > 0 || c.incomplete {
		return
	}
	// The index seems to register nothing, so any unknown export may be its
	// list of functions.
	for _, e := range exports {
		if u, ok := c.machine.Await(e.Value).(*jseval.Unknown); ok && !u.Primitive {
			c.unknown(u, "what "+e.Name+" registers")
		}
	}
}

// served collects the functions that one handler serves.
func (c *collection) served(s *served) {
	c.handler++
	c.app, _ = s.app.(string)
	c.visited = map[any]bool{}
	c.value(s.functions, "serve", true, 0)
	c.app = ""
}

// value collects the functions in a value. listed means that it is a list of
// functions, so everything unknown in it counts.
func (c *collection) value(v jseval.Value, name string, listed bool, depth int) {
	if depth > maxNesting {
		return
	}
	v = c.machine.Await(v)
	switch v := v.(type) {
	case *jseval.Unknown:
		c.doubt(v, "what "+name+" registers", listed || v.Marked || v.Missing && !v.Primitive)
	case *jseval.Array:
		if !c.visited[v] {
			c.visited[v] = true
			c.list(v.Elems, v.Rest, name, listed, depth)
		}
	case *jseval.Object:
		if f, ok := v.Host.(*function); ok {
			c.add(f)
			return
		}
		if c.visited[v] || v.Host != nil {
			return
		}
		c.visited[v] = true
		for _, k := range v.Keys() {
			if p, _ := v.Own(k); p != nil {
				c.value(p, name+"."+k, false, depth+1)
			}
		}
		if v.Rest != nil {
			c.doubt(v.Rest, "what else "+name+" registers", v.Rest.Marked)
		}
	case *jseval.Namespace:
		if c.visited[v] {
			return
		}
		c.visited[v] = true
		elems, rest := c.machine.Values(v)
		c.list(elems, rest, name, listed, depth)
	}
}

func (c *collection) list(elems []jseval.Value, rest *jseval.Unknown, name string, listed bool, depth int) {
	for _, e := range elems {
		listed = listed || c.holdsFunction(e)
	}
	if rest != nil {
		for _, e := range rest.May {
			listed = listed || c.holdsFunction(e)
		}
	}
	if !listed && len(elems) > 0 && !slices.ContainsFunc(elems, notPrimitive) {
		return // a list of names
	}
	// A function that is listed twice is registered twice, which stops the
	// worker. The same function in two lists is not.
	inList := map[*function]bool{}
	for _, e := range elems {
		if o, ok := e.(*jseval.Object); ok && isFunction(o.Host) {
			f := o.Host.(*function)
			if inList[f] {
				c.found = append(c.found, entry{f, c.app, c.handler})
				continue
			}
			inList[f] = true
		}
		c.value(e, name, listed, depth+1)
	}
	if rest != nil {
		c.doubt(rest, "what else "+name+" registers", listed || rest.Marked || rest.Missing)
	}
}

func notPrimitive(v jseval.Value) bool {
	switch v := v.(type) {
	case string, float64, bool, jseval.Undefined, jseval.Null:
		return false
	case *jseval.Unknown:
		return !v.Primitive
	}
	return true
}

func (c *collection) holdsFunction(v jseval.Value) bool {
	found := false
	eachFunction(c.machine, v, func(*function) { found = true })
	return found
}

// eachFunction visits the functions that a value contains or may contain, at
// any depth.
func eachFunction(m *jseval.Machine, v jseval.Value, visit func(*function)) {
	seen := map[any]bool{}
	var look func(v jseval.Value)
	all := func(values []jseval.Value, rest *jseval.Unknown) {
		for _, e := range values {
			look(e)
		}
		if rest != nil {
			look(rest)
		}
	}
	look = func(v jseval.Value) {
		if seen[v] {
			return
		}
		seen[v] = true
		switch v := v.(type) {
		case *jseval.Namespace:
			values, _ := m.Values(v)
			all(values, nil)
		case *jseval.Object:
			if f, ok := v.Host.(*function); ok {
				visit(f)
				return
			}
			if v.Host != nil {
				return
			}
			for _, k := range v.Keys() {
				p, _ := v.Own(k)
				look(p)
			}
			all(nil, v.Rest)
		case *jseval.Array:
			all(v.Elems, v.Rest)
		case *jseval.Unknown:
			all(v.May, nil)
		}
	}
	look(v)
}

func (c *collection) add(f *function) {
	key := seenKey{f, c.app}
	if !c.seen[key] {
		c.seen[key] = true
		c.found = append(c.found, entry{f, c.app, c.handler})
	}
}

func (c *collection) has(f *function) bool {
	return slices.ContainsFunc(c.found, func(e entry) bool { return e.function == f })
}

// doubt records an unknown value, immediately if it certainly counts.
func (c *collection) doubt(u *jseval.Unknown, what string, certain bool) {
	switch {
	case certain:
		c.unknown(u, what)
	case u.From != nil:
		c.doubtful = append(c.doubtful, doubt{u, what})
	}
}

// unknown records something that cannot be determined, with the functions that
// it may be.
func (c *collection) unknown(u *jseval.Unknown, what string) {
	var may []*function
	eachFunction(c.machine, u, func(f *function) { may = append(may, f) })
	if u.From != nil {
		c.machine.Reach(u.From, func(jseval.Site) {}, func(v jseval.Value) {
			eachFunction(c.machine, v, func(f *function) { may = append(may, f) })
		})
	}
	c.dynamic = c.dynamic || u.Dynamic
	c.leave(u.At, what, u.Why, may)
}

// leave records something unknown at a place, with the functions that it may
// be. Their names replace %s, or are appended. Of two reasons at one place,
// only the first is kept.
func (c *collection) leave(at jseval.Place, what, why string, may []*function) {
	var names []string
	for _, f := range may {
		if c.has(f) || slices.Contains(c.maybe, f) {
			continue
		}
		c.maybe = append(c.maybe, f)
		name := "a function"
		if id, ok := c.machine.Get(f.options, "id").(string); ok {
			name = fmt.Sprintf("%q", id)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	c.incomplete = true
	u := catalog.Unresolved{File: at.File(), Line: at.Line(), What: what, Why: why}
	known := slices.IndexFunc(c.open, func(o catalog.Unresolved) bool { return o.File == u.File && o.Line == u.Line && u.Line > 0 })
	if known >= 0 && len(names) == 0 {
		return
	}
	if len(names) > 0 {
		const shown = 5
		more := ""
		if len(names) > shown {
			more = fmt.Sprintf(" and %d more", len(names)-shown)
			names = names[:shown]
		}
		list := strings.Join(names, ", ") + more
		if before, after, ok := strings.Cut(what, "%s"); ok {
			u.What = before + list + after
		} else {
			u.What += ", perhaps " + list
		}
		if known >= 0 && !strings.Contains(c.open[known].What, ", perhaps ") && !strings.Contains(what, "%s") {
			c.open[known].What += ", perhaps " + list
			return
		}
	}
	c.open = append(c.open, u)
}
