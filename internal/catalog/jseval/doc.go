// Package jseval works out the values that ECMAScript modules export, as far as
// that can be done without running them.
//
// It is an interpreter over a domain with one more value: *Unknown, with the
// reason why. Nothing outside of the program's text is ever touched: no file,
// clock, environment or network, so that reading a checkout is safe whatever
// it contains.
//
// # Why not run the modules in a real engine, the SDK replaced
//
// Load time code of a worker opens connections, leases secrets and reads the
// clock; with stubs for all of it one would get some value, but not know that
// it is made up. Here whatever depends on the unknown is unknown itself, all
// the way up, and says so.
//
// # Decisions
//
// Modules are evaluated in the order in which they would be. Those that lead to
// no mention of a wanted word are evaluated only when one of their values is
// needed: what they do at load time cannot concern a value that holds
// nothing of theirs.
//
// Where a branch depends on an unknown condition, each side is evaluated and
// undone again, and then whatever the sides disagree on becomes unknown, with
// both values as candidates (fork.go). A side that throws is left out: a worker
// that throws at load time registers nothing.
//
// Functions of external packages are assumed neither to call back at once nor
// to change what is passed to them; what they return is unknown.
//
// Steps, depth and sizes are bounded, so that every evaluation ends.
//
// # To teach it something
//
// A method of a built-in goes to the table of its kind in builtin_*.go. What a
// package offers is given through Options.External.
package jseval
