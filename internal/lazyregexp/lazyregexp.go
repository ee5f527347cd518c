// Package lazyregexp compiles regular expressions when they are first used, like Go's
// own internal/lazyregexp does for the go command. The two programs contain about
// fifty of them, and a run needs only a few. Compiling all of them took 5 of the
// 25 ms that gh-sbw needs to start.
//
// In tests they are compiled immediately, so that a wrong one is found even if no
// test uses it.
package lazyregexp

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// inTest looks at the name that go test gives a binary. Package testing could say it
// better, but would become part of the programs.
var inTest = len(os.Args) > 0 && strings.HasSuffix(strings.TrimSuffix(os.Args[0], ".exe"), ".test")

// Regexp is a regular expression that may not be compiled yet. It is safe for
// use by several goroutines.
type Regexp struct{ get func() *regexp.Regexp }

// New returns an expression, which panics at its first use if it is not valid.
func New(expr string) *Regexp {
	r := &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
	if inTest {
		r.get()
	}
	return r
}

// MatchString does the same as in package regexp.
func (r *Regexp) MatchString(s string) bool { return r.get().MatchString(s) }

// FindString does the same as in package regexp.
func (r *Regexp) FindString(s string) string { return r.get().FindString(s) }

// FindSubmatch does the same as in package regexp.
func (r *Regexp) FindSubmatch(b []byte) [][]byte { return r.get().FindSubmatch(b) }

// FindStringSubmatch does the same as in package regexp.
func (r *Regexp) FindStringSubmatch(s string) []string { return r.get().FindStringSubmatch(s) }

// FindAllStringSubmatch does the same as in package regexp.
func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.get().FindAllStringSubmatch(s, n)
}

// ReplaceAllString does the same as in package regexp.
func (r *Regexp) ReplaceAllString(s, repl string) string { return r.get().ReplaceAllString(s, repl) }

// ReplaceAllStringFunc does the same as in package regexp.
func (r *Regexp) ReplaceAllStringFunc(s string, repl func(string) string) string {
	return r.get().ReplaceAllStringFunc(s, repl)
}
