package reader

import (
	"fmt"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
)

// client is an instance of the SDK's Inngest class.
type client struct {
	id  jseval.Value
	fns *jseval.Array // client.funcs
}

// function is the result of createFunction.
type function struct {
	client   *client // nil if the client is not known
	options  jseval.Value
	triggers jseval.Value
	callback jseval.Value
	inline   bool // the triggers are among the options, as in SDK 4
	deferred bool // created by createDefer or createScorer
	throws   string
	at       jseval.Place
	node     any
	calls    []jseval.Place
	// later means that a call which evaluation only supposes has created it.
	later bool
}

type functionKey struct {
	site, via, from [2]any
	id              string
}

// sdk replaces the npm package inngest, versions 2 to 4, in one evaluation. It
// records what was created and served.
type sdk struct {
	names   map[string]jseval.Value
	clients []*jseval.Object
	created []*function
	// served contains the calls of serve and similar functions: *served in
	// objects, in a list that belongs to the evaluation, so that a call that
	// depends on an unknown value is among the candidates of the list.
	served *jseval.Array
	known  map[servedKey]*jseval.Object
	// reached contains the nodes of the calls that were evaluated.
	reached map[any]bool
	escapes []jseval.Escape
	dynamic []jseval.Escape
	// later is set while calls are only supposed, and then collects what they
	// serve.
	later      bool
	laterServe []*served
	// major returns the SDK's major version for a file, or 0.
	major func(file string) int
}

// maxFunctions limits how many functions one evaluation creates. The largest
// known workers have a few hundred.
const maxFunctions = 5_000

func newSDK(major func(file string) int) *sdk {
	s := &sdk{reached: map[any]bool{}, major: major, served: &jseval.Array{}, known: map[servedKey]*jseval.Object{}}
	isClient := func(host any) bool { _, ok := host.(*client); return ok }
	natives := map[string]jseval.Native{
		"Inngest": s.newClient,
		"InngestFunction": func(c *jseval.Call) jseval.Value {
			return c.Unknown("it is made by the SDK's own class")
		},
		"isInngest":         func(c *jseval.Call) jseval.Value { return is(c, isClient) },
		"isInngestFunction": func(c *jseval.Call) jseval.Value { return is(c, isFunction) },
		// SDK 4: components/triggers/triggers.ts.
		"eventType": func(c *jseval.Call) jseval.Value {
			return jseval.NewObject("event", c.Arg(0), "name", c.Arg(0))
		},
		"cron":   func(c *jseval.Call) jseval.Value { return jseval.NewObject("cron", c.Arg(0)) },
		"invoke": func(*jseval.Call) jseval.Value { return jseval.NewObject("event", invoked, "name", invoked) },
		"slugify": func(c *jseval.Call) jseval.Value {
			text, ok := c.Arg(0).(string)
			if !ok {
				return c.Unknown("it is made of what is unknown")
			}
			return slugify(text)
		},
		"createDefer":  s.createDefer,
		"createScorer": s.createDefer,
		"connect":      s.connect,
		fastifyPlugin:  s.plugin,
	}
	natives["InngestCommHandler"] = s.commHandler
	for _, name := range []string{"serve", "createServer", "serveEdge"} {
		natives[name] = s.serve
	}
	s.names = map[string]jseval.Value{}
	for name, n := range natives {
		s.names[name] = jseval.NewFunc(name, n)
	}
	return s
}

// invoked is the event of SDK 4's invoke trigger, which is not registered.
const invoked = "inngest/function.invoked"

func isFunction(host any) bool {
	_, ok := host.(*function)
	return ok
}

// is returns the host object of the first argument.
func is(c *jseval.Call, test func(host any) bool) jseval.Value {
	switch v := c.Arg(0).(type) {
	case *jseval.Unknown:
		u := *v
		u.May, u.Primitive = nil, true
		return &u
	case *jseval.Object:
		return test(v.Host)
	}
	return false
}

// external returns the exports of the package inngest and its subpaths.
func (s *sdk) external(spec, name string) (jseval.Value, bool) {
	if spec != sdkPackage && !strings.HasPrefix(spec, sdkPackage+"/") {
		return nil, false
	}
	if name == "default" && strings.HasSuffix(spec, "/fastify") {
		name = fastifyPlugin
	}
	if name == "*" {
		o := &jseval.Object{Rest: &jseval.Unknown{Why: "it comes from the package \"inngest\", which is not read"}}
		for n, v := range s.names {
			o.Set(n, v)
		}
		if v, ok := s.external(spec, "default"); ok {
			o.Set("default", v)
		}
		return o, true
	}
	v, ok := s.names[name]
	return v, ok
}

// newClient is `new Inngest({id})`. SDK 2 uses a name instead of the id.
func (s *sdk) newClient(c *jseval.Call) jseval.Value {
	id := c.Get(c.Arg(0), "id")
	if _, ok := id.(jseval.Undefined); ok {
		if name, ok := c.Get(c.Arg(0), "name").(string); ok {
			id = slugify(name)
		}
	}
	cl := &client{id: id, fns: &jseval.Array{}}
	o := &jseval.Object{Host: cl}
	s.clients = append(s.clients, o)
	o.Set("id", cl.id)
	o.Set("name", c.Get(c.Arg(0), "name"))
	o.Set("funcs", cl.fns)
	o.Set("createFunction", jseval.NewFunc("createFunction", func(c *jseval.Call) jseval.Value { return s.createFunction(c, cl) }))
	o.Set("send", jseval.NewFunc("send", func(c *jseval.Call) jseval.Value { return c.Unknown("it is what sending an event returns") }))
	return o
}

