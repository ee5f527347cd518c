package bench

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

const (
	user  = "joel"
	token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
	// named is GitHub's own name for a local GitHub, whose registry speaks
	// plain HTTP and is reached through HTTP_PROXY.
	named = "containers.github.localhost"

	rtt  = 40 * time.Millisecond
	rate = 12.5e6
)

// world is a registry behind a link.
type world struct {
	link *Link
	addr string
	dir  string // for credentials of the peers
}

func newWorld(b *testing.B) *world {
	b.Helper()
	store, verifies := upstream(b)
	return newWorldOf(b, store, verifies)
}

func newWorldOf(b *testing.B, store http.Handler, verifies bool) *world {
	b.Helper()
	w := &world{dir: b.TempDir()}
	front := ghcr.New(ghcr.Options{
		Upstream: store, UpstreamVerifies: verifies,
		Accounts: map[string]ghcr.Account{token: {Login: user, Scopes: []string{"write:packages"}}},
	})
	api := githubapi.New(map[string]githubapi.Account{token: {Login: user, Scopes: []string{"write:packages"}}})
	w.link = &Link{RTT: rtt, Rate: rate, Default: front, Routes: map[string]http.Handler{"api.github.localhost": api}}
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	addr, err := w.link.Serve(ctx)
	if err != nil {
		b.Fatal(err)
	}
	w.addr = addr
	auth := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, addr, base64.StdEncoding.EncodeToString([]byte(user+":"+token)))
	if err := os.WriteFile(filepath.Join(w.dir, "config.json"), []byte(auth), 0o600); err != nil {
		b.Fatal(err)
	}
	return w
}

// upstream is the registry that stores blobs; verifies means that it refuses a
// manifest while something that it names is missing.
func upstream(b *testing.B) (_ http.Handler, verifies bool) {
	b.Helper()
	bin, err := exec.LookPath("docker-registry")
	if os.Getenv("SBW_BENCH_UPSTREAM") != "docker-registry" || err != nil {
		return ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithBlobHandler(&forgetful{})), false
	}
	dir := b.TempDir()
	addr := freeAddr(b)
	cfg := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, addr)
	path := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(path, []byte(cfg), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", path)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	u := &url.URL{Scheme: "http", Host: addr}
	for range 200 {
		if res, err := http.Get(u.String() + "/v2/"); err == nil {
			_ = res.Body.Close()
			return ghcr.Proxy(u), true
		}
		_ = waiting.For(b.Context(), 50*time.Millisecond)
	}
	b.Fatal("docker-registry does not answer")
	return nil, false
}

// forgetful remembers only that a blob arrived, because the time of a disk or
// memory is not the uplink's, and because go-containerregistry's registry
// allows no other upload meanwhile. The blob has been compared with its digest
// on the way here.
type forgetful struct {
	mu    sync.Mutex
	sizes map[v1.Hash]int64
}

func (f *forgetful) Put(_ context.Context, _ string, h v1.Hash, r io.ReadCloser) error {
	n, err := io.Copy(io.Discard, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sizes == nil {
		f.sizes = map[v1.Hash]int64{}
	}
	f.sizes[h] = n
	return nil
}

func (f *forgetful) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.sizes[h]
	if !ok {
		return 0, ggcr.ErrNotFound
	}
	return n, nil
}

func (f *forgetful) Get(context.Context, string, v1.Hash) (io.ReadCloser, error) {
	return nil, errors.New("a push reads no blob")
}

func freeAddr(b *testing.B) string {
	b.Helper()
	srv := httptest.NewServer(nil)
	defer srv.Close()
	return strings.TrimPrefix(srv.URL, "http://")
}

func median(runs []run) run {
	pick := func(key func(run) int64) int64 {
		var all []int64
		for _, r := range runs {
			all = append(all, key(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return run{
		took:     time.Duration(pick(func(r run) int64 { return int64(r.took) })),
		requests: pick(func(r run) int64 { return r.requests }),
		sent:     pick(func(r run) int64 { return r.sent }),
		rss:      pick(func(r run) int64 { return r.rss }),
	}
}

func report(b *testing.B, runs []run) run {
	b.Helper()
	r := median(runs)
	best := slices.MinFunc(runs, func(a, b run) int { return cmp.Compare(a.took, b.took) })
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r.took.Seconds(), "s")
	b.ReportMetric(float64(r.requests), "requests")
	b.ReportMetric(float64(r.rss)/1e6, "MB-rss")
	if r.sent > 1e6 {
		b.ReportMetric(r.took.Seconds()/(float64(r.sent)/rate), "x-limit")
		b.ReportMetric(best.took.Seconds()/(float64(best.sent)/rate), "x-limit-best")
	}
	return r
}

// the first of the peers is the one that the others are compared with.
var peers = []struct {
	name string
	do   tool
}{{"crane", crane}, {"sbw", sbw}, {"regctl", regctl}, {"skopeo", skopeo}}

// BenchmarkAllNew pushes 28.2 MB in 9 blobs that the registry has not seen.
// x-crane-1 is the ratio to crane's time for one tag alone.
func BenchmarkAllNew(b *testing.B) {
	var one run
	for _, tags := range [][]string{{"v1"}, {"v1", "latest"}} {
		for _, peer := range peers {
			b.Run(fmt.Sprintf("%dtags/%s", len(tags), peer.name), func(b *testing.B) {
				w := newWorld(b)
				var runs []run
				for i := range b.N {
					dir := filepath.Join(b.TempDir(), "layout")
					digest := makeImage(b, dir, randomSeeds())
					runs = append(runs, peer.do(b, w, dir, digest, fmt.Sprintf("new%d", i), tags...))
				}
				r := report(b, runs)
				if peer.name == "crane" && len(tags) == 1 {
					one = r
				}
				if one.took > 0 {
					b.ReportMetric(r.took.Seconds()/one.took.Seconds(), "x-crane-1")
				}
			})
		}
	}
}

// BenchmarkOneLayer pushes again after one layer has changed: 2 of 9 blobs are
// new. The ratio is to crane's time for the same two tags.
func BenchmarkOneLayer(b *testing.B) {
	w := newWorld(b)
	results := map[string]run{}
	for _, peer := range peers {
		b.Run(peer.name, func(b *testing.B) {
			var runs []run
			for i := range b.N {
				dir := filepath.Join(b.TempDir(), "layout")
				seeds := randomSeeds()
				first := makeImage(b, dir, seeds)
				seeds[6] = rand.Uint64()
				second := makeImage(b, dir, seeds)
				repo := fmt.Sprintf("one-%s-%d-%d", peer.name, b.N, i)
				crane(b, w, dir, first, repo, "v1", "latest")
				runs = append(runs, peer.do(b, w, dir, second, repo, "v2", "latest"))
			}
			r := report(b, runs)
			results[peer.name] = r
			if c := results["crane"]; c.took > 0 {
				b.ReportMetric(r.took.Seconds()/c.took.Seconds(), "x-crane")
			}
		})
	}
}

// BenchmarkNothingNew publishes what is already published.
func BenchmarkNothingNew(b *testing.B) {
	w := newWorld(b)
	for _, peer := range peers {
		b.Run(peer.name, func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "layout")
			digest := makeImage(b, dir, randomSeeds())
			repo := fmt.Sprintf("same-%s-%d", peer.name, b.N)
			crane(b, w, dir, digest, repo, "v1", "latest")
			var runs []run
			for range b.N {
				runs = append(runs, peer.do(b, w, dir, digest, repo, "v1", "latest"))
			}
			report(b, runs)
		})
	}
}
