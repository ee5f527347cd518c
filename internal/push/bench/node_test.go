//go:build linux

package bench

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/containerd"
)

// BenchmarkNode is the other end of BenchmarkChurn: what a node that runs the
// image published before has to do until a container of the next one runs. A
// containerd pulls from the registry without a limit, unpacks, and runs the
// program of the image, which ends at once. s is the time from the pull's begin
// to that end, s-first the same for the first image, of which the node has
// nothing. s-12.5 adds what the bytes take at 12.5 MB/s.
//
// In a cluster, the scheduler and the kubelet come before this. They take the
// same time whatever the image is like (internal/sandbox/e2e measures whole
// rollouts).
//
//	go test -run '^$' -bench Node -benchtime 1x -timeout 30m ./internal/push/bench
func BenchmarkNode(b *testing.B) {
	host, _ := buildkitd.Start(b)
	c := newChurn(b, host)
	c.platform = "linux/" + runtime.GOARCH
	c.write(b, "server", compiled(b))
	for _, p := range []struct {
		builder
		repository string
	}{
		{builder{"crane", c.crane}, "crane"},
		{builder{"sbw-no-layer-reuse", c.sbw(ghSbw(b), "--no-layer-reuse")}, "worker"},
		{builder{"sbw", c.sbw(ghSbw(b))}, "worker"},
	} {
		b.Run(p.name, func(b *testing.B) {
			var first, second []run
			for range b.N {
				store := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
				w := newWorldOf(b, store, false)
				w.link.RTT, w.link.Rate = 0, 1e12
				c.reset(b)
				n := newNode(b, store)
				p.publish(b, w, "v1")
				first = append(first, n.start(p.repository, "v1", c.platform))
				p.publish(b, w, "v2")
				second = append(second, n.start(p.repository, "v2", c.platform))
				n.Stop()
			}
			f, s := median(first), median(second)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(f.took.Seconds(), "s-first")
			b.ReportMetric(s.took.Seconds(), "s")
			b.ReportMetric(s.took.Seconds()+float64(s.sent)/rate, "s-12.5")
			b.ReportMetric(float64(s.sent)/1e3, "kB-pulled")
		})
	}
}

// compiled is a program for this machine that does nothing.
func compiled(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	src, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "server")
	if err := os.WriteFile(src, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	return string(program)
}

// node is a containerd with nothing in it, and the registry that it pulls from.
type node struct {
	*testing.B
	*containerd.Daemon
	registry string
	pulled   atomic.Int64
}

func newNode(b *testing.B, store http.Handler) *node {
	b.Helper()
	n := &node{B: b, Daemon: containerd.Start(b)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		store.ServeHTTP(&counted{w, &n.pulled}, r)
	}))
	b.Cleanup(srv.Close)
	n.registry = strings.TrimPrefix(srv.URL, "http://")
	return n
}

// start pulls and runs an image.
func (n *node) start(repository, tag, platform string) run {
	n.Helper()
	ref := n.registry + "/" + user + "/" + repository + ":" + tag
	before, begin := n.pulled.Load(), time.Now()
	for _, args := range [][]string{
		{"image", "pull", "--plain-http", "--platform", platform, ref},
		{"run", "--rm", "--platform", platform, ref, "worker-" + tag},
	} {
		out, err := n.Ctr(args...).CombinedOutput()
		if err != nil {
			n.Fatalf("ctr %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return run{took: time.Since(begin), sent: n.pulled.Load() - before}
}

// counted counts what is answered.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}
