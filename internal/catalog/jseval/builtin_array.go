package jseval

import (
	"math"
	"slices"
)

func makeArrayMethods() methods {
	return methods{
		"map": onArray(arrayMap), "filter": onArray(arrayFilter), "flatMap": onArray(arrayFlatMap), "flat": onArray(arrayFlat),
		"forEach": onArray(arrayForEach), "concat": onArray(arrayConcat), "push": onArray(arrayPush),
	}
}

func onArray(f func(c *Call, a *Array) Value) Native {
	return func(c *Call) Value {
		a, ok := c.This.(*Array)
		if !ok {
			return c.notEvaluated("a list's method is called on something that is not a list")
		}
		c.M.steps += len(a.Elems) / 4
		c.M.step()
		return f(c, a)
	}
}

// each calls back for one element.
func (c *Call) each(a *Array, v Value, i int) Value {
	return c.M.call(c.Arg(0), Undefined{}, []Value{v, float64(i), a}, c.At)
}

// mapRest applies f to what an unknown rest may hold.
func (c *Call) mapRest(a *Array, f func(v Value) []Value) *Unknown {
	if a.Rest == nil {
		return nil
	}
	out := a.Rest.with(nil)
	may := append([]Value(nil), a.Rest.May...)
	if len(may) == 0 {
		may = []Value{a.Rest.with(nil)}
	}
	for _, v := range may {
		c.M.fork(a.Rest, func() completion {
			for _, r := range f(v) {
				if u, unknown := r.(*Unknown); !unknown {
					out.May = append(out.May, r)
				} else if out.From == nil {
					out.From = u.From
				}
				out.Marked = out.Marked || c.M.marked(r)
			}
			return completion{}
		}, func() completion { return completion{} })
	}
	return out
}

func arrayMap(c *Call, a *Array) Value {
	out := &Array{}
	for i, v := range slices.Clone(a.Elems) {
		out.Elems = append(out.Elems, c.each(a, v, i))
	}
	out.Rest = c.mapRest(a, func(v Value) []Value { return []Value{c.each(a, v, len(a.Elems))} })
	return out
}

func arrayFilter(c *Call, a *Array) Value {
	out := &Array{}
	keep := func(v Value, i int) (bool, *Unknown) {
		r := c.each(a, v, i)
		if u, ok := r.(*Unknown); ok {
			return false, u
		}
		is, _ := truth(r)
		return is, nil
	}
	for i, v := range slices.Clone(a.Elems) {
		is, u := keep(v, i)
		if u != nil {
			out.Rest = c.M.mergeRest(out.Rest, &Unknown{Why: u.Why, At: u.At, May: []Value{v}, Marked: c.M.marked(v)})
		} else if is {
			out.Elems = append(out.Elems, v)
		}
	}
	out.Rest = c.M.mergeRest(out.Rest, c.mapRest(a, func(v Value) []Value {
		if is, u := keep(v, len(a.Elems)); is || u != nil {
			return []Value{v}
		}
		return nil
	}))
	return out
}

func arrayFlatMap(c *Call, a *Array) Value {
	mapped := arrayMap(c, a).(*Array)
	out := &Array{}
	c.M.flatten(out, mapped, 1, c.At)
	return out
}

func arrayFlat(c *Call, a *Array) Value {
	depth := 1.0
	if n, ok := c.Arg(0).(float64); ok {
		depth = math.Min(n, 32)
	}
	out := &Array{}
	c.M.flatten(out, a, int(depth), c.At)
	return out
}

func (m *Machine) flatten(out, a *Array, depth int, at Place) {
	for _, v := range a.Elems {
		m.step()
		inner, ok := v.(*Array)
		switch u, unknown := v.(*Unknown); {
		case ok && depth > 0 && len(out.Elems) < maxElems:
			m.flatten(out, inner, depth-1, at)
		case unknown && depth > 0 && !u.Primitive:
			out.Rest = m.mergeRest(out.Rest, m.listOrElement(u))
		default:
			out.Elems = append(out.Elems, v)
		}
	}
	if a.Rest != nil {
		out.Rest = m.mergeRest(out.Rest, m.listOrElement(a.Rest))
	}
	m.clip(out, at)
}

// listOrElement is the rest of a list that an unknown value is added to: it
// may be a list of any length, or one element.
func (m *Machine) listOrElement(u *Unknown) *Unknown {
	rest := m.restOf(u)
	for _, may := range u.May {
		if _, list := may.(*Array); !list {
			rest.May = append(rest.May, may)
		}
	}
	return rest
}

func arrayForEach(c *Call, a *Array) Value {
	for i, v := range slices.Clone(a.Elems) {
		c.each(a, v, i)
	}
	c.mapRest(a, func(v Value) []Value { return []Value{c.each(a, v, len(a.Elems))} })
	return Undefined{}
}

func arrayConcat(c *Call, a *Array) Value {
	out := &Array{Elems: slices.Clone(a.Elems), Rest: a.Rest}
	for _, v := range c.Args {
		switch v := v.(type) {
		case *Array:
			c.M.spread(out, v, c.At)
		case *Unknown:
			out.Rest = c.M.mergeRest(out.Rest, c.M.listOrElement(v))
		default:
			out.Elems = append(out.Elems, v)
		}
	}
	out.Rest = c.M.mergeRest(out.Rest, c.Rest)
	c.M.clip(out, c.At)
	return out
}

func arrayPush(c *Call, a *Array) Value {
	c.M.touchArray(a)
	// Order is of no account where the length is unknown.
	a.Rest = c.M.mergeRest(a.Rest, c.Rest)
	a.Elems = append(a.Elems[:len(a.Elems):len(a.Elems)], c.Args...)
	c.M.clip(a, c.At)
	return c.M.getArray(a, "length", c.At)
}

// uncertain makes a list whose places, or whose length, are unknown of one
// that is known: all of it may or may not be there.
func (m *Machine) uncertain(a *Array, why *Unknown) {
	m.touchArray(a)
	rest := &Unknown{Why: why.Why, At: why.At, May: slices.Clone(a.Elems)}
	for _, v := range a.Elems {
		rest.Marked = rest.Marked || m.marked(v)
	}
	a.Elems, a.Rest = nil, m.mergeRest(rest, a.Rest)
}
