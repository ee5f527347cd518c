package rollout

import (
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// arm64 returns a random image, different in each call.
func arm64(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", "arm64"
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		t.Fatal(err)
	}
	return img
}

// A tag that has moved, or a digest that does not exist, is refused. It is never
// replaced by the image that the tag refers to now.
func TestRequestedDigestIsRolledOut(t *testing.T) {
	srv := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	repo, err := name.NewRepository(strings.TrimPrefix(srv.URL, "http://") + "/tin-harbour/lamp")
	if err != nil {
		t.Fatal(err)
	}
	write := func(tag string, img v1.Image) string {
		if err := remote.Write(repo.Tag(tag), img); err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	first := write("t", arm64(t))
	second := write("t", arm64(t))
	variant := arm64(t)
	inIndex := write("variant", variant)
	if err := remote.WriteIndex(repo.Tag("index"), mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: variant})); err != nil {
		t.Fatal(err)
	}
	absent := "sha256:" + strings.Repeat("f", 64)
	for _, tc := range []struct {
		ref  string // below the repository
		want string // what the container gets, below the repository
		code pipeline.Code
	}{
		{":t", ":t@" + second, ""},
		{":t@" + second, ":t@" + second, ""},
		{"@" + second, "@" + second, ""},
		{"@" + first, "@" + first, ""},
		{":index@" + inIndex, ":index@" + inIndex, ""},
		{":t@" + first, "", CodeImageTagMoved},
		{":gone@" + first, "", CodeImageTagMoved},
		{":t@" + absent, "", "image-not-found"},
		{"@" + absent, "", "image-not-found"},
		{":gone", "", "image-not-found"},
	} {
		ref, err := imageref.Parse(repo.Name() + tc.ref)
		if err != nil {
			t.Fatal(err)
		}
		found, err := resolve(t.Context(), ref, nil)
		if tc.code != "" {
			if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != tc.code {
				t.Errorf("%s: %v, want code %s", tc.ref, err, tc.code)
			}
			continue
		}
		img := resolvedImage{ref: ref, found: found}
		if got := img.String(); err != nil || got != repo.Name()+tc.want {
			t.Errorf("%s: %s, %v; want %s", tc.ref, got, err, tc.want)
		}
	}
}

func TestResolvedImageString(t *testing.T) {
	ref := imageref.Reference{Repository: imageref.Repository{Registry: "ghcr.io", Path: "o/w"}, Tag: "t"}
	given := ref.WithDigest("sha256:" + strings.Repeat("a", 64))
	found := &image.Image{Digest: "sha256:" + strings.Repeat("b", 64)}
	for _, tc := range []struct {
		img  resolvedImage
		want string
	}{
		{resolvedImage{ref: ref, found: found}, "ghcr.io/o/w:t@" + found.Digest},
		{resolvedImage{ref: ref}, "ghcr.io/o/w:t"},
		{resolvedImage{ref: ref, found: found, noPin: true}, "ghcr.io/o/w:t"},
		{resolvedImage{ref: given, found: found}, given.String()},
		{resolvedImage{ref: given}, given.String()},
	} {
		if got := tc.img.String(); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
	}
}
