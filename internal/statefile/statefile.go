// Package statefile is where the plugins keep what they remember between runs,
// and how they write files: a reader finds a file as it was or as it is now,
// never half of it. Write is for data that is in memory, Place for data that is
// still coming; StateDir is where to put it.
//
// google/renameio does not exist for Windows, and everything else that was
// looked at fixes the file's name before its content is known, which a store
// that names files by their digest cannot do.
package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Leftovers is the pattern of the files that a killed process leaves behind in
// a directory that it was writing to.
const Leftovers = ".new-*"

// Write puts data in the place of a file. The directory has to exist.
func Write(path string, data []byte, mode fs.FileMode) error {
	return Place(filepath.Dir(path), mode, func(f *os.File) (string, error) {
		_, err := f.Write(data)
		return path, err
	})
}

// Place creates a file in dir, which write fills, and moves it to the path that
// write returns. With an empty path, or after an error, nothing is left of it.
// The file is the user's own until it is in its place, and has the given mode
// then. write calls Sync if the file must survive a power failure.
func Place(dir string, mode fs.FileMode, write func(*os.File) (path string, err error)) error {
	f, err := os.CreateTemp(dir, Leftovers) // of mode 0600
	if err != nil {
		return err
	}
	path, err := write(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	err = errors.Join(err, f.Close())
	if err == nil && path != "" {
		err = os.Rename(f.Name(), path)
	}
	if err != nil || path == "" {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// StateDir returns the directory for what both plugins remember between runs:
// $XDG_STATE_HOME/sbw, else %LocalAppData%\sbw on Windows and ~/.local/state/sbw
// elsewhere, also on macOS, as gh does it. A relative XDG_STATE_HOME does not
// count (XDG Base Directory Specification). The error says what is not set.
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
	if !filepath.IsAbs(home) {
		return "", errors.New("neither XDG_STATE_HOME nor a home directory is set")
	}
	return filepath.Join(home, ".local", "state", "sbw"), nil
}
