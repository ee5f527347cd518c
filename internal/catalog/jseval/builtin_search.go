package jseval

import (
	"slices"
	"strings"
)

func arrayReduce(c *Call, a *Array) Value {
	elems := slices.Clone(a.Elems)
	var acc Value
	if len(c.Args) > 1 {
		acc = c.Args[1]
	} else if len(elems) > 0 {
		acc, elems = elems[0], elems[1:]
	} else {
		return c.Unknown("it reduces an empty list")
	}
	for i, v := range elems {
		acc = c.M.call(c.Arg(0), Undefined{}, []Value{acc, v, float64(i), a}, c.At)
	}
	if a.Rest == nil {
		return acc
	}
	for _, v := range append(slices.Clone(a.Rest.May), &Unknown{Why: a.Rest.Why, At: a.Rest.At, Marked: a.Rest.Marked}) {
		before := acc
		acc = c.M.either(a.Rest, func() Value {
			return c.M.call(c.Arg(0), Undefined{}, []Value{before, v, float64(len(elems)), a}, c.At)
		}, func() Value { return before })
	}
	return acc
}

// search calls back until it is true; unknown is set where that came first.
func (c *Call) search(a *Array) (i int, unknown *Unknown) {
	for i, v := range slices.Clone(a.Elems) {
		r := c.each(a, v, i)
		if u, ok := r.(*Unknown); ok {
			return -1, u
		}
		if is, _ := truth(r); is {
			return i, nil
		}
	}
	return -1, a.Rest
}

func arrayFind(c *Call, a *Array) Value {
	i, u := c.search(a)
	switch {
	case u != nil:
		out := &Unknown{Why: u.Why, At: u.At, May: slices.Clone(a.Elems)}
		return c.M.taint(out, a.Elems...)
	case i < 0:
		return Undefined{}
	}
	return a.Elems[i]
}

func arrayFindIndex(c *Call, a *Array) Value {
	i, u := c.search(a)
	if u != nil {
		return c.M.primitive(u)
	}
	return float64(i)
}

func arraySome(c *Call, a *Array) Value {
	i, u := c.search(a)
	if u != nil {
		return c.M.primitive(u)
	}
	return i >= 0
}

func arrayEvery(c *Call, a *Array) Value {
	for i, v := range slices.Clone(a.Elems) {
		r := c.each(a, v, i)
		if u, ok := r.(*Unknown); ok {
			return c.M.primitive(u)
		}
		if is, _ := truth(r); !is {
			return false
		}
	}
	if a.Rest != nil {
		return c.M.primitive(a.Rest)
	}
	return true
}

// position finds an equal element.
func (c *Call) position(a *Array) (i int, unknown *Unknown) {
	want := c.Arg(0)
	if u, ok := want.(*Unknown); ok {
		return -1, u
	}
	var open *Unknown
	for i, v := range a.Elems {
		if same(v, want) {
			return i, nil
		}
		if u, ok := v.(*Unknown); ok {
			open = u
		}
	}
	if open == nil {
		open = a.Rest
	}
	return -1, open
}

func arrayIncludes(c *Call, a *Array) Value {
	i, u := c.position(a)
	if u != nil {
		return c.M.primitive(u)
	}
	return i >= 0
}

func arrayIndexOf(c *Call, a *Array) Value {
	i, u := c.position(a)
	if u != nil {
		return c.M.primitive(u)
	}
	return float64(i)
}

func arrayJoin(c *Call, a *Array) Value {
	if a.Rest != nil {
		return c.M.primitive(a.Rest)
	}
	sep := ","
	if s, ok := c.Arg(0).(string); ok {
		sep = s
	} else if u, ok := c.Arg(0).(*Unknown); ok {
		return c.M.primitive(u)
	}
	var b strings.Builder
	for i, v := range a.Elems {
		if i > 0 {
			b.WriteString(sep)
		}
		if isNullish(v) {
			continue
		}
		if v == Value(a) {
			continue
		}
		c.M.depth++
		s, u := "", (*Unknown)(nil)
		if c.M.depth > maxDepth {
			u = c.Unknown("its values nest too deeply")
		} else {
			s, u = c.M.text(v, c.At)
		}
		c.M.depth--
		if u != nil {
			return u
		}
		b.WriteString(s)
		if b.Len() > maxText {
			return c.Unknown("the text is too long")
		}
	}
	return b.String()
}

func arrayAt(c *Call, a *Array) Value {
	f, ok := c.Arg(0).(float64)
	switch {
	case !ok || a.Rest != nil:
		u := a.Rest
		if u == nil {
			u = c.Unknown("an element's place is unknown")
		}
		return c.M.taint(&Unknown{Why: u.Why, At: u.At, May: slices.Clone(a.Elems)}, a.Elems...)
	case f < 0:
		f += float64(len(a.Elems))
	}
	if f < 0 || f >= float64(len(a.Elems)) {
		return Undefined{}
	}
	return a.Elems[int(f)]
}

func arrayKeys(c *Call, a *Array) Value {
	out := &Array{Rest: a.Rest}
	for i := range a.Elems {
		out.Elems = append(out.Elems, float64(i))
	}
	return out
}

func arrayCopy(c *Call, a *Array) Value {
	return &Array{Elems: slices.Clone(a.Elems), Rest: a.Rest}
}

func arrayEntries(c *Call, a *Array) Value {
	out := &Array{Rest: a.Rest}
	for i, v := range a.Elems {
		out.Elems = append(out.Elems, &Array{Elems: []Value{float64(i), v}})
	}
	return out
}
