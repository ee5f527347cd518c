package reader

import "github.com/joelhooks/gh-sbw/internal/catalog/jseval"

// served is one call of a handler: serve({client, functions}).
type served struct {
	functions jseval.Value
	app       jseval.Value
	at        jseval.Place
	calls     []jseval.Place // the active calls, as in function
	by        *jseval.Func   // the function that is supposed to be called
}

// servedKey identifies calls that serve the same list with the same length.
type servedKey struct {
	functions, app jseval.Value
	length         int
}

// fastifyPlugin is the export that a framework calls with the options.
const fastifyPlugin = "fastifyPlugin"

// registers lists the exports of the SDK that register functions.
var registers = []string{"serve", "createServer", "serveEdge", "connect", "InngestCommHandler", fastifyPlugin}

// serve implements serve({client, functions}) of any framework's handler, and
// serve(client or name, functions) of SDK 2.
func (s *sdk) serve(c *jseval.Call) jseval.Value {
	if len(c.Args) > 1 && s.positional(c, c.Args) {
		s.register(c, c.Args[1], c.Args[0], jseval.Undefined{}, false)
		return s.handler(c)
	}
	options := c.Arg(0)
	s.register(c, c.Get(options, "functions"), c.Get(options, "client"), c.Get(options, "id"), false)
	return s.handler(c)
}

// commHandler implements new InngestCommHandler. Its arguments are those of
// serve; in SDK 2 the framework's name precedes them.
func (s *sdk) commHandler(c *jseval.Call) jseval.Value {
	if _, named := c.Arg(0).(string); named && len(c.Args) > 2 {
		c.Args = c.Args[1:]
	}
	return s.serve(c)
}

// positional reports whether the second argument of a handler is its list of
// functions. SDK 2 has no other form. If the version is not known, a client, a
// name or a list identifies it.
func (s *sdk) positional(c *jseval.Call, args []jseval.Value) bool {
	if s.major(c.At.File()) == 2 {
		return true
	}
	if _, isList := args[1].(*jseval.Array); isList {
		return true
	}
	switch first := args[0].(type) {
	case string:
		return true
	case *jseval.Object:
		_, isClient := first.Host.(*client)
		return isClient
	}
	return false
}

func (s *sdk) handler(c *jseval.Call) jseval.Value {
	return &jseval.Unknown{Why: "it is a request handler of the SDK", At: c.At}
}

// plugin implements fastify.register(plugin, {client, functions}) as Fastify
// does: plugin(fastify, options, done).
func (s *sdk) plugin(c *jseval.Call) jseval.Value {
	options := c.Arg(1)
	s.register(c, c.Get(options, "functions"), c.Get(options, "client"), c.Get(c.Get(options, "options"), "id"), false)
	return s.handler(c)
}

// connect implements connect({apps: [{client, functions}]}). functions may be
// omitted (components/connect/index.ts: app.functions ?? client.funcs).
func (s *sdk) connect(c *jseval.Call) jseval.Value {
	apps, rest := c.List(c.Get(c.Arg(0), "apps"))
	for _, app := range apps {
		functions, cl := c.Get(app, "functions"), c.Get(app, "client")
		switch functions.(type) {
		case jseval.Undefined, jseval.Null:
			functions = c.Get(cl, "funcs")
		}
		s.register(c, functions, cl, jseval.Undefined{}, true)
	}
	if rest != nil {
		s.register(c, rest, rest, jseval.Undefined{}, true)
	}
	s.reached[c.Node] = true
	return &jseval.Unknown{Why: "it is a connection of the SDK", At: c.At}
}

// register records what a handler serves, under the handler's own id or the
// client's. live means that it reads the list later, as a connection does.
func (s *sdk) register(c *jseval.Call, functions, cl, id jseval.Value, live bool) {
	s.reached[c.Node] = true
	if _, ok := id.(jseval.Undefined); ok {
		switch v := cl.(type) {
		case string: // SDK 2
			id = slugify(v)
		default:
			id = c.Get(cl, "id")
		}
	}
	key := servedKey{functions: functions, app: id}
	// Functions that are added to the list later are not served, because a
	// handler copies the list (InngestCommHandler:
	// options.functions.filter(Boolean)).
	if a, ok := functions.(*jseval.Array); ok && !live {
		key.length = len(a.Elems)
		functions = &jseval.Array{Elems: append([]jseval.Value(nil), a.Elems...), Rest: a.Rest}
	}
	sv := &served{functions: functions, app: id, at: c.At, calls: c.M.Calls()}
	if s.later {
		s.laterServe = append(s.laterServe, sv)
		return
	}
	o, ok := s.known[key]
	if !ok {
		o = &jseval.Object{Host: sv}
		s.known[key] = o
	}
	c.M.Push(s.served, o)
}

// escaped records values that are passed to code that is not evaluated. A
// framework calls the plugin that it gets with the options that follow it.
func (s *sdk) escaped(m *jseval.Machine, e jseval.Escape) {
	if e.Dynamic && !s.later {
		s.dynamic = append(s.dynamic, e)
	}
	for i, v := range e.Values {
		f, ok := v.(*jseval.Func)
		if !ok || !s.isRegister(f) {
			continue
		}
		c := &jseval.Call{M: m, This: jseval.Undefined{}, At: e.At, Node: e.Node}
		if f.Name == fastifyPlugin && i+1 < len(e.Values) {
			c.Args = []jseval.Value{jseval.Undefined{}, e.Values[i+1]}
			s.plugin(c)
			continue
		}
		u := &jseval.Unknown{Why: f.Name + " of the SDK is passed on: " + e.Why, At: e.At}
		s.register(c, u, u, u, true)
	}
	s.escapes = append(s.escapes, e)
}

func (s *sdk) isRegister(v jseval.Value) bool {
	for _, name := range registers {
		if v == s.names[name] {
			return true
		}
	}
	return false
}
