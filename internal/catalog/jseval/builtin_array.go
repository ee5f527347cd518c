package jseval

import (
	"math"
	"slices"
)

// arrayMethods contains the methods of arrays that are evaluated. They refer
// to each other, so they cannot be initialised in their declaration. Nothing
// changes them afterwards.
var arrayMethods map[string]Native

func init() {
	arrayMethods = map[string]Native{
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

// each calls the callback for one element.
func (c *Call) each(a *Array, v Value, i int) Value {
	return c.M.call(c.Arg(0), []Value{v, float64(i), a}, c.At)
}

// mapRest applies f to what an unknown rest may contain.
func (c *Call) mapRest(a *Array, f func(v Value) Value) *Unknown {
	if a.Rest == nil {
		return nil
	}
	out := a.Rest.with(nil)
	may := a.Rest.May
	if len(may) == 0 {
		may = []Value{a.Rest.with(nil)}
	}
	for _, v := range may {
		c.M.perhaps(a.Rest, func() completion {
			r := f(v)
			if u, unknown := r.(*Unknown); unknown {
				out.absorb(u)
			} else if r != nil {
				out.May = append(out.May, r)
			}
			return completion{}
		})
	}
	return c.M.taint(out, out.May...)
}

func arrayMap(c *Call, a *Array) Value {
	out := &Array{}
	for i, v := range a.Elems {
		out.Elems = append(out.Elems, c.each(a, v, i))
	}
	out.Rest = c.mapRest(a, func(v Value) Value { return c.each(a, v, len(a.Elems)) })
	return out
}

func arrayFilter(c *Call, a *Array) Value {
	out := &Array{}
	for i, v := range a.Elems {
		r := c.each(a, v, i)
		if u, ok := r.(*Unknown); ok {
			rest := &Unknown{Why: u.Why, At: u.At, May: []Value{v}}
			out.Rest = c.M.mergeRest(out.Rest, c.M.taint(rest, v))
		} else if is, _ := Truth(r); is {
			out.Elems = append(out.Elems, v)
		}
	}
	out.Rest = c.M.mergeRest(out.Rest, c.mapRest(a, func(v Value) Value {
		if is, known := Truth(c.each(a, v, len(a.Elems))); known && !is {
			return nil
		}
		return v
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

// listOrElement returns the rest of a list to which an unknown value is added:
// the value may be a list of any length, or one element.
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
	for i, v := range a.Elems {
		c.each(a, v, i)
	}
	c.mapRest(a, func(v Value) Value { return c.each(a, v, len(a.Elems)) })
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
	c.M.touch(a)
	// The order does not matter if the length is unknown.
	a.Rest = c.M.mergeRest(a.Rest, c.Rest)
	a.Elems = append(slices.Clip(a.Elems), c.Args...)
	c.M.clip(a, c.At)
	return c.M.getArray(a, "length", c.At)
}
