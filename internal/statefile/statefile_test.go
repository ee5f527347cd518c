package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestStateDir(t *testing.T) {
	root := t.TempDir()
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	home := map[string]string{"HOME": root, "USERPROFILE": root}
	dir, err := StateDir(env(home))
	if want := filepath.Join(root, ".local", "state", "sbw"); err != nil || dir != want {
		t.Errorf("StateDir() = %s, %v", dir, err)
	}
	home["XDG_STATE_HOME"] = "relative"
	if dir2, err := StateDir(env(home)); err != nil || dir2 != dir {
		t.Errorf("relative: %s, %v", dir2, err)
	}
	home["XDG_STATE_HOME"] = filepath.Join(root, "x")
	if dir, err := StateDir(env(home)); err != nil || dir != filepath.Join(root, "x", "sbw") {
		t.Errorf("set: %s, %v", dir, err)
	}
	if _, err := StateDir(env(nil)); err == nil {
		t.Error("no error without a home")
	}
}

func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"first, and longer", "second"} {
		if err := Write(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := content(t, dir); len(got) != 1 || got["f"] != text {
			t.Errorf("%q", got)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o640 {
		t.Errorf("mode %s", info.Mode())
	}
	if err := Write(filepath.Join(dir, "no", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

// TestPlace checks what remains of a file that could not be moved to its place.
func TestPlace(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		path string // below the directory
		err  error
		want error
	}{
		"dropped":                {},
		"write fails":            {path: "new", err: broken, want: broken},
		"the place is not there": {path: filepath.Join("no", "new"), want: fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "old"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Place(dir, 0o600, func(f *os.File) (string, error) {
				if _, err := f.WriteString("half"); err != nil {
					t.Error(err)
				}
				if c.path == "" {
					return "", c.err
				}
				return filepath.Join(dir, c.path), c.err
			})
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if got := content(t, dir); len(got) != 1 || got["old"] != "old" {
				t.Errorf("left: %q", got)
			}
		})
	}
}
