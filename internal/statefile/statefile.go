// Package statefile writes files atomically and says where the plugins keep their state: a
// reader finds the old file or the new one, never a part of it. Write is for data in
// memory, Place for data that is still arriving, and StateDir returns the directory.
//
// google/renameio does not support Windows. The alternatives that were considered need the
// file's name before its content is known, which does not work for a store that names
// files by their digest.
package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Leftovers is the pattern of the temporary files that a killed process leaves behind.
const Leftovers = ".new-*"

// Write replaces a file by data. The directory must exist.
func Write(path string, data []byte, mode fs.FileMode) error {
	return Place(filepath.Dir(path), mode, func(f *os.File) (string, error) {
		_, err := f.Write(data)
		return path, err
	})
}

// Place creates a file in dir, lets write fill it, and moves it to the path that write
// returns. If that is empty, or after an error, the file is removed. Only the user can read
// the file until it is moved; then it has the given mode. write calls Sync if the file must
// survive a power failure.
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

// StateDir returns the directory for the state of both plugins: $XDG_STATE_HOME/sbw, else
// %LocalAppData%\sbw on Windows and ~/.local/state/sbw elsewhere, including macOS, as for
// gh. A relative XDG_STATE_HOME is ignored (XDG Base Directory Specification). The error
// names the variable that is not set.
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
