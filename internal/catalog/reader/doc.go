// Package reader reads the catalog of a worker from its TypeScript sources:
// which Inngest functions each index module makes it register.
//
// Package source finds and parses modules, package jseval works out values; this
// package knows Inngest: the SDK's client in both of its forms (sdk.go), what
// of a function's options is registered (decode.go), and which of an index's
// exports are registered (collect.go).
//
// # What an index registers
//
// The functions that are reached from its exports through arrays, plain
// objects, Sets and Maps; or, where loading it calls the SDK's serve or
// connect, exactly what is passed there. Whatever cannot be decided on the way
// becomes a catalog.Unresolved: an export, an element, a spread, an id.
//
// # To teach it a new form
//
// Write it down in testdata/corpus, where the real SDK says what it registers,
// and see what the reader makes of it.
package reader
