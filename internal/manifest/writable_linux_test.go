package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// asNobody runs do with the permissions of an ordinary user. It changes only
// those of one thread, which ends with the goroutine.
func asNobody(t *testing.T, do func() error) error {
	t.Helper()
	if os.Geteuid() != 0 {
		return do()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if err := syscall.Setfsuid(65534); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

func TestWritable(t *testing.T) {
	for name, tc := range map[string]struct {
		file, dir os.FileMode
		why       string // empty: it can be written
	}{
		"both":                       {0o666, 0o777, ""},
		"a read-only file":           {0o444, 0o777, "read-only"},
		"a directory that is locked": {0o666, 0o555, "its directory"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for dir := root; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(root, "k8s")
			path := filepath.Join(dir, "worker.yaml")
			for _, err := range []error{os.Mkdir(dir, 0o755), os.WriteFile(path, []byte("a: b"), 0o644), os.Chmod(path, tc.file), os.Chmod(dir, tc.dir)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Error(err)
				}
			})
			err := asNobody(t, func() error { return (&Plan{Edit: Edit{File: path}}).Writable() })
			if tc.why == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok || f.Code != CodeNotWritten || !strings.Contains(f.Why, tc.why) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestWritableThroughALink checks that a link is followed: the directory of the
// file that is replaced matters.
func TestWritableThroughALink(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "worker.yaml")
	link := filepath.Join(t.TempDir(), "link.yaml")
	for _, err := range []error{os.WriteFile(path, nil, 0o444), os.Symlink(path, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := (&Plan{Edit: Edit{File: link}}).Writable(); err == nil {
		t.Error("a read-only file behind a link counts as writable")
	}
}
