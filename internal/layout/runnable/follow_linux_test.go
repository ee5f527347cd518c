package runnable

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// opened waits until this process has the file open a second time.
func opened(t *testing.T, path string) {
	t.Helper()
	for n := 0; n < 2; {
		n = 0
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if to, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && to == path {
				n++
			}
		}
		if err := waiting.For(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFollow checks that what is stored about a layer while the builder writes it is what Check and the comparison of
// layers need, so that neither reads it again.
func TestFollow(t *testing.T) {
	t.Parallel()
	for i, how := range []string{"gzip", "zstd", "uncompressed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir, facts := t.TempDir(), t.TempDir()
			random := make([]byte, 5<<20)
			_, _ = rand.NewChaCha8([32]byte{}).Read(random) // never fails
			blob := compress(t, tarOf(t, []file{bin("bin/a", arm64), {name: "large", body: string(random)}, link("b", "bin/a")}), i)
			path := filepath.Join(dir, "ingest", "x", "data")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			finish := Follow(t.Context(), dir, Options{CacheDir: facts, Contents: true}, nil)
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(blob[:len(blob)-5]); err != nil {
				t.Fatal(err)
			}
			opened(t, path)
			_, err = f.Write(blob[len(blob)-5:])
			if err = errors.Join(err, f.Close(), os.Rename(path, filepath.Join(dir, "blob")), os.RemoveAll(filepath.Dir(path))); err != nil {
				t.Fatal(err)
			}
			finish()
			digest, _, err := v1.SHA256(mustOpen(t, filepath.Join(dir, "blob")))
			if err != nil {
				t.Fatal(err)
			}
			l := layer.Remembered(facts, digest)
			if l == nil || l.Odd != "" || len(l.Entries) != 3 {
				t.Fatalf("the listing is %+v", l)
			}
			s, err := cached(facts, digest, func() (*summary, error) { return nil, errors.New("the layer is read again") })
			if err != nil || len(s.Entries) != 3 || s.DiffID != l.DiffID.String() {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

func mustOpen(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
