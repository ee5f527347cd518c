package jseval

// makeObjectMethods are those that every object inherits.
func makeObjectMethods() methods {
	return methods{
		"hasOwnProperty": func(c *Call) Value { return c.M.hasOwn(c.This, c.Arg(0), c.At) },
		"toString":       func(c *Call) Value { return "[object Object]" },
		"valueOf":        func(c *Call) Value { return c.This },
	}
}

func makeFuncMethods() methods {
	return methods{
		"call": func(c *Call) Value {
			var args []Value
			if len(c.Args) > 1 {
				args = c.Args[1:]
			}
			return c.M.callRest(c.This, c.Arg(0), args, c.Rest, c.At)
		},
		"apply": func(c *Call) Value {
			var args []Value
			var rest *Unknown
			if !isNullish(c.Arg(1)) {
				args, rest = c.M.iterate(c.Arg(1), c.At)
			}
			return c.M.callRest(c.This, c.Arg(0), args, rest, c.At)
		},
		"bind": func(c *Call) Value {
			f, this := c.This, c.Arg(0)
			var bound []Value
			if len(c.Args) > 1 {
				bound = c.Args[1:]
			}
			return NewFunc("bound", func(inner *Call) Value {
				args := append(append([]Value(nil), bound...), inner.Args...)
				return inner.M.callRest(f, this, args, inner.Rest, inner.At)
			})
		},
	}
}

// objectFunctions are Object.keys and the like.
func objectFunctions() map[string]Native {
	entries := func(c *Call, pick func(k string, v Value) Value) Value {
		out := &Array{}
		keys, rest := c.M.keysOf(c.Arg(0), c.At)
		for _, k := range keys {
			name, _ := k.(string)
			out.Elems = append(out.Elems, pick(name, c.M.get(c.Arg(0), name, c.At)))
		}
		if rest != nil {
			out.Rest = c.M.taint(&Unknown{Why: rest.Why, At: rest.At, Marked: rest.Marked}, c.Arg(0))
			// An object of which there is only a choice gives its values.
			if u, ok := c.Arg(0).(*Unknown); ok {
				for _, may := range u.May {
					if o, ok := may.(*Object); ok {
						for _, k := range o.Keys() {
							out.Rest.May = append(out.Rest.May, pick(k, c.M.get(o, k, c.At)))
						}
					}
				}
			}
		}
		return out
	}
	same := func(c *Call) Value { return c.Arg(0) }
	return map[string]Native{
		"keys":   func(c *Call) Value { return entries(c, func(k string, v Value) Value { return k }) },
		"values": func(c *Call) Value { return entries(c, func(k string, v Value) Value { return v }) },
		"entries": func(c *Call) Value {
			return entries(c, func(k string, v Value) Value { return &Array{Elems: []Value{k, v}} })
		},
		"getOwnPropertyNames": func(c *Call) Value { return entries(c, func(k string, v Value) Value { return k }) },
		"fromEntries":         objectFromEntries,
		"assign": func(c *Call) Value {
			for _, from := range c.Args[min(1, len(c.Args)):] {
				switch o := c.Arg(0).(type) {
				case *Object:
					c.M.copyProps(o, from, c.At, nil)
				case *Func:
					if o.props == nil {
						o.props = &Object{}
					}
					c.M.copyProps(o.props, from, c.At, nil)
				case *Unknown:
					return c.Unknown(o.Why)
				}
			}
			if o, ok := c.Arg(0).(*Object); ok && c.Rest != nil {
				c.M.forgetProps(o, c.Rest)
			}
			return c.Arg(0)
		},
		"freeze": same, "seal": same, "preventExtensions": same,
		"create": func(c *Call) Value {
			o := &Object{}
			o.proto, _ = c.Arg(0).(*Object)
			return o
		},
		"hasOwn": func(c *Call) Value { return c.M.hasOwn(c.Arg(0), c.Arg(1), c.At) },
		"is": func(c *Call) Value {
			if u := c.unknownArg(); u != nil {
				return c.M.primitive(u)
			}
			return sameValue(c.Arg(0), c.Arg(1))
		},
		"getPrototypeOf": func(c *Call) Value {
			if o, ok := c.Arg(0).(*Object); ok && o.proto != nil {
				return o.proto
			}
			return c.Unknown("it asks for a prototype")
		},
		"defineProperty": objectDefineProperty,
	}
}

func sameValue(a, b Value) bool { return same(a, b) }

func objectDefineProperty(c *Call) Value {
	key, u := c.M.text(c.Arg(1), c.At)
	o, ok := c.Arg(0).(*Object)
	if f, isFunc := c.Arg(0).(*Func); isFunc {
		if f.props == nil {
			f.props = &Object{}
		}
		o, ok = f.props, true
	}
	if !ok {
		return c.Arg(0)
	}
	if u != nil {
		c.M.forgetProps(o, u)
		return c.Arg(0)
	}
	c.M.touchObject(o)
	shown, known := truth(c.M.get(c.Arg(2), "enumerable", c.At))
	p := Prop{Val: c.M.get(c.Arg(2), "value", c.At), hidden: known && !shown}
	if get, ok := c.M.get(c.Arg(2), "get", c.At).(*Func); ok {
		p = Prop{Get: get, hidden: p.hidden}
	}
	o.setProp(key, p)
	return c.Arg(0)
}

func objectFromEntries(c *Call) Value {
	o := &Object{}
	elems, rest := c.M.iterate(c.Arg(0), c.At)
	for _, e := range elems {
		pair, more := c.M.iterate(e, c.At)
		if len(pair) == 0 || more != nil {
			c.M.forgetProps(o, c.Unknown("an entry is unknown"))
			continue
		}
		key, u := c.M.text(pair[0], c.At)
		v := elementAt(pair, 1, nil)
		if u != nil {
			c.M.forgetProps(o, c.M.taint(u, v))
			continue
		}
		o.set(key, v)
	}
	if rest != nil {
		c.M.forgetProps(o, rest)
	}
	return o
}

func (m *Machine) hasOwn(v, key Value, at Place) Value {
	k, u := m.text(key, at)
	if u != nil {
		return u
	}
	switch o := v.(type) {
	case *Object:
		if _, ok := o.Own(k); ok {
			return true
		}
		if o.Rest != nil {
			return m.primitive(o.Rest)
		}
		return false
	case *Namespace:
		return m.has(v, key, at)
	case *Unknown:
		return m.primitive(v.(*Unknown))
	}
	return false
}
