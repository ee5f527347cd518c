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
// takes what it needs as arguments and returns what it found. The lists pass these
// values on through Run.found. Nothing else writes it, apart from what several stages
// share: probing, following pods that somebody has replaced (keepup.go), observing the
// old pods, and collecting evidence. What a rollout and an undo do
// differently in a stage that they share is in Run.purpose.
//
// Work that needs nothing but facts and options belongs to a type of its own, made
// where a stage needs it:
//
//   - guard (guard.go): whether this run may still write
//   - stamper (stamp.go): the manifest's file
//   - killedRuns (resume.go): what earlier runs have left, from the journal
//   - prober (prove.go) and provenHook (hook.go): the new pods, and the user's command
//   - registrar (register.go) and work (runningsteps.go): the registration with Inngest,
//     and the steps and runs that the server knows
//
// # To add a stage
//
// Write a method that returns what it finds, on one of these types or on Run, and add it
// to the list together with its undo. Call Reporter.Changed immediately before changing anything outside this
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
