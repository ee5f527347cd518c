package build

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// heard records the events of a build.
type heard struct {
	mu  sync.Mutex
	all []pipeline.Event
}

func (h *heard) Emit(e pipeline.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, e)
}

func (h *heard) reporter() *pipeline.Reporter { return pipeline.NewReporter("build", h) }

func (h *heard) texts(k pipeline.Kind) (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Kind == k {
			all = append(all, e.Text)
		}
	}
	return all
}

// files writes a tree of files for a build context.
func files(t testing.TB, tree map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tree {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func request(t testing.TB, dir string) Request {
	return Request{Dir: dir, Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile"),
		Platforms: []string{"linux/arm64"}, LayoutDir: filepath.Join(t.TempDir(), "image")}
}

func TestBuildKit(t *testing.T) {
	host, _ := buildkitd.Start(t)
	b := &buildKit{machine: testMachine("BUILDKIT_HOST=" + host), buildctl: require.Tool(t, "buildctl"), host: host}
	engines(t, b, byBuildKit)
	steps(t, b, byBuildKit)
	t.Run("emulated", func(t *testing.T) { emulated(t, b) })
}

func testMachine(pairs ...string) machine {
	// docker refuses an ALL_PROXY with the scheme http for a connection over ssh, which
	// does not need a proxy.
	env := environment(require.Environ()).without("ALL_PROXY", "all_proxy").with("SBW_TEST_SECRET=hush", "GH_TOKEN=ghp_withheld")
	return Options{Env: env.with(pairs...)}.machine()
}

// traits are the differences between builders.
type traits struct {
	cached   string // notes about a second build
	syntax   pipeline.Code
	caches   bool // reads and writes local caches
	times    bool // sets the times of files
	secrets  bool
	platform string // what FROM scratch can be built for; arm64 if empty
}

var (
	byBuildKit  = traits{cached: "2 of 2 steps from the cache", syntax: "build-failed", caches: true, times: true, secrets: true}
	byContainer = traits{cached: "linux/arm64: 5 of 7 steps from the cache", syntax: "build-step", times: true, secrets: true}
)

// engines checks what every builder must support.
func engines(t *testing.T, b Builder, can traits) {
	platform := cmp.Or(can.platform, "linux/arm64")
	t.Run("labels and files", func(t *testing.T) {
		dir := files(t, map[string]string{
			"Dockerfile": "FROM scratch AS base\nARG WHO\nCOPY a.txt /a.txt\nLABEL who=$WHO keep=yes\nFROM base\nCOPY b.txt /b.txt\nCMD [\"/a.txt\"]\n",
			"a.txt":      "a", "b.txt": "b"})
		req := request(t, dir)
		req.Platforms = []string{platform}
		req.Args = map[string]string{"WHO": "a, b=c"}
		req.Labels = map[string]string{"org.opencontainers.image.revision": "abc", "dev.sbw.worker": "w", "keep": "mine"}
		var h heard
		first, err := b.Build(t.Context(), req, h.reporter())
		if err != nil {
			t.Fatal(err)
		}
		imgs, err := layout.Images(first.LayoutDir, first.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if len(imgs) != 1 || imgs[0].Platform() != platform {
			t.Fatalf("images = %+v", imgs)
		}
		got := imgs[0].Config.Config.Labels
		for k, v := range map[string]string{"who": "a, b=c", "keep": "mine", "dev.sbw.worker": "w", "org.opencontainers.image.revision": "abc"} {
			if got[k] != v {
				t.Errorf("label %s = %q, want %q", k, got[k], v)
			}
		}
		if a := imgs[0].Manifest.Annotations; a["org.opencontainers.image.revision"] != "abc" || a["dev.sbw.worker"] != "" {
			t.Errorf("annotations = %v", a)
		}
		if got, err := layout.Choose(first.LayoutDir, ""); err != nil || got != first.Digest {
			t.Errorf("the layout's entry is %s, %v; want %s", got, err, first.Digest)
		}
		if err := layout.Verify(first.LayoutDir, first.Digest); err != nil {
			t.Error(err)
		}
		if d := h.texts(pipeline.Detailed); !slices.ContainsFunc(d, func(s string) bool { return strings.Contains(s, "COPY b.txt") }) {
			t.Errorf("the step was not reported: %q", d)
		}

		// Another revision changes the digest but no layer, and every step is
		// cached.
		req.Labels["org.opencontainers.image.revision"] = "def"
		h = heard{}
		second, err := b.Build(t.Context(), req, h.reporter())
		if err != nil {
			t.Fatal(err)
		}
		imgs2, err := layout.Images(second.LayoutDir, second.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if second.Digest == first.Digest || imgs2[0].Config.Config.Labels["org.opencontainers.image.revision"] != "def" {
			t.Errorf("the label did not change: %+v", imgs2[0].Config.Config.Labels)
		}
		if !slices.EqualFunc(imgs[0].Manifest.Layers, imgs2[0].Manifest.Layers, func(a, b v1.Descriptor) bool { return a.Digest == b.Digest }) {
			t.Error("a label changed the layers")
		}
		if n := h.texts(pipeline.Noted); !slices.Contains(n, can.cached) {
			t.Errorf("notes = %q", n)
		}
	})

	t.Run("several platforms", func(t *testing.T) {
		if can.platform != "" {
			return // checked by TestDockerLegacy
		}
		dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
		req := request(t, dir)
		req.Platforms = []string{"linux/arm64", "linux/amd64"}
		req.Labels = map[string]string{"x": "y"}
		res, err := b.Build(t.Context(), req, nil)
		if err != nil {
			t.Fatal(err)
		}
		imgs, err := layout.Images(res.LayoutDir, res.Digest)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range imgs {
			got = append(got, i.Platform()+" "+i.Config.Config.Labels["x"])
		}
		slices.Sort(got)
		if want := []string{"linux/amd64 y", "linux/arm64 y"}; !slices.Equal(got, want) {
			t.Errorf("images = %q, want %q", got, want)
		}
	})

	t.Run("reproducible", func(t *testing.T) {
		if !can.times {
			return // which Check reports
		}
		dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
		var digests []string
		for range 2 {
			req := request(t, dir)
			req.SourceDateEpoch = time.Unix(1700000000, 0)
			req.NoCache = true
			res, err := b.Build(t.Context(), req, nil)
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, res.Digest)
			now := time.Now()
			if err := os.Chtimes(filepath.Join(dir, "Dockerfile"), now, now); err != nil {
				t.Fatal(err)
			}
		}
		if digests[0] != digests[1] {
			t.Errorf("two builds differ: %v", digests)
		}
	})

	t.Run("target, secret and cache", func(t *testing.T) {
		dir := files(t, map[string]string{
			"Dockerfile": "FROM scratch AS one\nCOPY Dockerfile /one\nFROM scratch AS two\nCOPY Dockerfile /two\n"})
		cache := filepath.Join(t.TempDir(), "cache, with a comma")
		req := request(t, dir)
		req.Target = "one"
		req.Platforms = []string{platform}
		if can.secrets {
			req.Secrets = []string{"id=npm,src=Dockerfile"}
		}
		req.CacheTo = []string{csvFields("type=local", "dest="+cache)}
		if _, err := b.Build(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
		if !can.caches {
			return // it supports only registry caches, which Check reports
		}
		if _, err := os.Stat(filepath.Join(cache, "index.json")); err != nil {
			t.Errorf("no cache was exported: %v", err)
		}
		req.CacheTo, req.CacheFrom = nil, []string{csvFields("type=local", "src="+cache)}
		if _, err := b.Build(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("no such instruction", func(t *testing.T) {
		dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPPY a b\n"})
		_, err := b.Build(t.Context(), request(t, dir), nil)
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != can.syntax || !strings.Contains(f.Why, "COPPY") {
			t.Errorf("err = %v", err)
		}
	})

	t.Run("no such file", func(t *testing.T) {
		dir := files(t, map[string]string{"Dockerfile": "FROM scratch\n\nCOPY nowhere /\n"})
		_, err := b.Build(t.Context(), request(t, dir), nil)
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != "build-step" || !strings.Contains(f.What, "COPY nowhere /") || !strings.Contains(f.Why, "nowhere") || f.Where != "Dockerfile:3" {
			t.Errorf("err = %+v", err)
		}
	})

	t.Run("interrupted", func(t *testing.T) {
		dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nADD http://192.0.2.1/never /\n"})
		ctx, cancel := context.WithCancelCause(t.Context())
		r := pipeline.NewReporter("build", pipeline.SinkFunc(func(e pipeline.Event) {
			if e.Kind == pipeline.Detailed && strings.Contains(e.Text, "192.0.2.1") {
				cancel(pipeline.ErrInterrupted)
			}
		}))
		// No server listens at that address, so only the interrupt ends the build.
		if _, err := b.Build(ctx, request(t, dir), r); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Fatalf("err = %v", err)
		}
	})
}
