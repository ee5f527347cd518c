package push

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
)

const (
	testUser  = "joel"
	testToken = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
)

// harness is an imitation of GHCR in front of a registry in this process.
type harness struct {
	front *ghcr.Front
	host  string
	repo  name.Repository

	mu     sync.Mutex
	waited []time.Duration
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	return newHarnessOver(t, ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
}

func newHarnessOver(t testing.TB, upstream http.Handler) *harness {
	t.Helper()
	front := ghcr.New(ghcr.Options{
		Upstream: upstream,
		Accounts: map[string]ghcr.Account{
			testToken:      {Login: testUser, Scopes: []string{"repo", "write:packages"}},
			"ghp_readonly": {Login: testUser, Scopes: []string{"read:packages"}},
			"ghp_someone":  {Login: "someone", Scopes: []string{"write:packages"}},
			"ghs_app":      {Login: "actions", App: true, Scopes: []string{"write:packages"}},
		},
	})
	srv := httptest.NewServer(front)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(srv.Close)
	h := &harness{front: front, host: strings.TrimPrefix(srv.URL, "http://")}
	repo, err := name.NewRepository(h.host + "/" + testUser + "/worker")
	if err != nil {
		t.Fatal(err)
	}
	h.repo = repo
	return h
}

// own converts a repository into the product's type.
func own(repo name.Repository) imageref.Repository { return imageref.Split(repo.Name()).Repository }

// options returns options with which nothing really waits; the delays are
// recorded instead.
func (h *harness) options() Options {
	return Options{
		Repository: own(h.repo),
		Auth:       &authn.Basic{Username: testUser, Password: testToken},
		Wait: func(ctx context.Context, d time.Duration) error {
			h.mu.Lock()
			h.waited = append(h.waited, d)
			h.mu.Unlock()
			return ctx.Err()
		},
	}
}

// count returns how many requests of these kinds were answered.
func (h *harness) count(kinds ...ghcr.Kind) int {
	n := 0
	for _, r := range h.front.Requests() {
		if len(kinds) == 0 || slices.Contains(kinds, r.Kind) {
			n++
		}
	}
	return n
}

// remote returns options for reading the registry as a client that pulls does.
func (h *harness) remote() []remote.Option { return h.remoteAs(testToken) }

func (h *harness) remoteAs(token string) []remote.Option {
	return []remote.Option{remote.WithAuth(&authn.Basic{Username: testUser, Password: token}), remote.WithTransport(direct{h.front})}
}

// direct calls a handler without a network in between. Preparing a test and
// inspecting its result do not need a network, and connections take most of the
// time.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "http" {
		return nil, errors.New("no TLS here") // go-containerregistry tries TLS first
	}
	in := r.Clone(r.Context())
	if in.Host = r.Host; in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, in)
	res := rec.Result()
	res.Request = r
	return res, nil
}

// prepare publishes an image that a test expects to exist.
func (h *harness) prepare(t testing.TB, repo name.Repository, job Job) {
	t.Helper()
	o := h.options()
	o.Repository, o.Transport = own(repo), direct{h.front}
	if _, err := New(o).Push(t.Context(), job, nil); err != nil {
		t.Fatal(err)
	}
}

// layers makes n layers of the given size; seed makes them differ.
func layers(seed uint64, sizes ...int) []v1.Layer {
	var all []v1.Layer
	for i, n := range sizes {
		content := make([]byte, n)
		src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(i)})
		_, _ = src.Read(content)
		all = append(all, static.NewLayer(content, types.OCILayer))
	}
	return all
}

// makeImage writes an image of the layers into a layout directory.
func makeImage(t testing.TB, dir string, ls ...v1.Layer) string {
	t.Helper()
	return writeImage(t, dir, buildImage(t, "linux/arm64", ls...))
}

func writeImage(t testing.TB, dir string, img v1.Image) string {
	t.Helper()
	p, err := layout.FromPath(dir)
	if err != nil {
		if p, err = layout.Write(dir, empty.Index); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.AppendImage(img); err != nil {
		t.Fatal(err)
	}
	h, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func buildImage(t testing.TB, platform string, ls ...v1.Layer) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, ls...)
	if err != nil {
		t.Fatal(err)
	}
	pf, err := v1.ParsePlatform(platform)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Variant = pf.OS, pf.Architecture, pf.Variant
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		t.Fatal(err)
	}
	return img
}

// makeIndex writes an index of images for several platforms into a new layout.
func makeIndex(t testing.TB, dir string, imgs map[string]v1.Image) string {
	t.Helper()
	if _, err := layout.Write(dir, empty.Index); err != nil {
		t.Fatal(err)
	}
	return makeIndexBeside(t, dir, imgs)
}

// makeIndexBeside writes an index into an existing layout.
func makeIndexBeside(t testing.TB, dir string, imgs map[string]v1.Image) string {
	t.Helper()
	var idx v1.ImageIndex = empty.Index
	var platforms []string
	for p := range imgs {
		platforms = append(platforms, p)
	}
	slices.Sort(platforms)
	for _, p := range platforms {
		pf, err := v1.ParsePlatform(p)
		if err != nil {
			t.Fatal(err)
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: imgs[p], Descriptor: v1.Descriptor{Platform: pf}})
	}
	p, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendIndex(idx); err != nil {
		t.Fatal(err)
	}
	h, err := idx.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// digestOf returns the digest that a tag points to; empty if the tag does not
// exist.
func (h *harness) digestOf(t testing.TB, tag string) string {
	t.Helper()
	d, err := remote.Head(h.repo.Tag(tag), h.remote()...)
	if err != nil {
		return ""
	}
	return d.Digest.String()
}

// walk reads everything that a tag refers to and compares it with the digests.
func (h *harness) walk(t testing.TB, tag string) {
	t.Helper()
	d, err := remote.Get(h.repo.Tag(tag), h.remote()...)
	if err != nil {
		t.Fatalf("tag %s cannot be read: %v", tag, err)
	}
	h.walkDescriptor(t, d)
}

func (h *harness) walkDescriptor(t testing.TB, d *remote.Descriptor) {
	t.Helper()
	if d.MediaType.IsIndex() {
		idx, err := d.ImageIndex()
		if err != nil {
			t.Fatal(err)
		}
		m, err := idx.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range m.Manifests {
			cd, err := remote.Get(h.repo.Digest(c.Digest.String()), h.remote()...)
			if err != nil {
				t.Fatalf("child %s is missing: %v", c.Digest, err)
			}
			h.walkDescriptor(t, cd)
		}
		return
	}
	img, err := d.Image()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.RawConfigFile(); err != nil {
		t.Fatalf("the config of %s is missing: %v", d.Digest, err)
	}
	ls, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range ls {
		rc, err := l.Compressed()
		if err != nil {
			t.Fatalf("a layer of %s is missing: %v", d.Digest, err)
		}
		// The reader compares what it reads with the digest.
		_, err = io.Copy(io.Discard, rc)
		_ = rc.Close()
		if err != nil {
			t.Fatalf("a layer of %s is broken: %v", d.Digest, err)
		}
	}
}

func tempLayout(t testing.TB) string { return filepath.Join(t.TempDir(), "layout") }

// collector keeps events.
type collector struct {
	mu     sync.Mutex
	events []pipeline.Event
}

func (c *collector) Emit(e pipeline.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

func (c *collector) states(item string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, e := range c.events {
		if e.Progress != nil && strings.HasPrefix(e.Progress.Item, item) {
			all = append(all, e.Progress.State)
		}
	}
	return all
}
