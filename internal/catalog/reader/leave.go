package reader

import (
	"slices"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
)

// This is the second half of the safety net: what the evaluation has not
// settled becomes a statement about what is unknown.

// finish determines from the evaluation and the supposed calls what the index
// registers.
func (e *entryRead) finish(r *reading) *collection {
	c := e.load
	certain := e.reachable()
	var later, rest []*served
	for _, sv := range e.sdk.laterServe {
		if certain[sv.by] {
			later = append(later, sv)
		} else {
			rest = append(rest, sv)
		}
	}
	if len(e.sdk.served.Elems) == 0 && e.sdk.served.Rest == nil && len(later) > 0 {
		c = newCollection(e.m, e.index)
		for _, sv := range later {
			c.served(sv)
		}
		for _, old := range e.load.found {
			if !c.has(old.function) {
				c.leave(old.at, "whether %s is registered", "it is exported, but not among the functions passed to serve", []*function{old.function})
			}
		}
		c.dynamic = c.dynamic || e.load.dynamic
	} else {
		rest = append(later, rest...)
	}
	for _, sv := range rest {
		e.leaveServed(c, sv)
	}
	e.leaveCreated(c, r)
	e.leaveUnreached(c, r)
	e.leaveDoubtful(c)
	e.leaveEscaped(c)
	e.leaveReplaced(c, r)
	return c
}

// leaveServed records a handler that may never be created.
func (e *entryRead) leaveServed(c *collection, sv *served) {
	var may []*function
	eachFunction(e.m, sv.functions, func(f *function) {
		if !c.has(f) {
			may = append(may, f)
		}
	})
	u, open := sv.functions.(*jseval.Unknown)
	if a, ok := sv.functions.(*jseval.Array); ok && a.Rest != nil {
		u, open = a.Rest, true
	}
	if len(may) == 0 && !open {
		return
	}
	why := "nothing is known to call the function that it is written in"
	if open {
		why = u.Why
	}
	c.leave(sv.at, "what this call of serve registers", why, may)
}

// leaveCreated records functions that were created only because the evaluation
// supposed a call that nothing is known to make.
func (e *entryRead) leaveCreated(c *collection, r *reading) {
	for _, f := range e.sdk.created {
		if f.later && !r.loaded[f.node] && !c.has(f) && !slices.Contains(c.maybe, f) {
			c.leave(f.at, "whether %s is registered", "nothing is known to call the function that creates it", []*function{f})
		}
	}
}

// leaveUnreached records the calls that were not reached by supposed calls
// either.
func (e *entryRead) leaveUnreached(c *collection, r *reading) {
	for _, s := range e.unreached(r) {
		what, verb := "what is created here", "is called"
		if s.registers() {
			what = "what is registered here"
			c.registersUnknown = true
		}
		if s.Extends {
			verb = "is extended"
		}
		c.leave(s.At, what, s.what+" "+verb+" by code that is not evaluated", nil)
		if !s.registers() && writtenZero(s.Args) {
			f := catalog.Function{File: s.At.File(), Line: s.At.Line(), Retries: catalog.Retries{Explicit: true}, Undecided: []string{"triggers"}}
			if id, ok := writtenID(s.Args); ok {
				f.ID = id
			} else {
				f.Undecided = append(f.Undecided, "id")
			}
			c.written = append(c.written, f)
		}
	}
}

// leaveDoubtful records exports from whose code functions can be reached.
func (e *entryRead) leaveDoubtful(c *collection) {
	for _, d := range e.load.doubtful {
		reaches, loads := false, false
		e.m.Reach(d.u.From, func(s jseval.Site) {
			loads = loads || s.Name == "import" && isDynamic(s.Args)
			reaches = reaches || loads || e.sdk.calls(s) != "" && !e.sdk.reached[s.Node]
		}, func(v jseval.Value) {
			eachFunction(e.m, v, func(*function) { reaches = true })
		})
		if reaches {
			c.unknown(d.u, d.what)
			c.dynamic = c.dynamic || loads
		}
	}
}

// isDynamic reports whether import() is called with a name that is not a
// literal.
func isDynamic(args js.Args) bool {
	if len(args.List) == 0 {
		return false
	}
	lit, ok := args.List[0].Value.(*js.LiteralExpr)
	return !ok || lit.TokenType != js.StringToken
}

// leaveEscaped records functions that are passed to code that is not evaluated
// and are not registered otherwise.
func (e *entryRead) leaveEscaped(c *collection) {
	unlisted := slices.ContainsFunc(e.sdk.created, func(f *function) bool { return !c.has(f) && !slices.Contains(c.maybe, f) })
	for _, esc := range e.sdk.escapes {
		if !unlisted {
			return
		}
		var may []*function
		take := func(f *function) {
			if !c.has(f) && !slices.Contains(c.maybe, f) && !slices.Contains(may, f) {
				may = append(may, f)
			}
		}
		for _, v := range esc.Values {
			eachFunction(e.m, v, take)
		}
		for _, code := range codeOf(esc) {
			e.m.Reach(code, func(jseval.Site) {}, func(v jseval.Value) { eachFunction(e.m, v, take) })
		}
		if len(may) > 0 {
			c.leave(esc.At, "what is registered here", esc.Why, may)
		}
	}
}

// codeOf returns the code of the program that an unevaluated call may run.
func codeOf(esc jseval.Escape) []*jseval.Code {
	var all []*jseval.Code
	if esc.From != nil {
		all = append(all, esc.From)
	}
	for _, f := range jseval.FunctionsIn(esc.Values...) {
		all = append(all, f.Code())
	}
	return all
}
