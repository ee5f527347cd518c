package reader

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
)

// decoded is a function as the SDK would register it.
type decoded struct {
	catalog.Function
	open []catalog.Unresolved
	// idOpen means that its id is not known.
	idOpen bool
	// call is the factory's call that Via names, if called is set.
	call   jseval.Place
	called bool
}

// neverRetried reports whether its retries are known to be 0. This is checked
// even if its id is not known.
func (d *decoded) neverRetried() bool {
	return d.Retries.Value <= 0 && !slices.Contains(d.Undecided, "retries")
}

// decode determines a function's registration from its options, in the same
// way as the SDK's getConfig (components/InngestFunction.ts, 3.54 and 4.24).
func (r *reading) decode(m *jseval.Machine, f *function) *decoded {
	if d, ok := r.decodedBy[f]; ok {
		return d
	}
	d := &decoded{}
	r.decodedBy[f] = d
	d.File, d.Line = f.at.File(), f.at.Line()
	d.Throws = f.throws
	if f.client != nil {
		d.App, _ = f.client.id.(string)
	}
	o := decoder{m: m, f: f, d: d, major: func() int {
		return r.program.Major(filepath.Join(r.program.Root(), filepath.FromSlash(d.File)), sdkPackage)
	}}
	o.id()
	if v, ok := o.get("name"); ok {
		d.Name, _ = v.(string)
	} else {
		o.undecided("name", v, "")
	}
	o.retries()
	o.triggers()
	o.concurrency()
	o.batch()
	o.onFailure()
	d.call, d.called = r.via(f, d.ID)
	if d.called && (d.call.File() != d.File || d.call.Line() != d.Line) {
		d.Via = fmt.Sprintf("%s:%d", d.call.File(), d.call.Line())
	}
	return d
}

// via returns the call of a factory where a reader finds what is specific to
// the function: the innermost one whose arguments contain the id. If the id is
// put together, it is the call of the factory that calls createFunction. The
// outermost call is often only that of a main function.
func (r *reading) via(f *function, id string) (call jseval.Place, ok bool) {
	for _, call := range slices.Backward(f.calls) {
		if id != "" && r.quotes(call, id) {
			return call, true
		}
	}
	if len(f.calls) == 0 {
		return call, false
	}
	return f.calls[len(f.calls)-1], true
}

// callLines limits how many lines of a call are searched for an id.
const callLines = 8

// quotes reports whether the text of a call contains a string. A place may be
// that of the call's first argument.
func (r *reading) quotes(call jseval.Place, text string) bool {
	if call.File() == "" {
		return false
	}
	rest := r.program.Text(r.absolute(call.File()))
	for range call.Line() - 1 {
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
	}
	depth, called := 0, false
	for range callLines {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		for _, quote := range []string{"'", `"`, "`"} {
			if bytes.Contains(line, []byte(quote+text+quote)) {
				return true
			}
		}
		called = called || bytes.ContainsRune(line, '(')
		depth += bytes.Count(line, []byte("(")) - bytes.Count(line, []byte(")"))
		if depth < 0 || called && depth == 0 {
			break
		}
	}
	return false
}

// key identifies a function across machines by where it is created and from
// where. If the id is not known, the whole way there is relevant.
func (r *reading) key(m *jseval.Machine, f *function) functionKey {
	d := r.decode(m, f)
	k := functionKey{site: f.at.Key(), id: d.ID}
	if f.node != nil {
		k.site = [2]any{f.node, nil}
	}
	if d.called {
		k.via = d.call.Key()
	}
	if d.ID == "" && len(f.calls) > 0 {
		k.from = f.calls[0].Key()
	}
	return k
}

type decoder struct {
	m     *jseval.Machine
	major func() int
	f     *function
	d     *decoded
}

// get reads an option. ok is false if it is unknown.
func (o *decoder) get(name string) (jseval.Value, bool) {
	v := o.m.Get(o.f.options, name)
	_, open := v.(*jseval.Unknown)
	return v, !open
}

