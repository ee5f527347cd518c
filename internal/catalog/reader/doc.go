// Package reader reads the catalog of a worker from its TypeScript sources:
// which Inngest functions each index module makes it register. Call Read.
//
// Package source finds, parses and links modules, package jseval works out
// values. This package knows Inngest: the SDK's exports in their versions
// (sdk.go), what of a function's options is registered (decode.go), and which
// functions an index registers (collect.go, reach.go).
//
// # What an index registers
//
// Where loading it calls the SDK's serve or connect, or makes its handler
// class: exactly what is passed there. Else what is passed there by a function
// that the index exports or hands to a framework, which is called when a
// request comes; such functions are called with unknown arguments. Else the
// functions that are reached from its exports through arrays and plain objects.
//
// # The safety net
//
// A function that is lost in silence is the worst this package can do. So every
// call that creates or registers functions is also looked for in the text of
// the modules that the index may run. One that nothing reached makes the index
// incomplete, with its line. Functions that go where evaluation does not follow
// (a class, a package) and are not registered otherwise are candidates: they
// are checked, and they are not orphans.
//
// # To teach it a new form
//
// Write it down in testdata/corpus, where the real SDK says what it registers,
// or in cases_test.go, and see what the reader makes of it.
package reader
