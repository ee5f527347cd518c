package ui

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableEscapes switches on the console's processing of escape sequences, which
// Windows 10 and later have, and reports whether it is on.
func enableEscapes(f *os.File) bool {
	h := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(h, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
