package build

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// BenchmarkExport builds an image of 200 MB after a small file has changed: into
// a new layout directory, which takes as long as writing a tar, and into one that
// is kept.
func BenchmarkExport(b *testing.B) {
	host, _ := buildkitd.Start(b)
	k := &buildKit{machine: testMachine("BUILDKIT_HOST=" + host), buildctl: require.Tool(b, "buildctl"), host: host}
	dir := files(b, map[string]string{"Dockerfile": "FROM scratch\nCOPY large /\nCOPY small /\n", "small": "0"})
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(large, rand.Reader, 200<<20); err != nil {
		b.Fatal(err)
	}
	if err := large.Close(); err != nil {
		b.Fatal(err)
	}
	n := 0
	kept := filepath.Join(b.TempDir(), "kept")
	build := func(b *testing.B, layout string) {
		n++
		if err := os.WriteFile(filepath.Join(dir, "small"), fmt.Append(nil, n), 0o644); err != nil {
			b.Fatal(err)
		}
		req := request(b, dir)
		req.LayoutDir = layout
		if _, err := k.Build(b.Context(), req, nil); err != nil {
			b.Fatal(err)
		}
	}
	build(b, kept) // from here on, the large layer is in the builder's cache
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			dir := b.TempDir()
			build(b, dir)
			b.StopTimer()
			if err := os.RemoveAll(dir); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			build(b, kept)
		}
	})
}
