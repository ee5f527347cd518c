// Package reader reads the catalog of a worker from its TypeScript sources:
// the Inngest functions that each index module registers. Call Read.
//
// Package source finds, parses and links modules, and package jseval evaluates
// them. This package knows Inngest: the versions of the SDK's exports
// (sdk.go), how a function's options are registered (decode.go), and which
// functions an index registers (collect.go, reach.go).
//
// # What an index registers
//
// If loading the index calls the SDK's serve or connect, or creates an
// instance of its handler class, the index registers exactly the functions
// that are passed there. Otherwise it registers the functions that are passed
// there by a function which the index exports or passes to a framework, and
// which is called when a request arrives. Such functions are evaluated with
// unknown arguments. If there is no such call, it registers the functions that
// its exports contain, in arrays and plain objects.
//
// # The safety net
//
// The worst possible error of this package is to lose a function silently. So
// every call that creates or registers functions is also searched for in the
// text of the modules that the index may run. A call that the evaluation did
// not reach makes the index incomplete, and its line is reported. Functions
// that are passed to code that is not evaluated (a class, a package) and are
// not registered otherwise become candidates: they are checked, and they are
// not orphans.
//
// # Other modules that register functions
//
// A function that no index registers is reported as an orphan only if no other
// module of the repository registers it either (others.go). They are looked
// for only if there are orphans, because each is evaluated on its own.
//
// # To support another form
//
// Add it to testdata/corpus, where the real SDK says what it registers, or to
// cases_test.go, and check the result of the reader.
package reader
