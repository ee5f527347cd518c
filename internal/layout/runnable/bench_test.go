package runnable

import (
	"fmt"
	"math/rand/v2"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// usual writes an image like that of a worker: a base with a program of 32 MB and
// a layer of 30,000 small files.
func usual(b *testing.B, dir string) (digest string, size int64) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		buf := make([]byte, n)
		for i := range buf {
			buf[i] = "abcdefgh    \n"[r.IntN(13)]
		}
		return string(buf)
	}
	program := file{name: "usr/local/bin/bun", body: elfFile(arm64, "") + text(32<<20)}
	var modules []file
	for i := range 30_000 {
		modules = append(modules, file{name: fmt.Sprintf("app/node_modules/p%d/lib/index.js", i), body: text(1500), mode: 0o644})
	}
	digest = image(b, dir, v1.ConfigFile{OS: "linux", Architecture: "arm64", Config: v1.Config{Cmd: []string{"/usr/local/bin/bun"}}},
		layers(tarred(program), tarred(data("etc/passwd")), tarred(modules...)))
	for _, l := range [][]file{{program}, modules} {
		for _, f := range l {
			size += int64(len(f.body))
		}
	}
	return digest, size
}

// BenchmarkCheck reads an image for the first time, and again with cached
// summaries, as they exist for the base layers of every later build.
func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	digest, size := usual(b, dir)
	for _, tt := range []struct{ name, cache string }{{"first", ""}, {"again", b.TempDir()}} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				rep, err := Check(b.Context(), dir, digest, Options{CacheDir: tt.cache}, nil)
				if err != nil || len(rep.Findings) != 0 {
					b.Fatal(rep.Findings, err)
				}
			}
		})
	}
}
