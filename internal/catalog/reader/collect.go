package reader

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
)

// collection gathers the functions that an index registers.
type collection struct {
	machine    *jseval.Machine
	index      string
	functions  []*function
	maybe      []*function // those of which it cannot be decided
	seen       map[*function]bool
	visited    map[any]bool
	open       []catalog.Unresolved
	incomplete bool
}

// maxNesting is how deep functions are looked for in objects and arrays.
const maxNesting = 6

// registered gathers what is served, or else what is exported.
func (c *collection) registered(exports []jseval.Export, served []served, rest *jseval.Unknown) {
	if len(served) > 0 {
		for _, s := range served {
			c.value(s.functions, "the functions passed to serve", true, 0)
		}
		return
	}
	for _, e := range exports {
		c.value(e.Value, e.Name, false, 0)
	}
	if rest != nil {
		c.unknown(rest, "what else "+c.index+" exports")
	}
	if len(c.functions) > 0 || c.incomplete {
		return
	}
	// The index seems to register nothing: then any export that is unknown
	// may be it.
	for _, e := range exports {
		if u, ok := e.Value.(*jseval.Unknown); ok && !u.Primitive {
			c.unknown(u, "what "+e.Name+" registers")
		}
	}
}

// value looks for functions in a value. listed says that it is a list of
// functions, so that whatever is unknown in it counts.
func (c *collection) value(v jseval.Value, name string, listed bool, depth int) {
	if depth > maxNesting {
		return
	}
	v = c.machine.Await(v)
	switch v := v.(type) {
	case *jseval.Unknown:
		if listed || v.Marked || v.Missing && !v.Primitive {
			c.unknown(v, "what "+name+" registers")
		}
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
		if c.visited[v] {
			return
		}
		c.visited[v] = true
		if v.IsCollection() {
			elems, rest := c.machine.List(v)
			c.list(elems, rest, name, listed, depth)
			return
		}
		if v.Host != nil {
			return
		}
		for _, k := range v.Keys() {
			p, _ := v.Own(k)
			if p.Val != nil {
				c.value(p.Val, name+"."+k, false, depth+1)
			}
		}
		if v.Rest != nil && v.Rest.Marked {
			c.unknown(v.Rest, "what else "+name+" registers")
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
		listed = listed || holdsFunction(e)
	}
	if rest != nil {
		for _, e := range rest.May {
			listed = listed || holdsFunction(e)
		}
	}
	if !listed && len(elems) > 0 && !slices.ContainsFunc(elems, notPrimitive) {
		return // a list of names
	}
	// Listed twice is registered twice, which no worker survives; the same
	// function in two lists is not.
	inList := map[*function]bool{}
	for _, e := range elems {
		if o, ok := e.(*jseval.Object); ok && isFunction(o.Host) {
			f := o.Host.(*function)
			if inList[f] {
				c.functions = append(c.functions, f)
				continue
			}
			inList[f] = true
		}
		c.value(e, name, listed, depth+1)
	}
	if rest != nil && (listed || rest.Marked || rest.Missing) {
		c.unknown(rest, "what else "+name+" registers")
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

func holdsFunction(v jseval.Value) bool {
	switch v := v.(type) {
	case *jseval.Object:
		return isFunction(v.Host)
	case *jseval.Array:
		for _, e := range v.Elems {
			if holdsFunction(e) {
				return true
			}
		}
	case *jseval.Unknown:
		for _, e := range v.May {
			if holdsFunction(e) {
				return true
			}
		}
	}
	return false
}

func (c *collection) add(f *function) {
	if !c.seen[f] {
		c.seen[f] = true
		c.functions = append(c.functions, f)
	}
}

// unknown notes what cannot be decided, naming the functions that it may be.
func (c *collection) unknown(u *jseval.Unknown, what string) {
	var names []string
	var visit func(v jseval.Value, depth int)
	visit = func(v jseval.Value, depth int) {
		switch v := v.(type) {
		case *jseval.Object:
			if f, ok := v.Host.(*function); ok && !c.seen[f] {
				c.maybe = append(c.maybe, f)
				name := "a function"
				if id, ok := c.machine.Get(f.options, "id").(string); ok {
					name = fmt.Sprintf("%q", id)
				}
				names = append(names, name)
			}
		case *jseval.Array:
			if depth < maxNesting {
				for _, e := range v.Elems {
					visit(e, depth+1)
				}
			}
		case *jseval.Unknown:
			if depth < maxNesting {
				for _, e := range v.May {
					visit(e, depth+1)
				}
			}
		}
	}
	visit(u, 0)
	if len(names) > 0 {
		const shown = 5
		more := ""
		if len(names) > shown {
			more = fmt.Sprintf(" and %d more", len(names)-shown)
			names = names[:shown]
		}
		what += ", perhaps " + strings.Join(names, ", ") + more
	}
	c.incomplete = true
	c.open = append(c.open, catalog.Unresolved{File: u.At.File(), Line: u.At.Line(), What: what, Why: u.Why})
}
