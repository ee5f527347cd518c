// Package inngest makes the registration of a worker with a self-hosted Inngest
// server equal to what the worker serves, finds out what a restart would do to
// steps that are executing, and explains what is wrong. Refresh, Verify, WaitIdle,
// FindLost and ConfirmRun are what a rollout calls; Status is the whole picture.
//
// # Packages
//
// Package model has the nouns, wire the HTTP exchange, client the server, sdk the
// worker, conn the connections to both, and judge every decision. This package
// has the operations on top (Refresh, Verify, WaitIdle, ConfirmRun, RerunLost,
// Status), which fetch, ask judge, and act.
//
// # To add a diagnosis
//
// Append a case to judge.Diagnose with a Finding of its own code, and the code with
// cause and remedy to the commands' explain pages.
//
// The facts about the server are from its source, v1.43 (pkg/devserver/api.go,
// pkg/coreapi, pkg/execution), and from recordings of it that
// internal/sandbox/inngestd is held to.
package inngest