// undecided records that a field is unknown.
func (o *decoder) undecided(field string, v jseval.Value, otherwise string) {
	why := otherwise
	if u, ok := v.(*jseval.Unknown); ok {
		why = reason(u, o.d.File, o.d.Line)
	}
	o.d.Undecided = append(o.d.Undecided, field)
	what := fmt.Sprintf("the %s of %q", field, o.d.ID)
	if o.d.idOpen || o.d.ID == "" {
		what = fmt.Sprintf("the %s of a function", field)
	}
	o.d.open = append(o.d.open, catalog.Unresolved{File: o.d.File, Line: o.d.Line, What: what, Why: why})
}

// reason explains why a value is unknown, and where it comes from if that is
// another place.
func reason(u *jseval.Unknown, file string, line int) string {
	why := u.Why
	if len(u.May) == 1 {
		switch v := u.May[0].(type) {
		case string:
			why += fmt.Sprintf(", else %q", v)
		case float64, bool:
			why += fmt.Sprintf(", else %v", v)
		}
	}
	if at := u.At.File(); at != "" && u.At.Line() > 0 && (at != file || u.At.Line() != line) {
		why += fmt.Sprintf(" (%s:%d)", at, u.At.Line())
	}
	return why
}

func (o *decoder) id() {
	v, ok := o.get("id")
	if _, missing := v.(jseval.Undefined); missing && o.major() == 2 {
		// SDK 2: this.opts.id || slugify(name).
		if name, named := o.m.Get(o.f.options, "name").(string); named {
			v = slugify(name)
		}
	}
	if !ok {
		o.d.idOpen = true
		o.undecided("id", v, "")
		return
	}
	if is, known := jseval.Truth(v); known && !is {
		return // [prefix, id].filter(Boolean)
	}
	if text, u := o.m.Text(v); u == nil {
		o.d.ID = text
	} else {
		o.d.idOpen = true
		o.undecided("id", u, "")
	}
}

// retries: for `typeof attempts === "undefined"` the server uses its default.
// It reads null as 0.
func (o *decoder) retries() {
	v, ok := o.get("retries")
	switch n := v.(type) {
	case jseval.Undefined:
		o.d.Retries = catalog.Retries{Value: catalog.DefaultRetries}
		return
	case jseval.Null:
		o.d.Retries = catalog.Retries{Explicit: true}
		return
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<31 {
			o.d.Retries = catalog.Retries{Value: int(n), Explicit: true}
			return
		}
	}
	why := "it is not a whole number, which the server refuses"
	if !ok {
		why = ""
	}
	o.undecided("retries", v, why)
}

func (o *decoder) triggers() {
	if o.f.deferred {
		o.deferred()
		return
	}
	v := o.f.triggers
	var list []jseval.Value
	var rest *jseval.Unknown
	switch t := v.(type) {
	case jseval.Undefined, nil:
		if !o.f.inline { // SDK 3 reads [undefined]
			o.d.Triggers = []catalog.Trigger{{}}
		}
		return
	case *jseval.Unknown:
		o.undecided("triggers", t, "")
		return
	case *jseval.Array:
		list, rest = t.Elems, t.Rest
	default:
		list = []jseval.Value{v}
	}
	open := rest
	for _, e := range list {
		t, skip, u := o.trigger(e)
		switch {
		case u != nil:
			open = u
		case !skip:
			o.d.Triggers = append(o.d.Triggers, t)
		}
	}
	if open != nil {
		o.undecided("triggers", open, "")
	}
}

// deferred returns the trigger of a function that another function schedules
// (DeferredFunction.getConfigTriggers). Its expression contains its own slug.
func (o *decoder) deferred() {
	if o.d.App == "" || o.d.idOpen {
		o.undecided("triggers", nil, "its app's id is not known")
		return
	}
	o.d.Triggers = []catalog.Trigger{
		{Event: "inngest/deferred.schedule", Expression: fmt.Sprintf("event.data._inngest.fn_slug == '%s'", o.d.Slugs(o.d.App)[0])},
	}
}

