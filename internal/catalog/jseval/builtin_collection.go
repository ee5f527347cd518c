package jseval

import "slices"

// collection is a Set, whose keys are its values, or a Map.
type collection struct {
	isMap      bool
	keys, vals []Value
	rest       *Unknown
}

func (c *collection) clone() *collection {
	return &collection{isMap: c.isMap, keys: slices.Clone(c.keys), vals: slices.Clone(c.vals), rest: c.rest}
}

// entries are what iterating gives.
func (c *collection) entries() []Value {
	if !c.isMap {
		return slices.Clone(c.keys)
	}
	var all []Value
	for i, k := range c.keys {
		all = append(all, &Array{Elems: []Value{k, c.vals[i]}})
	}
	return all
}

func (c *collection) find(key Value) int {
	return slices.IndexFunc(c.keys, func(k Value) bool { return same(k, key) })
}

func (c *collection) add(key, val Value) {
	if i := c.find(key); i >= 0 {
		c.vals[i] = val
		return
	}
	c.keys, c.vals = append(c.keys, key), append(c.vals, val)
}

// newCollection is `new Set(list)` or `new Map(entries)`.
func newCollection(c *Call, isMap bool) Value {
	col := &collection{isMap: isMap}
	o := &Object{Host: col}
	if isNullish(c.Arg(0)) {
		return o
	}
	elems, rest := c.M.iterate(c.Arg(0), c.At)
	col.rest = rest
	for _, e := range elems {
		c.M.steps += len(col.keys) / 32
		c.M.step()
		if !isMap {
			col.add(e, e)
			continue
		}
		pair, _ := c.M.iterate(e, c.At)
		col.add(elementAt(pair, 0, nil), elementAt(pair, 1, nil))
	}
	return o
}

func onCollection(f func(c *Call, o *Object, col *collection) Value) Native {
	return func(c *Call) Value {
		if o, ok := c.This.(*Object); ok {
			if col, ok := o.Host.(*collection); ok {
				c.M.steps += len(col.keys) / 32
				c.M.step()
				return f(c, o, col)
			}
		}
		return c.Unknown("a collection's method is called on what is none")
	}
}

func makeCollectionMethods() methods {
	list := func(pick func(col *collection) []Value) Native {
		return onCollection(func(c *Call, o *Object, col *collection) Value {
			return &Array{Elems: pick(col), Rest: col.rest}
		})
	}
	return methods{
		"add": onCollection(func(c *Call, o *Object, col *collection) Value {
			c.M.touchObject(o)
			col.add(c.Arg(0), c.Arg(0))
			return o
		}),
		"set": onCollection(func(c *Call, o *Object, col *collection) Value {
			c.M.touchObject(o)
			if u, ok := c.Arg(0).(*Unknown); ok {
				col.rest = c.M.mergeRest(col.rest, &Unknown{Why: u.Why, At: u.At, May: []Value{c.Arg(1)}, Marked: c.M.marked(c.Arg(1))})
				return o
			}
			col.add(c.Arg(0), c.Arg(1))
			return o
		}),
		"delete": onCollection(func(c *Call, o *Object, col *collection) Value {
			c.M.touchObject(o)
			i := col.find(c.Arg(0))
			if i < 0 {
				return false
			}
			col.keys, col.vals = slices.Delete(col.keys, i, i+1), slices.Delete(col.vals, i, i+1)
			return true
		}),
		"clear": onCollection(func(c *Call, o *Object, col *collection) Value {
			c.M.touchObject(o)
			col.keys, col.vals, col.rest = nil, nil, nil
			return Undefined{}
		}),
		"has": onCollection(func(c *Call, o *Object, col *collection) Value {
			if col.find(c.Arg(0)) >= 0 {
				return true
			}
			if u, ok := c.Arg(0).(*Unknown); ok {
				return c.M.primitive(u)
			}
			if col.rest != nil {
				return c.M.primitive(col.rest)
			}
			return false
		}),
		"get": onCollection(func(c *Call, o *Object, col *collection) Value {
			if i := col.find(c.Arg(0)); i >= 0 {
				return col.vals[i]
			}
			if u, ok := c.Arg(0).(*Unknown); ok {
				return c.M.taint(&Unknown{Why: u.Why, At: u.At, May: slices.Clone(col.vals)}, col.vals...)
			}
			if col.rest != nil {
				return col.rest
			}
			return Undefined{}
		}),
		"forEach": onCollection(func(c *Call, o *Object, col *collection) Value {
			for i, k := range slices.Clone(col.keys) {
				c.M.call(c.Arg(0), Undefined{}, []Value{elementAt(col.vals, i, nil), k, o}, c.At)
			}
			return Undefined{}
		}),
		"keys":   list(func(col *collection) []Value { return slices.Clone(col.keys) }),
		"values": list(func(col *collection) []Value { return slices.Clone(col.vals) }),
		"entries": list(func(col *collection) []Value {
			col = &collection{isMap: true, keys: col.keys, vals: col.vals}
			return col.entries()
		}),
	}
}

// promise is a value that `await` unwraps.
type promise struct{ value Value }

func newPromise(v Value) *Object { return &Object{Host: &promise{v}} }

func makePromiseMethods() methods {
	return methods{
		"then": func(c *Call) Value {
			v := c.M.await(c.This)
			if _, ok := c.Arg(0).(*Func); !ok {
				return newPromise(v)
			}
			return newPromise(c.M.await(c.M.call(c.Arg(0), Undefined{}, []Value{v}, c.At)))
		},
		"catch": func(c *Call) Value { return c.This },
		"finally": func(c *Call) Value {
			c.M.call(c.Arg(0), Undefined{}, nil, c.At)
			return c.This
		},
	}
}
