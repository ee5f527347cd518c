// Package ui shows people and programs what a run does: as a live view on a
// terminal, as plain lines with a time, or as JSON lines.
//
// It is the only package that knows about terminals. A command creates a UI with FromEnv
// and New, passes it to pipeline.Run as the Sink, and ends it with Close (or Fail,
// for an error outside a pipeline). Its output goes to stderr. For a command's
// stdout there are Rows, PrintDiff and PrintFindings.
//
//	o := ui.FromEnv(os.Stderr, ui.Flags{Program: "gh sbw"})
//	u := ui.New(o)
//	defer u.Stop() // restores the terminal if something panics
//	u.Plan(p)
//	outcome := pipeline.Run(ctx, p, u)
//	err := u.Close(outcome)
//
// # How it works
//
// Emit puts an event into the model of the run (run.go) or turns it into lines,
// under a lock and without writing. One goroutine writes: lines when there are
// some, and on a terminal at most twelve frames a second (frame.go, progress.go
// lay one out as a pure function of model, time and window; screen.go draws
// it). The clock and the ticker are Options, so that tests hold exact screens.
//
// All text passes Sanitize before it becomes part of a line (boundary.go), because
// the log of a pod and the answer of a registry cannot be trusted.
//
// # What draws
//
// Widths, truncation and control sequences come from charmbracelet/x/ansi, on which
// gh and Bubble Tea are built. screen.go composes and redraws whole lines on top of
// it. Bubble Tea itself was tried and rejected:
//
//   - v1 asks the terminal for its background colour in an init function, so every
//     start of the program, including --version and completion, writes to the
//     terminal and may wait for an answer.
//   - v2 draws the differences between cells with relative cursor movements. That is
//     right for a program that owns the keyboard. These plugins leave the keyboard to
//     the terminal, so that ^C arrives as a signal. Then the echo of a key shifts
//     everything after it: "25 of 100 MB" became "25 8 9 00 MB", and stayed like that
//     for the minutes that restoring can take. It also loses its position when a
//     narrower window wraps its lines.
//   - v2 adds 1.4 MB to a stripped binary, x/ansi 0.2 MB.
//
// mpb redraws all lines every time, and has bars but neither tables nor lists. Here a
// line that has not changed is not written again, and the cursor rests where neither
// an echo nor a wrapped line does any harm: see screen.
//
// # To add
//
// A new kind of event needs a case in run.take, emitPlain and emitJSON (with the
// schema in record's comment). A new figure for a stage's line goes into
// progressText. In either case extend TestPlainLines and TestLiveRun.
package ui
