package image

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

const (
	user  = "joel"
	token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
)

type harness struct {
	front *ghcr.Front
	repo  imageref.Repository
	srv   *httptest.Server
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	front := ghcr.New(ghcr.Options{
		Upstream: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))),
		Accounts: map[string]ghcr.Account{token: {Login: user, Scopes: []string{"write:packages"}}},
		Public:   []string{"joel/public"},
	})
	srv := httptest.NewServer(front)
	t.Cleanup(srv.Close)
	return &harness{front: front, srv: srv, repo: repository(t, srv, user+"/worker")}
}

func repository(t *testing.T, srv *httptest.Server, path string) imageref.Repository {
	t.Helper()
	repo, err := imageref.ParseRepository(strings.TrimPrefix(srv.URL, "http://") + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func auth() authn.Authenticator { return &authn.Basic{Username: user, Password: token} }

func options() registry.Options {
	return registry.Options{Auth: auth(), Tries: 3, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

func (h *harness) tag(t *testing.T, tag string) name.Tag {
	t.Helper()
	ref, err := name.NewTag(h.repo.At(tag).String())
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (h *harness) client() *registry.Client { return registry.New(h.repo, options()) }

func build(t *testing.T, platform string, change func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, static.NewLayer([]byte(platform), types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	pf, err := v1.ParsePlatform(platform)
	if err != nil {
		t.Fatal(err)
	}
	cfg.OS, cfg.Architecture, cfg.Variant = pf.OS, pf.Architecture, pf.Variant
	if change != nil {
		change(cfg)
	}
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		t.Fatal(err)
	}
	return img
}

func (h *harness) push(t *testing.T, tag string, img v1.Image) string {
	t.Helper()
	if err := remote.Write(h.tag(t, tag), img, remote.WithAuth(auth())); err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func (h *harness) pushIndex(t *testing.T, tag string, idx v1.ImageIndex) string {
	t.Helper()
	if err := remote.WriteIndex(h.tag(t, tag), idx, remote.WithAuth(auth())); err != nil {
		t.Fatal(err)
	}
	d, err := idx.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func index(adds ...mutate.IndexAddendum) v1.ImageIndex {
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), adds...)
}

func TestResolve(t *testing.T) {
	h := newHarness(t)
	made := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	digest := h.push(t, "v1", build(t, "linux/arm64", func(c *v1.ConfigFile) {
		c.Created = v1.Time{Time: made}
		c.Config = v1.Config{
			Entrypoint: []string{"/bin/bun"}, Cmd: []string{"run", "src/serve.ts"}, User: "1000", WorkingDir: "/app",
			ExposedPorts: map[string]struct{}{"3111/tcp": {}, "3000/tcp": {}},
			Labels: map[string]string{
				worker.LabelRevision: "abc123", worker.LabelDirty: "true",
				worker.LabelPublisher: user, worker.LabelCatalog: "the catalog",
			},
		}
	}))
	img, err := Resolve(t.Context(), h.client(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	v, ok := img.Variant("linux/arm64/v8")
	if !ok || v.Digest != digest || img.Digest != digest || v.Platform != "linux/arm64" || !img.Created().Equal(made) || v.Size < 100 {
		t.Errorf("image %+v", img)
	}
	if img.MediaType != string(types.OCIManifestSchema1) || !slices.Equal(img.Platforms(), []string{"linux/arm64"}) || len(img.Digests()) != 3 {
		t.Errorf("image %+v", img)
	}
	if cfg := v.File.Config; cfg.User != "1000" || len(cfg.ExposedPorts) != 2 || !slices.Equal(cfg.Cmd, []string{"run", "src/serve.ts"}) {
		t.Errorf("config %+v", cfg)
	}
	if img.Label(worker.LabelCatalog) != "the catalog" || img.Label(worker.LabelRevision) != "abc123" || img.Label("no") != "" {
		t.Errorf("labels %v", v.File.Config.Labels)
	}
	// Resolving the digest gives the same image.
	again, err := Resolve(t.Context(), h.client(), digest)
	if err != nil || cmp.Diff(img, again) != "" {
		t.Errorf("by digest: %+v, %v", again, err)
	}
}

// TestAnnotations checks that annotations are used if there is no label, because
// some builders write only annotations.
func TestAnnotations(t *testing.T) {
	h := newHarness(t)
	img := build(t, "linux/arm64", func(c *v1.ConfigFile) { c.Config.Labels = map[string]string{"both": "label"} })
	annotated, ok := mutate.Annotations(img, map[string]string{
		"both": "annotation", "one": "annotation", worker.LabelCreated: "2026-03-04T05:06:07Z",
	}).(v1.Image)
	if !ok {
		t.Fatal("annotations changed the image")
	}
	h.push(t, "v1", annotated)
	got, err := Resolve(t.Context(), h.client(), "v1")
	if err != nil || got.Label("both") != "label" || got.Label("one") != "annotation" || got.Created().Year() != 2026 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestResolveIndex checks that indexes are followed, that platforms come from
// configs, and that attestations are skipped.
func TestResolveIndex(t *testing.T) {
	h := newHarness(t)
	arm, amd := build(t, "linux/arm64", nil), build(t, "linux/amd64", nil)
	lie := mutate.IndexAddendum{Add: build(t, "linux/arm/v7", nil), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}}
	attest := mutate.IndexAddendum{Add: build(t, "unknown/unknown", nil), Descriptor: v1.Descriptor{
		Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{attestation: "attestation-manifest"},
	}}
	inner := index(mutate.IndexAddendum{Add: arm}, attest, lie)
	digest := h.pushIndex(t, "multi", index(mutate.IndexAddendum{Add: amd}, mutate.IndexAddendum{Add: inner}))

	img, err := Resolve(t.Context(), h.client(), "multi")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64", "linux/arm/v7"}, img.Platforms()); diff != "" {
		t.Error(diff)
	}
	armDigest, err := arm.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := img.Variant("linux/arm64"); !ok || img.Digest != digest || v.Digest != armDigest.String() {
		t.Errorf("image %+v", img)
	}
	if v, ok := img.Variant("linux/s390x"); ok {
		t.Errorf("a variant that nobody built: %+v", v)
	}
}

func wantCode(t *testing.T, err error, code string) *pipeline.Finding {
	t.Helper()
	var f *pipeline.Finding
	if !errors.As(err, &f) || string(f.Code) != code {
		t.Fatalf("got %v, want a finding %q", err, code)
	}
	if f.What == "" || f.Why == "" || f.Fix == "" || f.Severity != pipeline.Error || strings.Contains(err.Error(), "\n") {
		t.Errorf("not a clear finding: %+v", f)
	}
	return f
}

func TestResolveRefusals(t *testing.T) {
	h := newHarness(t)
	h.push(t, "20260101-000000", build(t, "linux/arm64", nil))
	h.push(t, "20260102-000000", build(t, "linux/arm64", nil))
	chart := mutate.ConfigMediaType(build(t, "linux/arm64", func(c *v1.ConfigFile) { c.OS, c.Architecture = "", "" }), "application/vnd.cncf.helm.config.v1+json")
	h.push(t, "chart", chart)

	t.Run("no such tag", func(t *testing.T) {
		_, err := Resolve(t.Context(), h.client(), "20260103-000000")
		f := wantCode(t, err, "image-not-found")
		if !strings.Contains(f.Fix, "20260102-000000") {
			t.Errorf("fix %q does not name a tag that exists", f.Fix)
		}
	})
	t.Run("no such package", func(t *testing.T) {
		_, err := Resolve(t.Context(), registry.New(repository(t, h.srv, user+"/other"), options()), "v1")
		wantCode(t, err, "image-not-found")
	})
	t.Run("anonymous", func(t *testing.T) {
		o := options()
		o.Auth = nil
		_, err := Resolve(t.Context(), registry.New(h.repo, o), "20260101-000000")
		wantCode(t, err, "image-private")
	})
	t.Run("wrong token", func(t *testing.T) {
		o := options()
		o.Auth, o.Credential = &authn.Basic{Username: user, Password: "ghp_of_someone_else"}, "the pull secret ghcr-pull"
		_, err := Resolve(t.Context(), registry.New(h.repo, o), "20260101-000000")
		f := wantCode(t, err, "registry-denied")
		if !strings.Contains(f.Error(), "ghcr-pull") || strings.Contains(f.Error(), "someone_else") {
			t.Errorf("%v", f)
		}
	})
	t.Run("a chart", func(t *testing.T) {
		_, err := Resolve(t.Context(), h.client(), "chart")
		wantCode(t, err, "image-unreadable")
	})
	t.Run("nobody there", func(t *testing.T) {
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		_, err := Resolve(t.Context(), registry.New(repository(t, gone, "a/b"), options()), "v1")
		wantCode(t, err, "registry-unreachable")
	})
	t.Run("unknown authority", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(h.front)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.StartTLS()
		defer srv.Close()
		o := options()
		o.Transport = &http.Transport{DialContext: redirect(srv.Listener.Addr().String())}
		_, err := Resolve(t.Context(), registry.New(mustRepo(t, "registry.example.com/a/b"), o), "v1")
		wantCode(t, err, "registry-tls")
	})
	t.Run("the caller's end", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(pipeline.ErrInterrupted)
		if _, err := Resolve(ctx, h.client(), "v1"); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPublicIsReadAnonymously(t *testing.T) {
	h := newHarness(t)
	h.repo = repository(t, h.srv, "joel/public")
	digest := h.push(t, "v1", build(t, "linux/arm64", nil))
	o := options()
	o.Auth = authn.Anonymous
	img, err := Resolve(t.Context(), registry.New(h.repo, o), "v1")
	if err != nil || img.Digest != digest {
		t.Errorf("%+v, %v", img, err)
	}
}

func mustRepo(t *testing.T, s string) imageref.Repository {
	t.Helper()
	repo, err := imageref.ParseRepository(s)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}
