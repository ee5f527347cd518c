// Package inngest makes the registration of a worker with a self-hosted Inngest
// server equal to what the worker serves, finds out what a restart would do to
// steps that are executing, and explains what is wrong. Refresh, Verify, WaitIdle,
// FindLost and ConfirmRun are what a rollout calls; Status is the whole picture.
//
// # Packages
//
// Package model contains the types, wire the HTTP exchange, client the server,
// sdk the worker, conn the connections to both, and judge all decisions. This
// package contains the operations (Refresh, Verify, WaitIdle, ConfirmRun,
// RerunLost, Status), which read the state, call judge, and act.
//
// # To add a diagnosis
//
// Append a case to judge.Diagnose with a Finding that has its own code, and
// add a page for the code, with cause and remedy, to internal/explain.
//
// The facts about the server come from its source, v1.43
// (pkg/devserver/api.go, pkg/coreapi, pkg/execution), and from recordings of
// it, against which internal/sandbox/inngestd is tested.
package inngest
