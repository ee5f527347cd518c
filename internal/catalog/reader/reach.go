package reader

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
)

// This is the safety net. Whatever the evaluation finds, the calls that create
// and register functions are in the text of the modules. A call that the
// evaluation did not reach stands for an unknown function or an unknown list
// of functions.

const (
	sdkPackage     = "inngest"
	createFunction = "createFunction"
)

// entryRead is one index while it is being read.
type entryRead struct {
	index, path string
	m           *jseval.Machine
	sdk         *sdk
	exports     []jseval.Export
	rest        *jseval.Unknown
	load        *collection // what loading the index serves, or its exports if it serves nothing
	walked      []string
	calls       []*site // see the method sites
	// err is the reason why the index cannot be read.
	err error
	// started is set for a program that an index starts.
	started *startedAt
}

// walk lists the relevant modules that an index may run.
func (e *entryRead) walk(r *reading) {
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] || !e.m.Wanted(path) {
			return
		}
		seen[path] = true
		e.walked = append(e.walked, path)
		for _, to := range r.program.Runs(path) {
			visit(to)
		}
	}
	visit(e.path)
	slices.Sort(e.walked)
}

// site is a call that creates or registers functions.
type site struct {
	jseval.Site
	path string
	// what is the SDK's name of the called function.
	what string
}

func (s *site) registers() bool { return s.what != createFunction }

// loaded collects what loading the index serves, or its exports if it serves
// nothing.
func (e *entryRead) loaded() {
	list := e.sdk.served
	if len(list.Elems) == 0 && list.Rest == nil {
		e.load.exported(e.exports, e.rest)
		return
	}
	for _, v := range list.Elems {
		e.load.served(v.(*jseval.Object).Host.(*served))
	}
	if list.Rest == nil {
		return
	}
	for _, v := range list.Rest.May {
		if o, ok := v.(*jseval.Object); ok {
			sv := o.Host.(*served)
			var may []*function
			eachFunction(e.m, sv.functions, func(f *function) { may = append(may, f) })
			e.load.leave(sv.at, "what serve registers", "whether it is called is not known: "+list.Rest.Why, may)
		}
	}
}

// sites returns the calls in the modules of an index that create or register
// functions. They are searched for only once.
func (e *entryRead) sites() []*site {
	if e.calls != nil {
		return e.calls
	}
	all := []*site{}
	for _, path := range e.walked {
		words := append(e.m.Imported(path, func(v jseval.Value) bool { return e.sdk.isRegister(v) || e.sdk.defers(v) }),
			createFunction, "serve", "serveEdge", "connect", "createServer")
		// Handlers are most of a worker's text and contain none of these
		// calls.
		passOver := func(text []byte) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return hasWord(text, w) })
		}
		e.m.Walk(path, passOver, func(s jseval.Site) {
			if what := e.sdk.calls(s); what != "" {
				all = append(all, &site{s, path, what})
			}
		})
	}
	e.calls = all
	return all
}

func hasWord(text []byte, word string) bool {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(word))
		if i < 0 {
			return false
		}
		at += i + len(word)
		before := at - len(word) - 1
		if (before < 0 || !isWordByte(text[before])) && (at >= len(text) || !isWordByte(text[at])) {
			return true
		}
	}
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// defers reports whether a value is createDefer or createScorer.
func (s *sdk) defers(v jseval.Value) bool {
	return v == s.names["createDefer"] || v == s.names["createScorer"]
}

// calls returns the SDK's name of the called function, or "" if it does not
// belong to the SDK.
func (s *sdk) calls(c jseval.Site) string {
	if f, ok := c.Callee.(*jseval.Func); ok {
		switch {
		case s.isRegister(f):
			return f.Name
		case s.defers(f) || f.Native() && f.Name == createFunction:
			return createFunction
		}
	}
	for _, v := range c.Passed {
		if s.isRegister(v) {
			return v.(*jseval.Func).Name
		}
	}
	if c.Extends {
		return ""
	}
	switch c.Name {
	case createFunction:
		if looksLikeFunction(c.Args) {
			return createFunction
		}
	case "serve", "serveEdge", "connect":
		// It may be a local name of a module that is imported within the
		// function.
		if c.Callee == nil && looksLikeServe(c.Args) {
			return c.Name
		}
	}
	return ""
}

// looksLikeFunction distinguishes an Inngest function from the results of
// other methods with that name (for example of AWS Lambda's client): it has
// options with an id, and a handler.
func looksLikeFunction(args js.Args) bool {
	spread := slices.ContainsFunc(args.List, func(a js.Arg) bool { return a.Rest })
	if len(args.List) < 2 {
		return spread
	}
	options, isObject := args.List[0].Value.(*js.ObjectExpr)
	if !isObject {
		_, handler := args.List[0].Value.(*js.ArrowFunc)
		return !handler
	}
	for _, p := range options.List {
		if p.Spread || p.Name == nil || p.Name.Computed != nil {
			return true // {id}, {...options}
		}
		if name := strings.Trim(string(p.Name.Literal.Data), `"'`); name == "id" || name == "name" {
			return true
		}
	}
	return false
}

// looksLikeServe reports whether the options contain functions or apps.
func looksLikeServe(args js.Args) bool {
	if len(args.List) == 0 {
		return false
	}
	options, ok := args.List[0].Value.(*js.ObjectExpr)
	if !ok {
		return false
	}
	for _, p := range options.List {
		name := ""
		switch v := p.Value.(type) {
		case *js.Var:
			name = string(v.Name())
		}
		if p.Name != nil {
			name = strings.Trim(string(p.Name.Literal.Data), `"'`)
		}
		if name == "functions" || name == "apps" {
			return true
		}
	}
	return false
}

// suppose calls the functions that contain the calls which the evaluation did
// not reach, as a request, a framework or another module would do.
func (e *entryRead) suppose(r *reading) {
	e.sdk.later = true
	called := map[*jseval.Func]bool{}
	for range maxRounds {
		progress := false
		for _, s := range e.unreached(r) {
			if e.sdk.reached[s.Node] {
				continue
			}
			around := e.m.Around(s.Site)
			for _, f := range around[:min(len(around), maxSupposed)] {
				if called[f] {
					continue
				}
				before := len(e.sdk.laterServe)
				e.m.CallLater(r.ctx, f, "it is known only when the function around "+s.what+" is called", s.At)
				called[f] = true
				progress = true
				for _, sv := range e.sdk.laterServe[before:] {
					sv.by = f
				}
			}
		}
		if !progress {
			break
		}
	}
	for node := range e.sdk.reached {
		r.reached[node] = true
	}
}

const (
	maxRounds = 4
	// maxSupposed limits how many functions with the same text are called.
	maxSupposed = 50
)

// unreached returns the calls of an index that nothing has reached.
func (e *entryRead) unreached(r *reading) []*site {
	var all []*site
	for _, s := range e.sites() {
		if !r.reached[s.Node] && !e.sdk.reached[s.Node] {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b *site) int {
		return cmp.Or(strings.Compare(a.path, b.path), cmp.Compare(a.At.Line(), b.At.Line()))
	})
	return all
}

// reachable returns what is certainly called once the worker gets a request:
// what the index exports, and what it passes to a framework.
func (e *entryRead) reachable() map[*jseval.Func]bool {
	all := map[*jseval.Func]bool{}
	for _, ex := range e.exports {
		for _, f := range jseval.FunctionsIn(ex.Value) {
			all[f] = true
		}
	}
	for _, esc := range e.sdk.escapes {
		for _, f := range jseval.FunctionsIn(esc.Values...) {
			all[f] = true
		}
	}
	return all
}
