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

// function is what createFunction made.
type function struct {
	client   *client // nil where the client could not be decided
	options  jseval.Value
	triggers jseval.Value
	inline   bool // the triggers are among the options, as in SDK 4
	throws   string
	at       jseval.Place
	calls    []jseval.Place
}

// key tells functions apart across machines: where, and made from where.
func (f *function) key(id string) functionKey {
	k := functionKey{site: f.at.Key(), id: id}
	if len(f.calls) > 0 {
		k.via = f.calls[0].Key()
	}
	return k
}

type functionKey struct {
	site, via [2]any
	id        string
}

// sdk stands in for the npm package inngest, versions 3 and 4, in one
// evaluation: it keeps what was made and served.
type sdk struct {
	names   map[string]jseval.Value
	created []*function
	served  []served
	// sites are the calls of createFunction that were reached.
	sites map[[2]any]bool
	// major is the SDK's version for a file, or 0.
	major func(file string) int
}

// served is one call of a handler: serve({client, functions}).
type served struct {
	functions jseval.Value
	at        jseval.Place
}

// maxFunctions bounds what one evaluation creates; the largest workers that
// are known have a few hundred.
const maxFunctions = 5_000

func newSDK(major func(file string) int) *sdk {
	s := &sdk{sites: map[[2]any]bool{}, major: major}
	native := func(name string, n jseval.Native) *jseval.Func { return jseval.NewFunc(name, n) }
	s.names = map[string]jseval.Value{
		"Inngest": instanceTest(native("Inngest", s.newClient), func(h any) bool { _, ok := h.(*client); return ok }),
		"InngestFunction": instanceTest(native("InngestFunction", func(c *jseval.Call) jseval.Value {
			return c.Unknown("it is made by the SDK's own class")
		}), isFunction),
		"isInngest": native("isInngest", func(c *jseval.Call) jseval.Value {
			return is(c, func(h any) bool { _, ok := h.(*client); return ok })
		}),
		"isInngestFunction": native("isInngestFunction", func(c *jseval.Call) jseval.Value { return is(c, isFunction) }),
		// SDK 4: components/triggers/triggers.ts.
		"eventType": native("eventType", func(c *jseval.Call) jseval.Value {
			return jseval.NewObject("event", c.Arg(0), "name", c.Arg(0))
		}),
		"cron": native("cron", func(c *jseval.Call) jseval.Value { return jseval.NewObject("cron", c.Arg(0)) }),
		"invoke": native("invoke", func(c *jseval.Call) jseval.Value {
			return jseval.NewObject("event", invoked, "name", invoked)
		}),
		"slugify": native("slugify", func(c *jseval.Call) jseval.Value {
			text, ok := c.Arg(0).(string)
			if !ok {
				return c.Unknown("it is made of what is unknown")
			}
			return slugify(text)
		}),
	}
	for _, name := range []string{"serve", "createServer", "serveEdge"} {
		s.names[name] = native(name, s.serve)
	}
	s.names["connect"] = native("connect", s.connect)
	return s
}

// invoked is the event of SDK 4's invoke trigger, which is not registered.
const invoked = "inngest/function.invoked"

func isFunction(host any) bool {
	_, ok := host.(*function)
	return ok
}

// is asks for the host of the first argument.
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

// instanceTest lets a native class stand right of instanceof.
func instanceTest(f *jseval.Func, test func(host any) bool) *jseval.Func {
	return f.WithInstanceTest(func(c *jseval.Call) jseval.Value { return is(c, test) })
}

// external gives the exports of the package inngest and its subpaths.
func (s *sdk) external(spec, name string) (jseval.Value, bool) {
	if spec != "inngest" && !strings.HasPrefix(spec, "inngest/") {
		return nil, false
	}
	if name == "*" {
		o := &jseval.Object{Rest: &jseval.Unknown{Why: "it comes from the package \"inngest\", which is not read"}}
		for n, v := range s.names {
			o.Set(n, v)
		}
		return o, true
	}
	v, ok := s.names[name]
	return v, ok
}

