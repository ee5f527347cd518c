package receipt

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// StateDir is the directory for what both plugins remember between runs:
// $XDG_STATE_HOME/sbw, else %LocalAppData%\sbw on Windows and ~/.local/state/sbw
// elsewhere, macOS too, as gh has it. A relative XDG_STATE_HOME does not count
// (XDG Base Directory Specification).
func StateDir(getenv func(string) string) (string, error) {
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sbw"), nil
	}
	if dir := getenv("LocalAppData"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "sbw"), nil
	}
	home := getenv("HOME")
	if runtime.GOOS == "windows" {
		home = getenv("USERPROFILE")
	}
	if home == "" {
		return "", errors.New("neither XDG_STATE_HOME nor a home directory is set")
	}
	return filepath.Join(home, ".local", "state", "sbw"), nil
}

// Open is the user's store.
func Open() (Store, error) {
	dir, err := StateDir(os.Getenv)
	if err != nil {
		return Store{}, notKept("receipts", err)
	}
	return Store{Dir: filepath.Join(dir, "receipts")}, nil
}
