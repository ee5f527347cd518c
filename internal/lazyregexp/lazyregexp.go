// Package lazyregexp compiles regular expressions when they are first used, as
// Go's own internal/lazyregexp does for the go command. The two programs have
// some fifty of them, of which a run needs a few: compiled at every start they
// took 5 of gh-sbw's 25 ms.
//
// A test compiles them at once, so that none is wrong that no test uses.
package lazyregexp

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// inTest is known by the name that go test gives a binary: package testing,
// which knows it better, would come along into the programs.
var inTest = len(os.Args) > 0 && strings.HasSuffix(strings.TrimSuffix(os.Args[0], ".exe"), ".test")

// Regexp is a regular expression that may not be compiled yet. It is safe for
// use by several goroutines.
type Regexp struct{ get func() *regexp.Regexp }

// New makes one. It panics at its first use if the expression is wrong.
func New(expr string) *Regexp {
	r := &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
	if inTest {
		r.get()
	}
	return r
}

// MatchString is as in package regexp, and so are the others.
func (r *Regexp) MatchString(s string) bool { return r.get().MatchString(s) }

// FindString is as in package regexp.
func (r *Regexp) FindString(s string) string { return r.get().FindString(s) }

// FindSubmatch is as in package regexp.
func (r *Regexp) FindSubmatch(b []byte) [][]byte { return r.get().FindSubmatch(b) }

// FindStringSubmatch is as in package regexp.
func (r *Regexp) FindStringSubmatch(s string) []string { return r.get().FindStringSubmatch(s) }

// FindAllStringSubmatch is as in package regexp.
func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.get().FindAllStringSubmatch(s, n)
}

// ReplaceAllString is as in package regexp.
func (r *Regexp) ReplaceAllString(s, repl string) string { return r.get().ReplaceAllString(s, repl) }

// ReplaceAllStringFunc is as in package regexp.
func (r *Regexp) ReplaceAllStringFunc(s string, repl func(string) string) string {
	return r.get().ReplaceAllStringFunc(s, repl)
}
