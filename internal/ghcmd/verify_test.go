package ghcmd

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// A complete dry run reports that the image has grown, and that it runs as root although
// the manifest forbids it.
func TestGrownAndRootAreReported(t *testing.T) {
	srv := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	repo, err := name.NewRepository(strings.TrimPrefix(srv.URL, "http://") + "/o/w")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("latest"), arm64(t, 1000)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	env, _, errs := testEnv(t, "workers: {w: {image: "+repo.Name()+", deploy: {manifest: w.yaml, deployment: w, container: w}}}")
	const text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w}\n" +
		"spec: {template: {spec: {securityContext: {runAsNonRoot: true}, containers: [{name: w}]}}}\n"
	if err := os.WriteFile(filepath.Join(env.Dir, "w.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(env.Dir, "oci")
	p, err := ocilayout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(arm64(t, 60_000_000))
	}
	if err != nil {
		t.Fatal(err)
	}
	cli.Execute(t.Context(), env, NewRoot(env), []string{"publish", "v1", "--dry-run", "--layout", "oci", "--verbose"})
	for _, want := range []string{"image-grown", "image-user"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%s is not in\n%s", want, errs)
		}
	}
}

// arm64 returns an image with one layer of that size. The layer is zeros, not a valid tar.
func arm64(t *testing.T, size int) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(make([]byte, size), types.OCIUncompressedLayer))
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
