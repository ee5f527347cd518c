//go:build unix

package reuse

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// BenchmarkCost measures the cost of a layer of 300 MB in 9,000 files between the
// builder and the registry: compressing it for a first publish while it is
// listed, and comparing it with the layer that was published before. s-cpu is the
// time used on all processors, which hardly depends on other load.
func BenchmarkCost(b *testing.B) {
	base := newBench(b)
	built := base.image("arm64", large(b, 1))
	first, second := base.add(built), base.add(base.image("arm64", large(b, 2)))
	plain := base.images(first)[0].Manifest.Layers[0]
	ctx := b.Context()
	for _, step := range []struct {
		name    string
		prepare func(o Options) error
		do      func(o Options) error
	}{
		{name: "pack", do: func(o Options) error {
			_, err := Packer{Dir: o.Dir, Facts: o.Facts, How: o.Compression}.Pack(ctx, plain)
			return err
		}},
		{name: "list", do: func(o Options) error { return Remember(ctx, first, o, nil) }},
		{name: "rewrite", prepare: func(o Options) error { return Remember(ctx, first, o, nil) }, do: func(o Options) error {
			o.Published = []string{first}
			res, err := Rewrite(ctx, second, o, nil)
			if err == nil && len(res.Reused) != 1 {
				return fmt.Errorf("not reused: %+v", res)
			}
			return err
		}},
	} {
		b.Run(step.name, func(b *testing.B) {
			var spent time.Duration
			for range b.N {
				b.StopTimer()
				o := base.Options
				o.Facts = b.TempDir()
				if step.prepare != nil {
					if err := step.prepare(o); err != nil {
						b.Fatal(err)
					}
				}
				before := used(b)
				b.StartTimer()
				if err := step.do(o); err != nil {
					b.Fatal(err)
				}
				spent += used(b) - before
			}
			b.ReportMetric(spent.Seconds()/float64(b.N), "s-cpu")
		})
	}
}

// used returns the processor time of this process.
func used(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// large returns an uncompressed layer like node_modules, with round as the
// content of one file.
func large(b *testing.B, round int) []byte {
	b.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	r := rand.New(rand.NewPCG(1, 2))
	put := func(name string, kind byte, body []byte) {
		h := &tar.Header{Name: name, Typeflag: kind, Mode: 0o755, Size: int64(len(body)), ModTime: time.Unix(int64(round), 0)}
		if err := tw.WriteHeader(h); err != nil {
			b.Fatal(err)
		}
		if _, err := tw.Write(body); err != nil {
			b.Fatal(err)
		}
	}
	put("node_modules/", tar.TypeDir, nil)
	put("node_modules/.modules.yaml", tar.TypeReg, fmt.Appendf(nil, "prunedAt: %d", round))
	for i := range 9000 {
		if i%20 == 0 {
			put(fmt.Sprintf("node_modules/p%d/", i/20), tar.TypeDir, nil)
		}
		var body []byte
		for n := 8000 * (1 + r.IntN(7)); len(body) < n; {
			body = fmt.Appendf(body, "const v%d = require(\"./%d\");\n", r.IntN(3000), r.IntN(1<<20))
		}
		put(fmt.Sprintf("node_modules/p%d/m%d.js", i/20, i%20), tar.TypeReg, body)
	}
	if err := tw.Close(); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}
