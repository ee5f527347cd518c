// Package rollout implements `kubectl sbw rollout` and `undo`, for one or several
// clusters, and what doctor, status, history, refresh and shell completion need to
// know about a worker. A command makes a Target and Options, gets a Run from
// NewRollout, NewUndo or NewDoctor (a Fleet for several clusters), runs its Pipeline,
// and prints its Result.
//
// # How it is built
//
// The type facts holds what is known about the worker, its manifest, its image and
// Inngest. Each fact is determined at most once per preflight and shared by checks
// and stages. Checks are methods of facts. A run is a list of stages, written out in
// one place:
//
//   - (*Run).stages: a rollout; a Strategy (rolling or switching) contributes the
//     stages that replace the pods
//   - NewUndo: going back to an earlier revision
//   - NewFleet: several clusters, one wave after another
//
// Stages that appear in more than one list are in stages.go. The work of each stage
// is a method that takes what it needs as arguments and returns what it found. The
// lists pass these values on through Run.found, which nothing else writes.
//
// # To add a stage
//
// Write a method that returns what it finds, and add it to the list together with
// its undo. Call Reporter.Changed immediately before changing anything outside this
// process.
//
// # To add a way to make a version live
//
// Write a Strategy, a function from a run to its stages from the first write to
// the cluster until the old version is gone, and let (*Run).strategy choose it.
//
// # To add a check
//
// Write a method of facts (or of Run where the run itself matters) and put it
// into rolloutChecks or undoChecks.
package rollout
