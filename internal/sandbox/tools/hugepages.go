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

// hugePages is the kernel's switch for transparent huge pages.
const hugePages = "/sys/kernel/mm/transparent_hugepage/enabled"

// HugePages gives the programs started from here on huge pages, as Debian's own
// kernels do, and returns how to put the switch back. Some virtual machines'
// kernels give them only to who asks, which the Go compiler does not: there a
// compilation spends a third of its time on page faults (28 s instead of 38 s
// for k8s.io/api/core/v1 and what it imports, on two cores).
//
// What was set before is kept in dir, so that a run that was killed is put
// right by the next one. A switch that cannot be written is left as it is: it
// costs time and nothing else.
func HugePages(dir string, say Say) (restore func() error, err error) {
	return switchTo(hugePages, "always", filepath.Join(dir, "hugepages.before"), say)
}

// RestoreHugePages puts back what a killed run has left.
func RestoreHugePages(dir string) error {
	return putBack(hugePages, filepath.Join(dir, "hugepages.before"))
}

var chosen = regexp.MustCompile(`\[(\w+)\]`)

func switchTo(path, value, kept string, say Say) (restore func() error, err error) {
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
		return nil, fmt.Errorf("%s says %q: no value is chosen in it", path, text)
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

// putBack writes what is kept to the switch; nothing kept is no error.
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
