// Package ui tells people and machines what a run does: as a live view on a
// terminal, as plain timestamped lines, or as JSON lines.
//
// It is the only package that knows terminals. A command makes a UI with
// FromEnv and New, hands it to pipeline.Run as the Sink, and ends it with Close
// (or Fail, for an error outside of a pipeline). What it writes goes to stderr;
// for a command's stdout there are Rows, PrintDiff and PrintFindings.
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
// All text passes Sanitize before it becomes part of a line (boundary.go): a
// pod's log and a registry's answer are strangers' text.
//
// # What draws
//
// Widths, cutting and the control sequences are those of charmbracelet/x/ansi,
// the layer that gh and Bubble Tea stand on; composing and redrawing whole
// lines on top of it is screen.go. Bubble Tea itself was tried and left:
//
//   - v1 asks the terminal for its background colour in an init function, so
//     that every start of the program, --version and completion too, writes to
//     the terminal and may wait for its answer.
//   - v2 draws the difference of cells by relative moves of the cursor. That is
//     right for a program that owns the keyboard. These plugins leave it to the
//     terminal, so that ^C arrives as the signal it is, and then the echo of a
//     key shifts all that follows: "25 of 100 MB" became "25 8 9 00 MB", and
//     stayed so for the minutes that a restoration may take. It also loses its
//     place when a narrower window wraps the lines that stand there.
//   - v2 adds 1.4 MB to a stripped binary, x/ansi 0.2 MB.
//
// mpb redraws all lines at every refresh and has bars, but neither tables nor
// lists. Here a line that has not changed is not written again, and the cursor
// rests where neither an echo nor a wrapped line does harm: see screen.
//
// # To add
//
// A new kind of event needs its case in run.take, emitPlain and emitJSON (with
// the schema in record's comment). A new figure for a stage's line goes into
// progressText. Whatever it is, add it to TestPlainLines and TestLiveRun.
package ui
