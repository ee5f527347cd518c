package jseval

// objectFunctions are Object.keys and the like.
func objectFunctions() map[string]Native {
	same := func(c *Call) Value { return c.Arg(0) }
	keys := func(c *Call) Value { return c.entries(func(k string, v Value) Value { return k }) }
	return map[string]Native{
		"keys": keys, "getOwnPropertyNames": keys,
		"values": func(c *Call) Value { return c.entries(func(k string, v Value) Value { return v }) },
		"entries": func(c *Call) Value {
			return c.entries(func(k string, v Value) Value { return &Array{Elems: []Value{k, v}} })
		},
		"fromEntries": objectFromEntries,
		"assign": func(c *Call) Value {
			o, ok := c.Arg(0).(*Object)
			if f, isFunc := c.Arg(0).(*Func); isFunc && f.native == nil {
				o, ok = f.statics(), true
			}
			if !ok {
				return c.notEvaluated("it is made by Object.assign, which is evaluated for plain objects alone")
			}
			for _, from := range c.Args[1:] {
				c.M.copyProps(o, from, c.At, nil)
			}
			if c.Rest != nil {
				c.M.forgetProps(o, c.Rest)
			}
			return c.Arg(0)
		},
		"freeze": same, "seal": same, "preventExtensions": same,
		"hasOwn": func(c *Call) Value { return c.M.has(c.Arg(0), c.Arg(1), c.At) },
		"defineProperty": func(c *Call) Value {
			u := c.notEvaluated("it depends on Object.defineProperty, which is not evaluated")
			if o, ok := c.Arg(0).(*Object); ok {
				c.M.forgetProps(o, u)
			}
			return c.Arg(0)
		},
	}
}

// entries lists what pick makes of each property of the first argument.
func (c *Call) entries(pick func(k string, v Value) Value) Value {
	out := &Array{}
	keys, rest := c.M.keysOf(c.Arg(0), c.At)
	for _, k := range keys {
		name, _ := k.(string)
		out.Elems = append(out.Elems, pick(name, c.M.get(c.Arg(0), name, c.At)))
	}
	if rest == nil {
		return out
	}
	out.Rest = c.M.taint(rest.with(nil), c.Arg(0))
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
	return out
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
