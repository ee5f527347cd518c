package ui

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"
)

// Flags are the user's choices on the command line.
type Flags struct {
	Program                string // "gh sbw" or "kubectl sbw"
	Quiet, Verbose, Events bool
}

// FromEnv returns the Options for the place where the program runs: a live view on a
// terminal, and plain lines elsewhere, in CI and on a dumb terminal. Set Next, then
// call New.
func FromEnv(stderr *os.File, f Flags) Options {
	tty := isTerminal(stderr)
	return Options{
		Mode:    decide(os.Getenv, tty && enableEscapes(stderr), f),
		Err:     stderr,
		Verbose: f.Verbose,
		Style: Style{
			Program: f.Program,
			Color:   wantsColor(os.Getenv, tty && enableEscapes(stderr)),
			Width:   widthOf(stderr, tty),
			ASCII:   wantsASCII(os.Getenv, runtime.GOOS),
		},
		Size: func() (int, int) {
			w, h, err := term.GetSize(int(stderr.Fd()))
			if err != nil {
				return 0, 0
			}
			return w, h
		},
	}
}

// StyleOf returns the Style for a command's stdout. Width is 0 unless it is a
// terminal.
func StyleOf(out *os.File, f Flags) Style {
	tty := isTerminal(out)
	return Style{
		Program: f.Program,
		Color:   wantsColor(os.Getenv, tty && enableEscapes(out)),
		Width:   widthOf(out, tty),
		ASCII:   wantsASCII(os.Getenv, runtime.GOOS),
	}
}

func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

func widthOf(f *os.File, tty bool) int {
	if !tty {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil || w <= 0 {
		return 80
	}
	return w
}

// decide chooses the mode. tty is true if stderr is a terminal that understands
// escape sequences.
func decide(env func(string) string, tty bool, f Flags) Mode {
	switch {
	case f.Events:
		return Events
	case f.Quiet:
		return Quiet
	case !tty, env("TERM") == "dumb", inCI(env):
		return Plain
	}
	return Live
}

// inCI recognises the variable that GitHub Actions, GitLab, CircleCI, Travis and
// others set. Some of them give their jobs a terminal.
func inCI(env func(string) string) bool {
	v := strings.ToLower(env("CI"))
	return v != "" && v != "false" && v != "0"
}

// wantsColor follows https://no-color.org and https://bixense.com/clicolors.
func wantsColor(env func(string) string, tty bool) bool {
	switch {
	case env("NO_COLOR") != "":
		return false
	case env("CLICOLOR_FORCE") != "" && env("CLICOLOR_FORCE") != "0":
		return true
	}
	return tty && env("TERM") != "dumb" && env("CLICOLOR") != "0"
}

// wantsASCII reads the locale as POSIX does: LC_ALL before LC_CTYPE before
// LANG. macOS and Windows show Unicode without one.
func wantsASCII(env func(string) string, goos string) bool {
	if goos == "windows" {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return goos != "darwin"
}