// newClient is `new Inngest({id})`.
func (s *sdk) newClient(c *jseval.Call) jseval.Value {
	cl := &client{id: c.Get(c.Arg(0), "id"), fns: &jseval.Array{}}
	o := &jseval.Object{Host: cl}
	o.SetHidden("id", cl.id)
	o.SetHidden("funcs", cl.fns)
	o.SetHidden("createFunction", jseval.NewFunc("createFunction", func(c *jseval.Call) jseval.Value { return s.createFunction(c, cl) }))
	o.SetHidden("send", jseval.NewFunc("send", func(c *jseval.Call) jseval.Value { return c.Unknown("it is what sending an event returns") }))
	return o
}

// method knows createFunction by its shape where it is called on a value that
// cannot be decided: a client that another package makes, or is passed in.
func (s *sdk) method(name string, c *jseval.Call) (jseval.Value, bool) {
	if name != "createFunction" || len(c.Args) < 2 {
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

// createFunction is client.createFunction in either form:
//
//	v3: (options, trigger or triggers, handler), InngestFunction.ts of 3.54
//	v4: (options with triggers, handler), Inngest.ts of 4.24
func (s *sdk) createFunction(c *jseval.Call, cl *client) jseval.Value {
	if len(s.created) >= maxFunctions {
		c.Stop(fmt.Sprintf("it creates more than %d functions", maxFunctions))
	}
	s.sites[c.At.Key()] = true
	f := &function{client: cl, options: c.Arg(0), at: c.At, calls: c.M.Calls()}
	s.takeTriggers(c, f)
	if id, ok := f.options.(string); ok { // v2 form, which v3 still takes
		f.options = jseval.NewObject("id", id)
	}
	s.created = append(s.created, f)

	id := c.Get(f.options, "id")
	o := &jseval.Object{Host: f}
	o.SetHidden("opts", f.options)
	o.SetHidden("client", c.This)
	o.SetHidden("name", orElse(c.Get(f.options, "name"), id))
	o.SetHidden("id", jseval.NewFunc("id", func(*jseval.Call) jseval.Value { return id }))
	o.SetHidden("absoluteId", c.Unknown("it depends on the app's id"))
	if cl != nil {
		c.M.Push(cl.fns, o)
	}
	return o
}

// takeTriggers finds the triggers by the SDK's version, and where that is not
// known by the form of the call.
func (s *sdk) takeTriggers(c *jseval.Call, f *function) {
	second := c.Arg(1)
	_, handler := second.(*jseval.Func)
	_, open := second.(*jseval.Unknown)
	switch s.major(f.at.File()) {
	case 3:
		f.triggers = second
		if handler { // [handler] is taken for the list of triggers
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

// serve is serve({client, functions}) of any framework's handler.
func (s *sdk) serve(c *jseval.Call) jseval.Value {
	if o, ok := c.Arg(0).(*jseval.Object); ok {
		s.served = append(s.served, served{c.Get(o, "functions"), c.At})
	}
	return c.Unknown("it is a request handler of the SDK")
}

// connect is connect({apps: [{client, functions}]}).
func (s *sdk) connect(c *jseval.Call) jseval.Value {
	apps, _ := c.List(c.Get(c.Arg(0), "apps"))
	for _, app := range apps {
		s.served = append(s.served, served{c.Get(app, "functions"), c.At})
	}
	return c.Unknown("it is a connection of the SDK")
}

// slugify is the SDK's helper of that name (helpers/strings.ts).
func slugify(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
}

// marked reports whether a value is a client or a function, or holds one.
func marked(v jseval.Value) bool { return holds(v, 0) }

func holds(v jseval.Value, depth int) bool {
	switch v := v.(type) {
	case *jseval.Unknown:
		return v.Marked
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
				if p, _ := v.Own(k); p.Val != nil && holds(p.Val, depth+1) {
					return true
				}
			}
		}
	}
	return false
}
