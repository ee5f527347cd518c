package bench

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
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
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
	"github.com/joelhooks/gh-sbw/internal/sandbox/need"
)

const (
	user  = "joel"
	token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
	// named is GitHub's own name for a local GitHub; its registry is plain HTTP
	// and reached through HTTP_PROXY.
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
	w := &world{dir: b.TempDir()}
	store, verifies := upstream(b)
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

// upstream is the registry that stores; verifies says that it refuses a
// manifest while something that it names is missing.
func upstream(b *testing.B) (_ http.Handler, verifies bool) {
	b.Helper()
	bin, err := exec.LookPath("docker-registry")
	if os.Getenv("SBW_BENCH_UPSTREAM") != "docker-registry" || err != nil {
		return ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithBlobHandler(ggcr.NewDiskBlobHandler(b.TempDir()))), false
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
		_ = pause(b.Context(), 50*time.Millisecond)
	}
	b.Fatal("docker-registry does not answer")
	return nil, false
}

func freeAddr(b *testing.B) string {
	b.Helper()
	srv := httptest.NewServer(nil)
	defer srv.Close()
	return strings.TrimPrefix(srv.URL, "http://")
}

// run is what one publish cost.
type run struct {
	took     time.Duration
	requests int64
	sent     int64
	rss      int64 // bytes
}

func (w *world) exec(b *testing.B, env []string, argv ...string) run {
	b.Helper()
	w.link.Reset()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(strings.ToLower(kv), "=")
		return strings.HasSuffix(key, "_proxy") || strings.HasPrefix(key, "gh_") || strings.HasPrefix(key, "github_")
	}), "DOCKER_CONFIG="+w.dir, "HOME="+w.dir, "GOMAXPROCS=2")
	cmd.Env = append(cmd.Env, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	peak := watchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	r := run{took: time.Since(start), rss: peak()}
	if err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out.String())
	}
	r.requests, r.sent = w.link.Reset()
	return r
}

// watchMemory reads a process's peak memory until the returned function is
// called. The kernel's own account at the end (ru_maxrss) will not do: it starts
// with what the parent had when it forked.
func watchMemory(pid int) (peak func() int64) {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var most int64
		for {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err == nil {
				if _, after, ok := strings.Cut(string(text), "VmHWM:"); ok {
					var kib int64
					if _, err := fmt.Sscan(after, &kib); err == nil {
						most = max(most, kib<<10)
					}
				}
			}
			select {
			case <-tick.C:
			case <-stop:
				result <- most
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

// tool publishes a layout under one tag after another.
type tool func(b *testing.B, w *world, dir, digest, repo string, tags ...string) run

func sbw(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	env := []string{"HTTP_PROXY=http://" + w.addr, "GHCR_TOKEN=" + token, "GHCR_USER=" + user, "GHCR_HOST=" + named}
	if bin := os.Getenv("SBW_BENCH_GH_SBW"); bin != "" {
		argv := []string{bin, "publish", tags[0], "--layout", dir + "@" + digest, "--image", named + "/" + user + "/" + repo}
		if len(tags) == 1 {
			argv = append(argv, "--no-latest")
		}
		return w.exec(b, env, argv...)
	}
	job, err := json.Marshal(childJob{Repo: named + "/" + user + "/" + repo, Dir: dir, Digest: digest, Tags: tags})
	if err != nil {
		b.Fatal(err)
	}
	return w.exec(b, append(env, childEnv+"="+string(job)), os.Args[0])
}

func crane(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	bin := need.Tool(b, "crane")
	return sum(tags, func(tag string) run { return w.exec(b, nil, bin, "push", only(b, dir, digest), w.ref(repo, tag)) })
}

func regctl(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	bin := need.Tool(b, "regctl")
	w.exec(b, nil, bin, "registry", "set", "--tls", "disabled", "--skip-check", w.addr)
	return sum(tags, func(tag string) run {
		return w.exec(b, nil, bin, "image", "copy", "ocidir://"+only(b, dir, digest)+"@"+digest, w.ref(repo, tag))
	})
}

func skopeo(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	bin := need.Tool(b, "skopeo")
	return sum(tags, func(tag string) run {
		return w.exec(b, nil, bin, "copy", "--insecure-policy", "--dest-tls-verify=false", "--authfile", filepath.Join(w.dir, "config.json"),
			"oci:"+only(b, dir, digest), "docker://"+w.ref(repo, tag))
	})
}

func sum(tags []string, do func(string) run) run {
	var all run
	for _, t := range tags {
		r := do(t)
		all.took += r.took
		all.requests += r.requests
		all.sent += r.sent
		all.rss = max(all.rss, r.rss)
	}
	return all
}

func (w *world) ref(repo, tag string) string { return w.addr + "/" + user + "/" + repo + ":" + tag }

// only is a layout with that image alone, which is what the peers take.
func only(b *testing.B, dir, digest string) string {
	b.Helper()
	to := dir + "-" + digest[7:19]
	if _, err := os.Stat(to); err == nil {
		return to
	}
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		b.Fatal(err)
	}
	h, err := v1.NewHash(digest)
	if err != nil {
		b.Fatal(err)
	}
	img, err := idx.Image(h)
	if err != nil {
		b.Fatal(err)
	}
	p, err := layout.Write(to, empty.Index)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.AppendImage(img); err != nil {
		b.Fatal(err)
	}
	return to
}

// sizes of the image's eight layers: 28.2 MB with the config, shaped as a
// worker's image is: a base, a runtime, packages, sources.
var sizes = []int{11_000_000, 8_000_000, 5_000_000, 2_600_000, 1_000_000, 400_000, 150_000, 50_000}

func makeImage(b *testing.B, dir string, seeds []uint64) string {
	b.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for i, n := range sizes {
		var err error
		if img, err = mutate.AppendLayers(img, static.NewLayer(makeLayer(b, i, n, seeds[i]), types.OCILayer)); err != nil {
			b.Fatal(err)
		}
	}
	return addImage(b, dir, img)
}

// makeLayer is a tar of one file that does not compress, and of the program
// that the image starts.
func makeLayer(b *testing.B, i, size int, seed uint64) []byte {
	b.Helper()
	content := make([]byte, size)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	key[31] = byte(i)
	_, _ = rand.NewChaCha8(key).Read(content)
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	tw := tar.NewWriter(zw)
	for _, f := range []struct {
		name string
		text []byte
	}{{"app/server", program()}, {fmt.Sprintf("data/%d", i), content}} {
		err = errors.Join(err, tw.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.text)), Typeflag: tar.TypeReg}))
		_, werr := tw.Write(f.text)
		err = errors.Join(err, werr)
	}
	if err := errors.Join(err, tw.Close(), zw.Close()); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// program is the header of a static arm64 executable: what a publish looks at.
