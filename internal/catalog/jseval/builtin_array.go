package jseval

import (
	"math"
	"slices"
	"strings"
)

func makeArrayMethods() methods {
	return methods{
		"map": onArray(arrayMap), "filter": onArray(arrayFilter), "flatMap": onArray(arrayFlatMap), "flat": onArray(arrayFlat),
		"forEach": onArray(arrayForEach), "concat": onArray(arrayConcat), "slice": onArray(arraySlice),
		"push": onArray(arrayPush), "unshift": onArray(arrayUnshift), "pop": onArray(arrayPop), "shift": onArray(arrayShift),
		"splice": onArray(arraySplice), "reverse": onArray(arrayReverse), "toReversed": onArray(arrayToReversed),
		"sort": onArray(arraySort), "toSorted": onArray(arrayToSorted), "with": onArray(arrayWith), "fill": onArray(arrayFill),
		"reduce": onArray(arrayReduce), "find": onArray(arrayFind), "findIndex": onArray(arrayFindIndex),
		"some": onArray(arraySome), "every": onArray(arrayEvery), "includes": onArray(arrayIncludes),
		"indexOf": onArray(arrayIndexOf), "join": onArray(arrayJoin), "toString": onArray(arrayJoin), "at": onArray(arrayAt),
		"keys": onArray(arrayKeys), "values": onArray(arrayCopy), "entries": onArray(arrayEntries),
	}
}

