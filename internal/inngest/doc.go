// Package inngest speaks with a self-hosted Inngest server and with the worker
// whose functions it runs: it makes the registration equal to what the worker
// serves, says what a restart would do to the steps that are executing, and
// explains what is wrong.
//
// # Two ends
//
// A Client speaks with the server (GraphQL, and REST where the server was
// started with --no-ui), a Worker with the SDK's endpoint. Neither knows how
// its end is reached: an Endpoint has the address that is dialled (a
// port-forward, a NodePort, an URL) and, apart from it, the URL under which the
// server knows the worker. Only the latter ever reaches a registration.
//
// # Judging is pure
//
// Everything that decides (Choose, Compare, GuardLoss, Judge, Duplicates, Unsafe,
// ExecutingNow, JudgeRestart, Diagnose) is a function over values and has a table
// of cases; the operations (Refresh, Verify, WaitIdle, ConfirmRun, RerunLost,
// Status) fetch, ask them, and act.
//
// # Versions
//
// The server's schema is asked for with __type before the first query, so that
// a query names only what this server has. Enumerations are strings: a value
// that is not known is kept and shown, never an error.
//
// # To add a diagnosis
//
// Append a case to Diagnose with a Finding of its own code, and the code with
// cause and remedy to the commands' explain pages.
//
// The facts about the server are from its source, v1.43 (pkg/devserver/api.go,
// pkg/coreapi, pkg/execution), and from recordings of it that
// internal/sandbox/inngestd is held to.
package inngest
