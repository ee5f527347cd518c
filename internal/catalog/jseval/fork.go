package jseval

import (
	"maps"
	"slices"
)

// mutable is something that evaluation changes: a binding, a list or an
// object.
type mutable interface {
	// save returns a state, never nil, that later changes do not affect. It is
	// restored once.
	save() any
	restore(state any)
	// joined returns the state of something that has one of several states
	// because of u.
	joined(m *Machine, u *Unknown, states []any) any
}

// txn keeps the previous state of everything that a part of the evaluation
// changes, so that it can be undone.
type txn map[mutable]any

// touch must be called before a change.
func (m *Machine) touch(x mutable) {
	if m.txn != nil {
		if m.txn[x] == nil {
			m.txn[x] = x.save()
		}
	}
}

// born records an object that is created in a branch. Nothing outside the
// branch has seen it, so nothing needs to be undone.
func (m *Machine) born(x mutable) {
	if m.txn != nil && m.txn[x] == nil {
		m.txn[x] = fresh{}
	}
}

type fresh struct{}

func (m *Machine) setCell(c *cell, v Value) {
	if c.value == nil {
		m.born(c) // only the declaration of a binding finds it without a value
	} else {
		m.touch(c)
	}
	c.value = v
}

// swap restores the previous state. It returns the current state, and what was
// created in between.
func (t txn) swap() (now txn, made []mutable) {
	now = txn{}
	for x, before := range t {
		if before == (fresh{}) {
			made = append(made, x)
			continue
		}
		now[x] = x.save()
		x.restore(before)
	}
	return now, made
}

func (c *cell) save() any { return c.value }

func (c *cell) restore(state any) { c.value = state }

func (c *cell) joined(m *Machine, u *Unknown, states []any) any {
	return m.join(u, states...)
}

func (a *Array) save() any { return *a }

func (a *Array) restore(state any) { *a = state.(Array) }

// joined keeps the common beginning of all states; what follows is uncertain.
func (*Array) joined(m *Machine, u *Unknown, states []any) any {
	first := states[0].(Array)
	common := len(first.Elems)
	for _, s := range states[1:] {
		elems := s.(Array).Elems
		common = min(common, len(elems))
		for i := range common {
			if !same(elems[i], first.Elems[i]) {
				common = i
				break
			}
		}
	}
	out := Array{Elems: slices.Clone(first.Elems[:common])}
	for _, s := range states {
		a := s.(Array)
		if len(a.Elems) > common {
			rest := &Unknown{Why: u.Why, At: u.At, May: slices.Clone(a.Elems[common:])}
			out.Rest = m.mergeRest(out.Rest, m.taint(rest, rest.May...))
		}
		out.Rest = m.mergeRest(out.Rest, a.Rest)
	}
	return out
}

func (o *Object) save() any {
	return Object{keys: slices.Clone(o.keys), props: maps.Clone(o.props), Rest: o.Rest, Host: o.Host}
}

func (o *Object) restore(state any) { *o = state.(Object) }

// joined turns a property that some states lack into one that may be
// undefined.
func (o *Object) joined(m *Machine, u *Unknown, states []any) any {
	out := Object{Host: o.Host}
	for _, s := range states {
		one := s.(Object)
		out.Rest = m.mergeRest(out.Rest, one.Rest)
		for _, k := range one.keys {
			if _, done := out.props[k]; done {
				continue
			}
			var values []Value
			for _, s := range states {
				v, ok := s.(Object).props[k]
				if !ok {
					v = Undefined{}
				}
				values = append(values, v)
			}
			out.Set(k, m.join(u, values...))
		}
	}
	return out
}

// either returns a value that is that of one of the branches; which one is
// unknown.
func (m *Machine) either(u *Unknown, branches ...func() Value) Value {
	var wrapped []func() completion
	for _, b := range branches {
		wrapped = append(wrapped, func() completion { return completion{value: b()} })
	}
	return m.fork(u, wrapped...).value
}

// perhaps runs something that may or may not happen. Everything that it
// changes becomes unknown because of u. Only a return can leave it.
func (m *Machine) perhaps(u *Unknown, body func() completion) completion {
	c := m.fork(u, body, func() completion { return completion{} })
	if c.kind != returns {
		return completion{}
	}
	return c
}

