package reader

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// This file finds the steps of a handler. The handler's code is not evaluated.
// Only the value that makes steps is followed, which is the `step` that the SDK
// passes to the handler: through its members, its other names, and the program's
// own functions that it is passed to. If it gets out of sight, or a step's id is
// not a literal or constant, there may be other steps: the list is open.
//
// Most handlers contain only calls such as step.run("id", …). Their steps are
// found in the text of the body, which saves parsing it (stepsInText).

// steps returns the steps of a function's handler.
func (r *reading) steps(e *entryRead, f *function) *catalog.Steps {
	s := &stepReader{m: e.m, steps: catalog.Steps{IDs: []catalog.Step{}}, done: map[string]bool{}}
	handler, ok := f.callback.(*jseval.Func)
	path := filepath.Join(r.program.Root(), filepath.FromSlash(f.at.File()))
	switch {
	case r.program.Major(path, sdkPackage) == 2:
		// SDK 2 has no ids: it numbers the steps and hashes their options.
		s.open("the ids of SDK 2's steps depend on their order", f.at)
	case !ok || handler.Native():
		s.open("the handler "+whyUnknown(f.callback), f.at)
	default:
		s.follow(handler, []tracked{{kind: isContext}}, f.at)
	}
	if by, ok := r.ambient().reached(r, path); ok {
		s.open(by.why, by.place)
	}
	return &s.steps
}

func whyUnknown(v jseval.Value) string {
	if u, ok := v.(*jseval.Unknown); ok {
		return "is not known: " + u.Why
	}
	return "is not a function of the program"
}

// stepReader gathers the steps of one handler.
type stepReader struct {
	m     *jseval.Machine
	steps catalog.Steps
	// done contains the functions that were followed, each with what was passed to
	// it. depth is the number of them that are being read now.
	done  map[string]bool
	depth int
}

// maxFollowed and maxFollowDepth limit how many functions are followed.
const (
	maxFollowed    = 200
	maxFollowDepth = 12
)

// open records why there may be other steps. Only the first reason is kept.
func (s *stepReader) open(why string, at jseval.Place) {
	if s.steps.Open {
		return
	}
	s.steps.Open, s.steps.Why = true, why
	if file := at.File(); file != "" {
		s.steps.Why = fmt.Sprintf("%s (%s:%d)", why, file, max(at.Line(), 1))
	}
}

func (s *stepReader) add(kind, id string) {
	step := catalog.Step{Kind: kind, ID: id}
	if !slices.Contains(s.steps.IDs, step) {
		s.steps.IDs = append(s.steps.IDs, step)
	}
}

// kind says what a tracked value is.
type kind byte

const (
	isNothing kind = iota // not tracked
	isContext             // what the SDK passes to a handler
	isStep                // its step, or a part of it; name is the path: "", "ai"
	isTool                // a function that makes a step
	isGroup               // its group
	isForeign             // another member of the context that makes steps
	isObject              // an object that contains tracked values
	isList                // the arguments of a call
	isText                // a known text
	isFunc                // a function that is written in the same body
)

// tracked is a value that the search for steps follows.
type tracked struct {
	kind  kind
	name  string
	props map[string]tracked
	list  []tracked
	text  string
	fn    *localFunc
}

// makes reports whether steps can be made with a value.
func (t tracked) makes() bool {
	switch t.kind {
	case isNothing, isText, isFunc:
		return false
	case isObject:
		for _, p := range t.props {
			if p.makes() {
				return true
			}
		}
		return false
	case isList:
		return slices.ContainsFunc(t.list, tracked.makes)
	}
	return true
}

// key identifies a value among the arguments of a function that is followed.
func (t tracked) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%s:%q", t.kind, t.name, t.text)
	for _, k := range slices.Sorted(maps.Keys(t.props)) {
		fmt.Fprintf(&b, "{%s %s}", k, t.props[k].key())
	}
	for _, e := range t.list {
		b.WriteString("," + e.key())
	}
	if t.fn != nil {
		fmt.Fprintf(&b, "%p", t.fn)
	}
	return b.String()
}

// makers lists the other members of the context that make steps: the middleware of
// @inngest/realtime adds publish, and SDK 4 adds defer. Anything else that a
// middleware adds makes no steps unless changesSteps finds some.
var makers = []string{"publish", "defer"}

