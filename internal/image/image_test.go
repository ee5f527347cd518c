package image

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

func built(t *testing.T, arch, label string) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config.Labels = map[string]string{"k": label}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func TestResolve(t *testing.T) {
	server := httptest.NewServer(ggcr.New())
	defer server.Close()
	repo, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/o/n")
	if err != nil {
		t.Fatal(err)
	}
	arm, amd := built(t, "arm64", "x"), built(t, "amd64", "y")
	inner := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: amd})
	attestation := mutate.IndexAddendum{Add: built(t, "unknown", ""), Descriptor: v1.Descriptor{Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: arm}, mutate.IndexAddendum{Add: inner}, attestation)
	if err := remote.Write(repo.Tag("one"), arm); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repo.Tag("many"), index); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repo.Tag("none"), empty.Index); err != nil {
		t.Fatal(err)
	}
	client := func() *registry.Client { return registry.New(repo, registry.Options{}) }

	one, err := Resolve(t.Context(), client(), "one")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := arm.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if one.Digest != digest.String() || one.Label("k") != "x" || !slices.Equal(one.Platforms(), []string{"linux/arm64"}) || len(one.Digests()) != 3 {
		t.Errorf("%+v", one)
	}
	if again, err := Resolve(t.Context(), client(), one.Digest); err != nil || again.Digest != one.Digest {
		t.Errorf("by digest: %v, %v", again, err)
	}
	many, err := Resolve(t.Context(), client(), "many")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(many.Platforms(), []string{"linux/arm64", "linux/amd64"}) {
		t.Errorf("platforms %v", many.Platforms())
	}
	for tag, want := range map[string]string{"none": "image-unreadable", "gone": "image-not-found"} {
		_, err := Resolve(t.Context(), client(), tag)
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != want {
			t.Errorf("%s: %v, want code %s", tag, err, want)
		}
	}
}