// method recognises createFunction by the form of the call if it is called on
// an unknown value: a client that another package creates, or that is passed
// in.
func (s *sdk) method(name string, c *jseval.Call) (jseval.Value, bool) {
	if name != createFunction || len(c.Args) < 2 {
		return nil, false
	}
	options, ok := c.Arg(0).(*jseval.Object)
	if !ok {
		return nil, false
	}
	if _, ok := options.Own("id"); !ok {
		return nil, false
	}
	return s.createFunction(c, nil), true
}

// createFunction implements client.createFunction in both forms:
//
//	v3: (options, trigger or triggers, handler), InngestFunction.ts of 3.54
//	v4: (options with triggers, handler), Inngest.ts of 4.24
func (s *sdk) createFunction(c *jseval.Call, cl *client) jseval.Value {
	f := &function{client: cl, options: c.Arg(0)}
	s.takeTriggers(c, f)
	f.callback = c.Arg(2)
	if f.inline {
		f.callback = c.Arg(1)
	}
	if id, ok := f.options.(string); ok { // the form of v2, which v3 still accepts
		key := "id"
		if s.major(c.At.File()) == 2 {
			key = "name"
		}
		f.options = jseval.NewObject(key, id)
	}
	return s.add(c, f)
}

// createDefer implements createDefer(client, options, handler) of
// inngest/experimental, and createScorer, which wraps it
// (components/DeferredFunction.ts of 4.24).
func (s *sdk) createDefer(c *jseval.Call) jseval.Value {
	f := &function{options: c.Arg(1), callback: c.Arg(2), inline: true, deferred: true}
	if o, ok := c.Arg(0).(*jseval.Object); ok {
		f.client, _ = o.Host.(*client)
	}
	if id, ok := c.Get(f.options, "id").(string); ok && strings.ContainsAny(id, "'\\\n\r") {
		f.throws = "the id of a deferred function must be without quotes, backslashes and line ends"
	}
	return s.add(c, f)
}

func (s *sdk) add(c *jseval.Call, f *function) jseval.Value {
	if len(s.created) >= maxFunctions {
		c.Stop(fmt.Sprintf("it creates more than %d functions", maxFunctions))
	}
	s.reached[c.Node] = true
	f.at, f.node, f.calls, f.later = c.At, c.Node, c.M.Calls(), s.later
	s.created = append(s.created, f)

	id := c.Get(f.options, "id")
	o := &jseval.Object{Host: f}
	o.Set("opts", f.options)
	o.Set("client", c.This)
	o.Set("name", orElse(c.Get(f.options, "name"), id))
	o.Set("id", jseval.NewFunc("id", func(*jseval.Call) jseval.Value { return id }))
	o.Set("absoluteId", c.Unknown("it depends on the app's id"))
	if f.client != nil {
		c.M.Push(f.client.fns, o)
	}
	return o
}

// takeTriggers finds the triggers by the version of the SDK or, if that is not
// known, by the form of the call.
func (s *sdk) takeTriggers(c *jseval.Call, f *function) {
	second := c.Arg(1)
	_, handler := second.(*jseval.Func)
	_, open := second.(*jseval.Unknown)
	switch s.major(c.At.File()) {
	case 2, 3:
		f.triggers = second
		if handler { // [handler] is interpreted as the list of triggers
			f.triggers = &jseval.Array{Elems: []jseval.Value{&jseval.Object{}}}
		}
		return
	case 4:
		f.inline = true
		if !handler && !open {
			f.throws = "SDK 4 wants the handler as the second argument, and the triggers among the options"
		}
	default:
		f.inline = handler || open && len(c.Args) == 2
	}
	f.triggers = second
	if f.inline {
		f.triggers = c.Get(f.options, "triggers")
	}
}

func orElse(v, otherwise jseval.Value) jseval.Value {
	if is, known := jseval.Truth(v); known && !is {
		return otherwise
	}
	return v
}

// slugify works like the SDK's function with that name (helpers/strings.ts).
func slugify(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
}

// marked reports whether a value is or contains a client, its createFunction
// or a function.
func marked(v jseval.Value) bool { return holds(v, 0) }

func holds(v jseval.Value, depth int) bool {
	switch v := v.(type) {
	case *jseval.Unknown:
		return v.Marked
	case *jseval.Func:
		return v.Native() && v.Name == createFunction
	case *jseval.Array:
		if depth < 2 {
			for _, e := range v.Elems {
				if holds(e, depth+1) {
					return true
				}
			}
		}
		return v.Rest != nil && v.Rest.Marked
	case *jseval.Object:
		switch v.Host.(type) {
		case *client, *function:
			return true
		}
		if depth < 2 {
			for _, k := range v.Keys() {
				if p, _ := v.Own(k); holds(p, depth+1) {
					return true
				}
			}
		}
	}
	return false
}
