package jseval

import "slices"

// The part of an asynchronous function after its first await, and the
// callbacks of a promise, run after the code that called them. A list that is
// filled there is still empty when it is passed on in between. In a branch
// that may not be taken, everything runs immediately.

// promise is a value that `await` unwraps. It is nil until it is settled.
type promise struct {
	value   Value
	waiting []func() // tasks
}

func newPromise(v Value) *Object { return &Object{Host: &promise{value: v}} }

// later runs f, which returns a promise's value, after the current code and,
// if there is another promise, after that one is settled.
func (m *Machine) later(after *promise, f func() Value) *Object {
	p := &promise{}
	calls := slices.Clone(m.calls)
	task := func() {
		outer := m.calls
		m.calls = calls
		p.value = m.Await(f())
		m.calls = outer
		m.tasks = append(m.tasks, p.waiting...)
	}
	if after != nil && after.value == nil {
		after.waiting = append(after.waiting, task)
	} else {
		m.tasks = append(m.tasks, task)
	}
	return &Object{Host: p}
}

// settle runs the postponed tasks.
func (m *Machine) settle() {
	for len(m.tasks) > 0 && m.txn == nil {
		task := m.tasks[0]
		m.tasks = m.tasks[1:]
		task()
	}
}

// Await unwraps a promise.
func (m *Machine) Await(v Value) Value {
	o, _ := v.(*Object)
	if o == nil {
		return v
	}
	p, ok := o.Host.(*promise)
	switch {
	case !ok:
		return v
	case p.value == nil:
		m.settle()
	}
	if p.value == nil {
		return m.unknown("it is the value of a promise that is not settled yet", Place{})
	}
	return p.value
}

// method returns a method of a promise.
func (p *promise) method(key string) Value {
	return NewFunc(key, func(c *Call) Value {
		if _, ok := c.Arg(0).(*Func); key != "then" || !ok {
			c.notEvaluated("it depends on whether a promise fails")
			return c.This
		}
		back := func() Value { return c.M.call(c.Arg(0), []Value{c.M.Await(c.This)}, c.At) }
		if c.M.txn != nil {
			return newPromise(c.M.Await(back()))
		}
		return c.M.later(p, back)
	})
}

func promiseAll(c *Call) Value {
	elems, rest := c.M.iterate(c.Arg(0), c.At)
	out := &Array{Rest: rest}
	for _, v := range elems {
		out.Elems = append(out.Elems, c.M.Await(v))
	}
	return newPromise(out)
}