func program() []byte {
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64,
	}
	copy(h.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)})
	var buf bytes.Buffer
	_ = binary.Write(&buf, binary.LittleEndian, h) // a Buffer takes everything
	return append(buf.Bytes(), make([]byte, 64)...)
}

func addImage(b *testing.B, dir string, img v1.Image) string {
	b.Helper()
	cfg, err := img.ConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", "arm64"
	cfg.Config.Cmd = []string{"/app/server"}
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		b.Fatal(err)
	}
	p, err := layout.FromPath(dir)
	if err != nil {
		if p, err = layout.Write(dir, empty.Index); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.AppendImage(img); err != nil {
		b.Fatal(err)
	}
	h, err := img.Digest()
	if err != nil {
		b.Fatal(err)
	}
	return h.String()
}

func randomSeeds() []uint64 {
	s := make([]uint64, len(sizes))
	for i := range s {
		s[i] = rand.Uint64()
	}
	return s
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

func report(b *testing.B, r run) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(r.took.Seconds(), "s")
	b.ReportMetric(float64(r.requests), "requests")
	b.ReportMetric(float64(r.rss)/1e6, "MB-rss")
	if r.sent > 1e6 {
		b.ReportMetric(r.took.Seconds()/(float64(r.sent)/rate), "x-limit")
	}
}

var peers = []struct {
	name string
	do   tool
}{{"sbw", sbw}, {"crane", crane}, {"regctl", regctl}, {"skopeo", skopeo}}

// BenchmarkAllNew pushes 28.2 MB in 9 blobs that the registry has not seen.
func BenchmarkAllNew(b *testing.B) {
	for _, tags := range [][]string{{"v1", "latest"}, {"v1"}} {
		for _, peer := range peers {
			b.Run(fmt.Sprintf("%dtags/%s", len(tags), peer.name), func(b *testing.B) {
				w := newWorld(b)
				var runs []run
				for i := range b.N {
					dir := filepath.Join(b.TempDir(), "layout")
					digest := makeImage(b, dir, randomSeeds())
					runs = append(runs, peer.do(b, w, dir, digest, fmt.Sprintf("new%d", i), tags...))
				}
				report(b, median(runs))
			})
		}
	}
}

// BenchmarkOneLayer pushes again after one layer changed: 2 of 9 blobs are new.
// The ratio is to crane's time for the same two tags.
func BenchmarkOneLayer(b *testing.B) {
	w := newWorld(b)
	results := map[string]run{}
	for _, peer := range []int{1, 0, 2, 3} {
		peer := peers[peer]
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
			r := median(runs)
			results[peer.name] = r
			report(b, r)
			if c := results["crane"]; c.took > 0 {
				b.ReportMetric(r.took.Seconds()/c.took.Seconds(), "x-crane")
			}
		})
	}
}

// BenchmarkNothingNew publishes what is published.
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
			report(b, median(runs))
		})
	}
}
