// Package rollout holds the use cases of `kubectl sbw`: a rollout into one or
// several clusters, going back, and what doctor, status, history, refresh and
// shell completion need to know for that. A command makes a Target and Options,
// gets a Run from NewRollout, NewUndo or NewDoctor (a Fleet for several
// clusters), runs its Pipeline, and prints its Result.
//
// # How it is built
//
// facts are what is found out about the worker, its manifest, its image and
// Inngest: each at most once per preflight, shared by checks and stages. Checks
// are methods of facts. A run is a list of stages, written out in one place:
//
//   - (*Run).stages: a rollout; rolling and switching are the part that a Strategy
//     decides
//   - NewUndo: going back
//   - NewFleet: several clusters, a wave after the other
//
// Stages that more than one list has are in stages.go. The work of each is a method
// that takes what it needs and returns what it found; the lists hand that on through
// the run's found, which nothing else writes.
//
// # To add a stage
//
// Write a method that returns what it finds, and put it into the list with its
// undo. It calls Reporter.Changed right before it changes something outside of
// this process.
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
