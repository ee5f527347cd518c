package jseval

import "context"

// These are the operations that a host package uses to inspect and create
// values.

// askSteps limits the steps for one question, because a property may be an
// accessor.
const askSteps = 50_000

// ask lets the program's own code run again after the evaluation.
func (m *Machine) ask(f func()) *Unknown {
	m.steps = maxSteps - askSteps
	if why, _ := m.bounded(f); why != "" {
		return &Unknown{Why: why}
	}
	return nil
}

// Text returns String(v), or the reason why it cannot be determined.
func (m *Machine) Text(v Value) (string, *Unknown) { return m.text(v, Place{}) }

// Get reads a property after the evaluation.
func (m *Machine) Get(v Value, key string) (got Value) {
	if stopped := m.ask(func() { got = m.get(v, key, Place{}) }); stopped != nil {
		return stopped
	}
	return got
}

// Values returns the exports of a namespace in the order of their names.
func (m *Machine) Values(n *Namespace) (values []Value, rest *Unknown) {
	if stopped := m.ask(func() {
		var names []string
		names, rest = m.exportNames(n.module)
		for _, name := range names {
			values = append(values, m.exported(n.module, name, Place{}))
		}
	}); stopped != nil {
		return nil, stopped
	}
	return values, rest
}

// Stop ends the whole evaluation. Every value that is not determined yet
// becomes unknown for that reason.
func (c *Call) Stop(why string) { c.M.stop(why) }

// Failed reports whether a module was not evaluated completely.
func (m *Machine) Failed(path string) bool {
	mod, ok := m.modules[path]
	return !ok || mod.failed != nil || mod.status != evaluated
}

// Around returns the innermost function that contains a call: every function
// that was created from its text.
func (m *Machine) Around(s Site) []*Func {
	for i := len(s.Bodies) - 1; i >= 0; i-- {
		if all := m.closures[s.Bodies[i]]; len(all) > 0 && !all[0].generator {
			return all
		}
	}
	return nil
}

// CallLater calls a function with unknown arguments, as code outside the
// program might do.
func (m *Machine) CallLater(ctx context.Context, f *Func, why string, at Place) {
	m.ctx = ctx
	m.steps = maxSteps - laterSteps
	u := &Unknown{Why: why, At: at}
	m.bounded(func() {
		m.enter(f, nil, u, at)
		m.settle()
	})
}

// laterSteps limits the steps of one CallLater.
const laterSteps = 200_000

// Wanted reports whether a module leads to a wanted word.
func (m *Machine) Wanted(path string) bool { return m.wanted[path] }

// FunctionsIn returns the program's own functions among values, and in their
// elements and properties.
func FunctionsIn(values ...Value) []*Func {
	var all []*Func
	seen := map[Value]bool{}
	var visit func(v Value)
	visit = func(v Value) {
		if f, ok := v.(*Func); ok && !f.Native() {
			all = append(all, f)
		}
		if !seen[v] {
			seen[v] = true
			for _, e := range parts(v) {
				visit(e)
			}
		}
	}
	for _, v := range values {
		visit(v)
	}
	return all
}

// parts returns the elements, properties or candidates of a value.
func parts(v Value) []Value {
	switch v := v.(type) {
	case *Array:
		return append(v.Elems[:len(v.Elems):len(v.Elems)], parts(v.Rest)...)
	case *Object:
		var all []Value
		for _, k := range v.keys {
			all = append(all, v.props[k])
		}
		return append(all, parts(v.Rest)...)
	case *Unknown:
		if v != nil {
			return v.May
		}
	}
	return nil
}

// Code returns the function's body.
func (f *Func) Code() *Code {
	return &Code{scope: f.scope, Source: f.scope.frame.source, Node: f.body}
}