func onArray(f func(c *Call, a *Array) Value) Native {
	return func(c *Call) Value {
		a, ok := c.This.(*Array)
		if !ok {
			return c.Unknown("a list's method is called on what is no list")
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
	out := &Unknown{Why: a.Rest.Why, At: a.Rest.At, Marked: a.Rest.Marked, Missing: a.Rest.Missing}
	may := append([]Value(nil), a.Rest.May...)
	if len(may) == 0 {
		may = []Value{&Unknown{Why: a.Rest.Why, At: a.Rest.At, Marked: a.Rest.Marked}}
	}
	for _, v := range may {
		c.M.fork(a.Rest, func() completion {
			for _, r := range f(v) {
				if _, unknown := r.(*Unknown); !unknown {
					out.May = append(out.May, r)
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
			// It may be a list of any length, or one element.
			rest := m.restOf(u)
			for _, may := range u.May {
				if _, list := may.(*Array); !list {
					rest.May = append(rest.May, may)
				}
			}
			out.Rest = m.mergeRest(out.Rest, rest)
		default:
			out.Elems = append(out.Elems, v)
		}
	}
	if a.Rest != nil {
		rest := m.restOf(a.Rest)
		for _, may := range a.Rest.May {
			if _, list := may.(*Array); !list {
				rest.May = append(rest.May, may)
			}
		}
		out.Rest = m.mergeRest(out.Rest, rest)
	}
	m.clip(out, at)
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
			rest := c.M.restOf(v)
			for _, may := range v.May {
				if _, list := may.(*Array); !list {
					rest.May = append(rest.May, may)
				}
			}
			out.Rest = c.M.mergeRest(out.Rest, rest)
		default:
			out.Elems = append(out.Elems, v)
		}
	}
	out.Rest = c.M.mergeRest(out.Rest, c.Rest)
	c.M.clip(out, c.At)
	return out
}

// index is an argument taken as a place in a list of n.
func index(v Value, n int, otherwise int) int {
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) {
		return otherwise
	}
	if f < 0 {
		return max(n+int(math.Max(f, -1e9)), 0)
	}
	return int(math.Min(f, float64(n)))
}

// uncertain is the list when its places are not: all may or may not be there.
func uncertain(c *Call, a *Array, why *Unknown) *Array {
	rest := &Unknown{Why: why.Why, At: why.At, May: slices.Clone(a.Elems)}
	for _, v := range a.Elems {
		rest.Marked = rest.Marked || c.M.marked(v)
	}
	return &Array{Rest: c.M.mergeRest(rest, a.Rest)}
}

func (c *Call) unknownArg() *Unknown {
	for _, v := range c.Args {
		if u, ok := v.(*Unknown); ok {
			return u
		}
	}
	return c.Rest
}

func arraySlice(c *Call, a *Array) Value {
	if u := c.unknownArg(); u != nil {
		return uncertain(c, a, u)
	}
	if a.Rest != nil && len(c.Args) > 0 {
		return uncertain(c, a, a.Rest)
	}
	n := len(a.Elems)
	from, to := index(c.Arg(0), n, 0), index(c.Arg(1), n, n)
	out := &Array{Rest: a.Rest}
	if from < to {
		out.Elems = slices.Clone(a.Elems[from:to])
	}
	return out
}

func arrayPush(c *Call, a *Array) Value {
	c.M.touchArray(a)
	if a.Rest != nil || c.Rest != nil {
		// Order is of no account where the length is unknown.
		a.Rest = c.M.mergeRest(a.Rest, c.Rest)
	}
	a.Elems = append(a.Elems[:len(a.Elems):len(a.Elems)], c.Args...)
	c.M.clip(a, c.At)
	return c.M.getArray(a, "length", c.At)
}

func arrayUnshift(c *Call, a *Array) Value {
	c.M.touchArray(a)
	a.Elems = append(slices.Clone(c.Args), a.Elems...)
	a.Rest = c.M.mergeRest(a.Rest, c.Rest)
	c.M.clip(a, c.At)
	return c.M.getArray(a, "length", c.At)
}

func arrayPop(c *Call, a *Array) Value {
	c.M.touchArray(a)
	if a.Rest != nil {
		*a = *uncertain(c, a, a.Rest)
		return a.Rest
	}
	n := len(a.Elems)
	if n == 0 {
		return Undefined{}
	}
	v := a.Elems[n-1]
	a.Elems = a.Elems[: n-1 : n-1]
	return v
}

func arrayShift(c *Call, a *Array) Value {
	c.M.touchArray(a)
	if len(a.Elems) == 0 {
		if a.Rest != nil {
			return a.Rest
		}
		return Undefined{}
	}
	v := a.Elems[0]
	a.Elems = slices.Clone(a.Elems[1:])
	return v
}

func arraySplice(c *Call, a *Array) Value {
	c.M.touchArray(a)
	u := c.unknownArg()
	if u == nil {
		u = a.Rest
	}
	if u != nil {
		removed := uncertain(c, a, u)
		*a = *uncertain(c, a, u)
		if len(c.Args) > 2 {
			a.Elems = slices.Clone(c.Args[2:])
		}
		return removed
	}
	n := len(a.Elems)
	from := index(c.Arg(0), n, 0)
	count := n - from
	if len(c.Args) > 1 {
		count = min(index(c.Arg(1), n, 0), n-from)
	}
	removed := slices.Clone(a.Elems[from : from+count])
	var added []Value
	if len(c.Args) > 2 {
		added = c.Args[2:]
	}
	a.Elems = slices.Concat(a.Elems[:from], added, a.Elems[from+count:])
	c.M.clip(a, c.At)
	return &Array{Elems: removed}
}

func arrayReverse(c *Call, a *Array) Value {
	c.M.touchArray(a)
	a.Elems = slices.Clone(a.Elems)
	slices.Reverse(a.Elems)
	return a
}

func arrayToReversed(c *Call, a *Array) Value {
	return arrayReverse(c, &Array{Elems: a.Elems, Rest: a.Rest})
}

func arraySort(c *Call, a *Array) Value {
	c.M.touchArray(a)
	a.Elems = slices.Clone(a.Elems)
	f, custom := c.Arg(0).(*Func)
	slices.SortStableFunc(a.Elems, func(x, y Value) int {
		if custom {
			n, _ := c.M.call(f, Undefined{}, []Value{x, y}, c.At).(float64)
			switch {
			case n < 0:
				return -1
			case n > 0:
				return 1
			}
			return 0
		}
		s, _ := toString(x)
		t, _ := toString(y)
		return strings.Compare(s, t)
	})
	return a
}

func arrayToSorted(c *Call, a *Array) Value {
	return arraySort(c, &Array{Elems: a.Elems, Rest: a.Rest})
}

func arrayWith(c *Call, a *Array) Value {
	out := &Array{Elems: slices.Clone(a.Elems), Rest: a.Rest}
	if i := index(c.Arg(0), len(a.Elems), len(a.Elems)); i < len(out.Elems) && c.unknownArg() == nil {
		out.Elems[i] = c.Arg(1)
		return out
	}
	return c.Unknown("it replaces an element at an unknown place")
}

func arrayFill(c *Call, a *Array) Value {
	if u := c.unknownArg(); u != nil && len(c.Args) > 1 {
		return c.Unknown("it fills a list at unknown places")
	}
	c.M.touchArray(a)
	a.Elems = slices.Clone(a.Elems)
	n := len(a.Elems)
	for i := index(c.Arg(1), n, 0); i < index(c.Arg(2), n, n); i++ {
		a.Elems[i] = c.Arg(0)
	}
	return a
}
