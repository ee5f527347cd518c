package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// hugePages is the file with the kernel's switch for transparent huge pages.
const hugePages = "/sys/kernel/mm/transparent_hugepage/enabled"

// HugePages switches on transparent huge pages for programs that start from now on,
// as Debian's own kernels do, and returns a function that restores the switch. The
// kernels of some virtual machines give huge pages only to programs that ask for
// them, which the Go compiler does not do. There a compilation spends a third of
// its time on page faults (28 s instead of 38 s for k8s.io/api/core/v1 and its
// imports, on two cores).
//
// The previous setting is kept in dir, so that the next run can restore it if this
// one is killed. If the switch cannot be written, it stays as it is, which only
// costs time.
func HugePages(dir string, say Say) (restore func() error, err error) {
	return switchOn(hugePages, filepath.Join(dir, "hugepages.before"), say)
}

// RestoreHugePages restores the setting that a killed run left changed.
func RestoreHugePages(dir string) error {
	return putBack(hugePages, filepath.Join(dir, "hugepages.before"))
}

var chosen = regexp.MustCompile(`\[(\w+)\]`)

// switchOn sets the switch in path to "always" and records the previous value
// in kept.
func switchOn(path, kept string, say Say) (restore func() error, err error) {
	const value = "always"
	if err := putBack(path, kept); err != nil {
		return nil, err
	}
	nothing := func() error { return nil }
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nothing, nil
	}
	if err != nil {
		return nil, err
	}
	now := chosen.FindStringSubmatch(string(text))
	if now == nil {
		return nil, fmt.Errorf("%s contains %q, in which no value is selected", path, text)
	}
	if now[1] == value {
		return nothing, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(kept, []byte(now[1]), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		say("huge pages stay %q, compiling takes longer: %v", now[1], err)
		return nothing, os.Remove(kept)
	}
	say("huge pages %q instead of %q, while compilers run", value, now[1])
	return func() error { return putBack(path, kept) }, nil
}

// putBack restores the recorded setting, if there is one.
func putBack(path, kept string) error {
	before, err := os.ReadFile(kept)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(strings.TrimSpace(string(before))), 0o644); err != nil {
		return err
	}
	return os.Remove(kept)
}