// fork evaluates every branch from the same state. Everything that differs
// between them becomes unknown because of u. A branch that throws is ignored.
// If all throw, the exception of the first one continues.
func (m *Machine) fork(u *Unknown, branches ...func() completion) completion {
	m.unknowns++
	outer := m.txn
	var states []txn
	var outs []completion
	var failure *thrown
	for _, b := range branches {
		t := txn{}
		m.txn = t
		var out completion
		exception := m.try(func() {
			// If the evaluation is stopped for good, nothing must be left half
			// done.
			done := false
			defer func() {
				if !done {
					m.txn = outer
				}
			}()
			m.forked++
			out = b()
			done = true
		})
		m.forked--
		after, made := t.swap()
		m.txn = outer
		for _, x := range made {
			m.born(x)
		}
		if exception != nil {
			if failure == nil {
				failure = exception
			}
			continue
		}
		states, outs = append(states, after), append(outs, out)
	}
	if len(outs) == 0 {
		panic(*failure)
	}
	m.joinStates(u, states)
	return m.joinCompletions(u, outs)
}

// try runs f and returns its exception, if any.
func (m *Machine) try(f func()) (exception *thrown) {
	depth, calls := m.depth, len(m.calls)
	defer func() {
		if r := recover(); r != nil {
			t, ok := r.(thrown)
			if !ok {
				panic(r)
			}
			exception = &t
			m.depth, m.calls = depth, m.calls[:calls]
		}
	}()
	f()
	return nil
}

func (m *Machine) joinStates(u *Unknown, branches []txn) {
	changed := map[mutable]bool{}
	for _, b := range branches {
		for x := range b {
			changed[x] = true
		}
	}
	for x := range changed {
		states := make([]any, len(branches))
		for i, b := range branches {
			state, ok := b[x]
			if !ok {
				state = x.save()
			}
			states[i] = state
		}
		m.touch(x)
		x.restore(x.joined(m, u, states))
	}
}

// same reports whether two values are identical (===, with NaN equal to
// itself).
func same(a, b Value) bool {
	x, ok := a.(float64)
	y, ok2 := b.(float64)
	return a == b || ok && ok2 && x != x && y != y
}

// join returns a value that is one of several.
func (m *Machine) join(u *Unknown, values ...Value) Value {
	if !slices.ContainsFunc(values, func(v Value) bool { return v == nil || !same(v, values[0]) }) {
		return values[0]
	}
	joined := &Unknown{Why: u.Why, At: u.At, Primitive: true, exact: true}
	for _, v := range values {
		switch v := v.(type) {
		case nil:
		case *Unknown:
			joined.absorb(v)
			joined.May = append(joined.May, v.May...)
			joined.Primitive = joined.Primitive && v.Primitive
			joined.exact = joined.exact && (v.exact || v.Primitive)
		default:
			joined.May = append(joined.May, v)
			joined.Marked = joined.Marked || m.marked(v)
			if _, primitive := toString(v); !primitive {
				joined.Primitive = false
			}
		}
	}
	joined.May = distinctValues(joined.May)
	joined.exact = joined.exact && len(joined.May) < maxMay
	return joined
}

// absorb adds what is known about another unknown value.
func (u *Unknown) absorb(v *Unknown) {
	u.Marked, u.Missing, u.Dynamic = u.Marked || v.Marked, u.Missing || v.Missing, u.Dynamic || v.Dynamic
	if u.From == nil {
		u.From = v.From
	}
}

// mergeRest combines two reasons.
func (m *Machine) mergeRest(a, b *Unknown) *Unknown {
	switch {
	case a == nil:
		return b
	case b == nil || a == b:
		return a
	}
	out := a.with(distinctValues(slices.Concat(a.May, b.May)))
	out.absorb(b)
	return out
}

// maxMay limits the number of candidates that an unknown value keeps.
const maxMay = 4096

// distinctValues removes duplicates.
func distinctValues(vs []Value) []Value {
	if len(vs) < 2 {
		return vs
	}
	seen := make(map[Value]bool, len(vs))
	var out []Value
	for _, v := range vs {
		if !seen[v] && len(out) < maxMay {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

func (m *Machine) marked(v Value) bool {
	if u, ok := v.(*Unknown); ok {
		return u.Marked
	}
	return m.opts.Marked != nil && m.opts.Marked(v)
}

// taint marks an unknown value if one of the values that it depends on is
// marked.
func (m *Machine) taint(u *Unknown, from ...Value) *Unknown {
	for _, v := range from {
		if m.marked(v) && !u.Marked {
			marked := *u
			marked.Marked = true
			u = &marked
		}
	}
	return u
}
