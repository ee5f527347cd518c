package jseval

import "maps"

// txn keeps what a piece of evaluation changes, so that it can be undone.
type txn struct {
	cells   map[*cell]Value
	arrays  map[*Array]Array
	objects map[*Object]objectState
}

type objectState struct {
	keys  []string
	props map[string]Prop
	rest  *Unknown
}

func newTxn() *txn {
	return &txn{cells: map[*cell]Value{}, arrays: map[*Array]Array{}, objects: map[*Object]objectState{}}
}

func stateOf(o *Object) objectState {
	return objectState{keys: append([]string(nil), o.keys...), props: maps.Clone(o.props), rest: o.Rest}
}

func (o *Object) restore(s objectState) {
	o.keys, o.props, o.Rest = append([]string(nil), s.keys...), maps.Clone(s.props), s.rest
}

// touchArray and touchObject are called before a change.
func (m *Machine) touchArray(a *Array) {
	if m.txn != nil {
		if _, ok := m.txn.arrays[a]; !ok {
			m.txn.arrays[a] = Array{append([]Value(nil), a.Elems...), a.Rest}
		}
	}
}

func (m *Machine) touchObject(o *Object) {
	if m.txn != nil {
		if _, ok := m.txn.objects[o]; !ok {
			m.txn.objects[o] = stateOf(o)
		}
	}
}

func (m *Machine) setCell(c *cell, v Value) {
	if m.txn != nil {
		if _, ok := m.txn.cells[c]; !ok {
			m.txn.cells[c] = c.value
		}
	}
	c.value = v
}

// swap puts back what was there before and returns what there is now.
func (t *txn) swap() *txn {
	now := newTxn()
	for c, v := range t.cells {
		now.cells[c] = c.value
		c.value = v
	}
	for a, v := range t.arrays {
		now.arrays[a] = Array{append([]Value(nil), a.Elems...), a.Rest}
		*a = Array{append([]Value(nil), v.Elems...), v.Rest}
	}
	for o, v := range t.objects {
		now.objects[o] = stateOf(o)
		o.restore(v)
	}
	return now
}

// either is the value of one of the branches, which one is unknown.
func (m *Machine) either(u *Unknown, branches ...func() Value) Value {
	var wrapped []func() completion
	for _, b := range branches {
		wrapped = append(wrapped, func() completion { return completion{value: b()} })
	}
	return m.fork(u, wrapped...).value
}

// fork evaluates every branch from the same state and makes unknown, because
// of u, whatever they disagree on. A branch that throws is left out; if all do,
// the first one's exception goes on.
func (m *Machine) fork(u *Unknown, branches ...func() completion) completion {
	m.unknowns++
	outer := m.txn
	var states []*txn
	var outs []completion
	var failure *thrown
	for _, b := range branches {
		m.txn = newTxn()
		t := m.txn
		var out completion
		exception := m.try(func() {
			// An evaluation that is stopped for good leaves nothing half done.
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
		after := t.swap()
		m.txn = outer
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

// try runs f and returns the exception that it ended with.
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

func (m *Machine) joinStates(u *Unknown, states []*txn) {
	cells, arrays, objects := map[*cell]bool{}, map[*Array]bool{}, map[*Object]bool{}
	for _, s := range states {
		for c := range s.cells {
			cells[c] = true
		}
		for a := range s.arrays {
			arrays[a] = true
		}
		for o := range s.objects {
			objects[o] = true
		}
	}
	for c := range cells {
		var values []Value
		for _, s := range states {
			v, ok := s.cells[c]
			if !ok {
				v = c.value
			}
			values = append(values, v)
		}
		m.setCell(c, m.join(u, values...))
	}
	for a := range arrays {
		var all []Array
		for _, s := range states {
			v, ok := s.arrays[a]
			if !ok {
				v = Array{append([]Value(nil), a.Elems...), a.Rest}
			}
			all = append(all, v)
		}
		m.touchArray(a)
		*a = m.joinArrays(u, all)
	}
	for o := range objects {
		var all []objectState
		for _, s := range states {
			v, ok := s.objects[o]
			if !ok {
				v = stateOf(o)
			}
			all = append(all, v)
		}
		m.touchObject(o)
		o.restore(m.joinObjects(u, all))
	}
}

// join is the value that is one of several.
func (m *Machine) join(u *Unknown, values ...Value) Value {
	equal := true
	for _, v := range values {
		equal = equal && v != nil && values[0] != nil && same(v, values[0])
	}
	if equal {
		return values[0]
	}
	joined := &Unknown{Why: u.Why, At: u.At, Primitive: true, exact: true}
	for _, v := range values {
		switch v := v.(type) {
		case nil:
		case *Unknown:
			joined.May = append(joined.May, v.May...)
			joined.Missing = joined.Missing || v.Missing
			joined.Marked = joined.Marked || v.Marked
			joined.Dynamic = joined.Dynamic || v.Dynamic
			joined.Primitive = joined.Primitive && v.Primitive
			joined.exact = joined.exact && (v.exact || v.Primitive)
			if joined.From == nil {
				joined.From = v.From
			}
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

// maxMay bounds the candidates that are kept of an unknown value.
const maxMay = 4096

// distinctValues leaves out what comes again.
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

// taint marks an unknown value if one of those that went into it is marked.
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

// joinArrays keeps what all begin with; what follows may be there.
func (m *Machine) joinArrays(u *Unknown, all []Array) Array {
	n := len(all[0].Elems)
	for _, a := range all[1:] {
		n = min(n, len(a.Elems))
	}
	common := 0
	for ; common < n; common++ {
		equal := true
		for _, a := range all[1:] {
			equal = equal && same(a.Elems[common], all[0].Elems[common])
		}
		if !equal {
			break
		}
	}
	out := Array{Elems: append([]Value(nil), all[0].Elems[:common]...)}
	var rest *Unknown
	for _, a := range all {
		if len(a.Elems) > common {
			if rest == nil {
				rest = &Unknown{Why: u.Why, At: u.At}
			}
			for _, v := range a.Elems[common:] {
				rest.May = append(rest.May, v)
				rest.Marked = rest.Marked || m.marked(v)
			}
		}
	}
	for _, a := range all {
		rest = m.mergeRest(rest, a.Rest)
	}
	out.Rest = rest
	return out
}

func (m *Machine) joinObjects(u *Unknown, all []objectState) objectState {
	out := objectState{props: map[string]Prop{}}
	for _, s := range all {
		out.rest = m.mergeRest(out.rest, s.rest)
		for _, k := range s.keys {
			if _, ok := out.props[k]; ok {
				continue
			}
			out.keys = append(out.keys, k)
			var values []Value
			for _, other := range all {
				if q, ok := other.props[k]; ok {
					values = append(values, q.Val)
				} else {
					values = append(values, Undefined{})
				}
			}
			out.props[k] = Prop{Val: m.join(u, values...), hidden: s.props[k].hidden}
		}
	}
	return out
}
