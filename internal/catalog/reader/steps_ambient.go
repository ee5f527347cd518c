package reader

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// The SDK keeps the current run in an AsyncLocalStorage. Any code can use it to
// make steps without being passed `step`: through the SDK's own exports, and
// through packages that build on them.

// ambientNames lists the exports of the SDK that make steps in the current run.
var ambientNames = []string{"step", "group", "fetch", "getAsyncCtx", "getStepTools", "*"}

// quietPackages lists Inngest's packages that make no steps, or only through what
// they add to the context. Any other package with such a name may make steps.
var quietPackages = []string{
	"@inngest/ai", "@inngest/eslint-plugin", "@inngest/middleware-encryption", "@inngest/middleware-sentry",
	"@inngest/middleware-validation", "@inngest/realtime", "@inngest/test",
}

// hooks matches the names of a middleware's hooks in SDK 3 and 4. In the text, each
// hook ends where the next one begins.
var hooks = regexp.MustCompile(`\b(transformInput|transformFunctionInput|transformStepInput|transformOutput|beforeMemoization|` +
	`afterMemoization|beforeExecution|afterExecution|beforeResponse|finished)\b`)

var (
	comments  = regexp.MustCompile(`(?s)(?:^|\s)//[^\n]*|/\*.*?\*/`)
	namesStep = regexp.MustCompile(`\bstep\b`)
)

// changesSteps reports whether the text of a middleware may give steps other ids,
// or make some: it has a hook for the options of steps, or one for the context
// that mentions step.
func changesSteps(text []byte) bool {
	if !bytes.Contains(text, []byte("Input")) {
		return false
	}
	text = comments.ReplaceAll(text, []byte{' '})
	found := hooks.FindAllIndex(text, -1)
	for i, hook := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		switch string(text[hook[0]:hook[1]]) {
		case "transformStepInput":
			return true
		case "transformInput", "transformFunctionInput":
			if namesStep.Match(text[hook[1]:end]) {
				return true
			}
		}
	}
	return false
}

// ambientStep is code that may make steps which no handler names.
type ambientStep struct {
	why   string
	place jseval.Place
}

type ambient struct {
	files map[string]ambientStep
	// all is set if every function is affected.
	all *ambientStep
}

// ambient finds the walked modules whose code may make steps by itself.
func (r *reading) ambient() *ambient {
	if r.byItself != nil {
		return r.byItself
	}
	r.byItself = &ambient{files: map[string]ambientStep{}}
	for _, path := range r.program.Files() {
		for _, name := range r.program.Packages(path) {
			if name != sdkPackage && strings.Contains(name, sdkPackage) && !slices.Contains(quietPackages, name) {
				r.byItself.files[path] = ambientStep{
					why: fmt.Sprintf("the package %q, which %s uses, makes steps of its own", name, r.program.Rel(path)),
				}
			}
		}
		if !r.program.Imports(path, sdkPackage) {
			continue
		}
		m, err := r.program.Module(path)
		if err != nil {
			continue // reported where it is loaded
		}
		for _, i := range m.Links().Imports {
			if slices.Contains(ambientNames, i.Name) && r.isSDK(path, i.Spec) {
				r.byItself.files[path] = ambientStep{fmt.Sprintf("the SDK's %s makes steps wherever it is called", i.Name), i.At}
			}
		}
		if changesSteps(r.program.Text(path)) {
			r.byItself.all = &ambientStep{"a middleware may change the ids of steps, or make steps itself", source.Place{Module: m}}
		}
	}
	return r.byItself
}

func (r *reading) isSDK(path, spec string) bool {
	t, err := r.program.Resolve(r.ctx, path, spec)
	return err == nil && t.Package == sdkPackage
}

// reached returns the first such code that the module of a handler leads to.
func (a *ambient) reached(r *reading, path string) (ambientStep, bool) {
	if a.all != nil {
		return *a.all, true
	}
	if len(a.files) == 0 {
		return ambientStep{}, false
	}
	for _, file := range r.closure(path) {
		if by, ok := a.files[file]; ok {
			return by, true
		}
	}
	return ambientStep{}, false
}