// trigger reads one trigger: a string (v2), {event, if}, {cron}, or SDK 4's
// eventType.
func (o *decoder) trigger(v jseval.Value) (t catalog.Trigger, skip bool, open *jseval.Unknown) {
	if u, ok := v.(*jseval.Unknown); ok {
		return t, false, u
	}
	if name, ok := v.(string); ok {
		return catalog.Trigger{Event: name}, false, nil
	}
	field := func(name string) (string, *jseval.Unknown) {
		v := o.m.Get(v, name)
		if inner, ok := v.(*jseval.Object); ok && name == "event" {
			v = o.m.Get(inner, "name")
		}
		if u, ok := v.(*jseval.Unknown); ok {
			return "", u
		}
		if is, _ := jseval.Truth(v); !is {
			return "", nil
		}
		return o.m.Text(v)
	}
	var errs [3]*jseval.Unknown
	t.Event, errs[0] = field("event")
	t.Cron, errs[1] = field("cron")
	t.Expression, errs[2] = field("if")
	for _, u := range errs {
		if u != nil {
			return t, false, u
		}
	}
	// SDK 4 ignores anything that is not a trigger. SDK 3 registers it as {},
	// which the server refuses.
	return t, o.f.inline && (t.Event == invoked || t.Event == "" && t.Cron == ""), nil
}

// concurrency: a number, an object, or up to two objects.
func (o *decoder) concurrency() {
	v, ok := o.get("concurrency")
	if !ok {
		o.undecided("concurrency", v, "")
		return
	}
	var list []jseval.Value
	switch c := v.(type) {
	case jseval.Undefined, jseval.Null:
		return
	case *jseval.Array:
		if c.Rest != nil {
			o.undecided("concurrency", c.Rest, "")
			return
		}
		list = c.Elems
	default:
		list = []jseval.Value{v}
	}
	var all []catalog.Concurrency
	for _, e := range list {
		if n, ok := e.(float64); ok {
			all = append(all, catalog.Concurrency{Limit: int(n)})
			continue
		}
		var c catalog.Concurrency
		for _, name := range []string{"limit", "key", "scope"} {
			switch v := o.m.Get(e, name).(type) {
			case *jseval.Unknown:
				o.undecided("concurrency", v, "")
				return
			case float64:
				c.Limit = int(v)
			case string:
				if name == "key" {
					c.Key = v
				} else {
					c.Scope = v
				}
			}
		}
		all = append(all, c)
	}
	o.d.Concurrency = all
}

// batch reads the options that the server's validation of batches examines.
// Unknown ones are left to the server.
func (o *decoder) batch() {
	v, ok := o.get("batchEvents")
	batch, isObject := v.(*jseval.Object)
	if !ok || !isObject {
		return
	}
	size, known := o.m.Get(batch, "maxSize").(float64)
	if _, missing := o.m.Get(batch, "maxSize").(jseval.Undefined); missing {
		known = true // the server reads a missing value as 0
	}
	if !known {
		return
	}
	o.d.Batch = &catalog.Batch{MaxSize: int(size)}
	for _, name := range []string{"cancelOn", "debounce", "singleton"} {
		v, ok := o.get(name)
		if list, isList := v.(*jseval.Array); isList && len(list.Elems) == 0 {
			continue
		}
		if is, known := jseval.Truth(v); ok && known && is {
			o.d.Batch.With = append(o.d.Batch.With, name)
		}
	}
	priority, _ := o.get("priority")
	if run, ok := o.m.Get(priority, "run").(string); ok && run != "" {
		o.d.Batch.With = append(o.d.Batch.With, "priority.run")
	}
}

// onFailure registers a second function (getConfig: `if (this.onFailureFn)`).
func (o *decoder) onFailure() {
	v, _ := o.get("onFailure")
	is, known := jseval.Truth(v)
	if known {
		o.d.OnFailure = is
		return
	}
	o.undecided("onFailure", v, "")
}
