// Package jseval works out the values that ECMAScript modules export, as far as
// that can be done without running them. Make a Machine for each entry module
// and ask it for Exports.
//
// It is an interpreter over a domain with one more value: *Unknown, with the
// reason why. Nothing outside of the program's text is ever touched: no file,
// clock, environment or network, so that reading a checkout is safe whatever
// it contains.
//
// # What it evaluates
//
// Literals, constants, templates, members, calls of the program's own
// functions, map, filter, concat, flat, push and spreads of lists, Object.keys
// and the like, `for of` over what is known, and both sides of a condition that
// is unknown. Everything else is unknown: classes and `this`, collections,
// JSON, regular expressions, what belongs to texts and functions, search in
// lists, counting, arithmetic, switches, loops over a condition or with a break, and
// destructuring assignments. Of 768 functions in public repositories not one
// needs them. A value that such code makes keeps that code (Unknown.From), so
// that a caller can see what it reaches.
//
// # Why not run the modules in a real engine, with the SDK replaced
//
// The code that a worker runs when it is loaded opens connections, leases
// secrets and reads the clock. With stubs for all of it the result would be
// some value, and nothing would show that it is made up. Here whatever depends
// on the unknown is unknown itself, all the way up, and has a reason.
//
// # Decisions
//
// Modules are evaluated in the order in which they would be. Those that lead to
// no mention of a wanted word are evaluated only when one of their values is
// needed: what they do when they are loaded cannot concern a value that holds
// nothing of theirs.
//
// Where a branch depends on an unknown condition, each side is evaluated and
// undone again, and then whatever the sides disagree on becomes unknown, with
// both values as candidates (fork.go). A side that throws is left out: a worker
// that throws when it is loaded registers nothing.
//
// What an asynchronous function does from its first await on happens after the
// code that called it (promise.go).
//
// Functions of external packages are assumed neither to call back at once nor
// to change what is passed to them. What they return is unknown, and what is
// passed to them is reported (Options.Escaped).
//
// Steps, depth and sizes are bounded, so that every evaluation ends.
//
// # To extend it
//
// Check first that a real worker needs it; whatever is missing is reported, and
// whatever is here may be wrong. A function of a built-in goes to builtin.go.
// What a package offers is given through Options.External.
package jseval
