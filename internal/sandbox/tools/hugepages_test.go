package tools

import (
	"os"
	"path/filepath"
	"testing"
)

// The kernel shows all values with the selected one in brackets, and accepts a
// plain value. A file shows what was written last.
func TestSwitchTo(t *testing.T) {
	dir := t.TempDir()
	path, kept := filepath.Join(dir, "enabled"), filepath.Join(dir, "state", "before")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	said := 0
	say := func(string, ...any) { said++ }

	write("always [madvise] never\n")
	restore, err := switchOn(path, kept, say)
	if err != nil || read() != "always" || said != 1 {
		t.Fatalf("switched: %q, %v, %d lines", read(), err, said)
	}
	if err := restore(); err != nil || read() != "madvise" {
		t.Fatalf("restored: %q, %v", read(), err)
	}

	// After a kill, the next run restores the original value and starts from
	// there.
	write("always [never]\n")
	if _, err = switchOn(path, kept, say); err != nil {
		t.Fatal(err)
	}
	if err := putBack(path, kept); err != nil || read() != "never" {
		t.Fatalf("put back after a killed run: %q, %v", read(), err)
	}

	// If there is nothing to do, nothing is logged or recorded.
	said = 0
	write("[always] madvise never\n")
	if restore, err = switchOn(path, kept, say); err != nil || said != 0 {
		t.Fatalf("%v, %d lines", err, said)
	}
	if err := restore(); err != nil || read() != "[always] madvise never\n" {
		t.Fatalf("restored: %q, %v", read(), err)
	}

	// This kernel does not have the switch.
	if restore, err = switchOn(filepath.Join(dir, "none"), kept, say); err != nil || restore() != nil {
		t.Fatal(err)
	}
}