// tools lists the members of step that make a step with the id they are given
// (createStepTools of 3.54 and 4.24). fetch is not among them, because it derives
// the id from the address.
var tools = []string{
	"run", "sleep", "sleepUntil", "waitForEvent", "waitForSignal", "sendEvent", "sendSignal", "invoke",
	"ai.infer", "ai.wrap", "realtime.publish",
}

// member returns a property of a tracked value.
func (t tracked) member(name string) tracked {
	switch t.kind {
	case isContext:
		switch {
		case name == "step":
			return tracked{kind: isStep}
		case name == "group":
			return tracked{kind: isGroup}
		case slices.Contains(makers, name):
			return tracked{kind: isForeign, name: name}
		}
		return tracked{}
	case isStep:
		path := strings.TrimPrefix(t.name+"."+name, ".")
		switch {
		case path == "ai" || path == "realtime":
			return tracked{kind: isStep, name: path}
		case path == "ai.models":
			return tracked{}
		}
		return tracked{kind: isTool, name: path}
	case isGroup:
		return tracked{kind: isTool, name: "group." + name}
	case isForeign:
		return t
	case isObject:
		if p, ok := t.props[name]; ok {
			return p
		}
		if rest, ok := t.props[""]; ok { // {...ctx}
			return rest.member(name)
		}
	}
	return tracked{}
}

// makesStep reports whether a tool makes a step with the id that it is given.
func makesStep(tool string) bool { return tool == "group.experiment" || slices.Contains(tools, tool) }

// describe returns the name of a value for a reason.
func (t tracked) describe() string {
	switch t.kind {
	case isStep, isTool:
		name := strings.TrimSuffix("step."+t.name, ".")
		if strings.HasPrefix(t.name, "group.") {
			name = t.name
		}
		return "`" + name + "`"
	case isGroup:
		return "`group`"
	case isForeign:
		return "`" + t.name + "`"
	case isContext:
		return "the handler's context"
	}
	return "`step`"
}

// follow reads a function of the program that gets tracked values.
func (s *stepReader) follow(f *jseval.Func, args []tracked, at jseval.Place) {
	code := f.Code()
	body, ok := code.Node.(*js.BlockStmt)
	if !ok {
		s.open("a function's body cannot be read", at)
		return
	}
	key := fmt.Sprintf("%p %s", body, tracked{kind: isList, list: args}.key())
	if s.done[key] {
		return
	}
	s.done[key] = true
	if len(s.done) > maxFollowed || s.depth >= maxFollowDepth {
		s.open("`step` is passed on through too many functions", at)
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	a := &activation{s: s, code: code, source: code.Source, bound: map[*js.Var]tracked{}, local: map[*js.Var]bool{}}
	a.params(*f.Params, args)
	a.enterBody(body)
}

// stepsInText looks for the tracked names in the text of a body. all reports
// whether it found every step. That is so if each use of the names is either a
// member that makes no step, or a call of a tool with a literal id.
func stepsInText(text []byte, names map[string]tracked) (found []catalog.Step, all bool) {
	all = source.Occurrences(text, func(name []byte) bool { return names[string(name)].makes() }, func(o source.Occurrence) bool {
		t, rest := names[string(o.Name)], o.After
		for t.makes() && t.kind != isTool {
			name, after, ok := memberName(rest)
			if !ok {
				return false
			}
			t, rest = t.member(name), after
		}
		switch {
		case !t.makes():
			return true
		case t.name == "group.parallel":
			return true
		case !makesStep(t.name):
			return false
		}
		id, ok := writtenArgument(rest)
		if ok {
			found = append(found, catalog.Step{Kind: t.name, ID: id})
		}
		return ok
	})
	return found, all
}

var (
	memberPattern   = regexp.MustCompile(`^\s*\??\.\s*([A-Za-z_$][\w$]*)`)
	argumentPattern = regexp.MustCompile(
		"^\\s*(?:<[\\w\\s.,\\[\\]|]*>)?\\s*\\(\\s*(?:'([^'\\\\\\n]*)'|\"([^\"\\\\\\n]*)\"|`([^`\\\\$]*)`)\\s*[,)]",
	)
)

func memberName(text []byte) (name string, after []byte, ok bool) {
	m := memberPattern.FindSubmatchIndex(text)
	if m == nil {
		return "", nil, false
	}
	return string(text[m[2]:m[3]]), text[m[1]:], true
}

// writtenArgument returns the first argument of a call if it is a literal text.
func writtenArgument(text []byte) (string, bool) {
	m := argumentPattern.FindSubmatch(text)
	if m == nil {
		return "", false
	}
	return string(slices.Concat(m[1:]...)), true
}
