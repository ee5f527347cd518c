// Package jseval determines the values that ECMAScript modules export, as far
// as that is possible without running them. Create a Machine for each entry
// module and call its method Exports.
//
// It is an interpreter whose values include *Unknown, which carries a reason.
// It accesses nothing outside the program's text, so any checkout is safe.
//
// # What it evaluates
//
// Literals, constants, templates, members, calls of the program's own
// functions, map, filter, concat, flat, push and spreads of lists, Object.keys
// and similar functions, `for of` over known values, and both branches of an
// unknown condition. Everything else is unknown: classes and `this`,
// collections, JSON, regular expressions, methods of strings and functions,
// searches in lists, increments, arithmetic, switches, loops with a condition
// or a break, and destructuring assignments. Of 768 functions in public
// repositories, none needs them. A value that such code creates refers to the
// code (Unknown.From), so that a caller can determine what it can reach.
//
// # Why not run the modules in a real engine, with the SDK replaced
//
// A worker that is loaded opens connections, leases secrets and reads the
// clock. If stubs replaced all of that, nothing would show that a value was
// made up. Here, it is unknown and has a reason.
//
// # Decisions
//
// Modules are evaluated in the order in which they would run. Modules that do
// not lead to any wanted word are evaluated only when one of their values is
// needed, because their other effects cannot matter.
//
// Where a branch depends on an unknown condition, each side is evaluated and
// undone. Everything that differs between the sides then becomes unknown, with
// both values as candidates (fork.go). A side that throws is ignored, because
// a worker that throws when it is loaded registers nothing.
//
// The part of an asynchronous function after its first await runs after the
// code that called it (promise.go).
//
// Functions of external packages are assumed neither to call back immediately
// nor to change their arguments. Their results are unknown, and their
// arguments are reported (Options.Escaped).
//
// Steps, depth and sizes are limited, so every evaluation ends.
//
// # To extend it
//
// First check that a real worker needs it: whatever is missing is reported,
// but whatever is implemented may be wrong. Functions of built-ins belong in
// builtin.go. The exports of a package are supplied through Options.External.
package jseval
