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
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestGrowth(t *testing.T) {
	const mb = 1_000_000
	for _, tc := range []struct {
		name        string
		now, before int64
		want        bool
	}{
		{"there is none before", 900 * mb, 0, false},
		{"node_modules came along", 500 * mb, 200 * mb, true},
		{"just twice as large", 200 * mb, 100 * mb, true},
		{"not twice as large", 199 * mb, 100 * mb, false},
		{"small, and much larger", 40 * mb, 4 * mb, false},
		{"as before", 100 * mb, 100 * mb, false},
		{"smaller", 10 * mb, 100 * mb, false},
	} {
		f := growth(tc.now, tc.before)
		if (f != nil) != tc.want {
			t.Errorf("%s: %v", tc.name, f)
		}
		if f != nil && (f.Severity != pipeline.Warning || f.Code != "image-grown" || !strings.Contains(f.What, "MB") || f.Fix == "") {
			t.Errorf("%s: %+v", tc.name, f)
		}
	}
}

const podManifest = `apiVersion: v1
kind: Service
metadata: {name: w}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: w}
spec:
  template:
    spec:
      securityContext: {POD}
      containers:
        - {name: sidecar, securityContext: {runAsNonRoot: true}}
        - {name: w, securityContext: {CONTAINER}}
`

// The manifest says whether the image has to name a user that is not root.
func TestNonRoot(t *testing.T) {
	for _, tc := range []struct {
		name, pod, container string
		want                 bool
	}{
		{"nothing is said", "", "", false},
		{"the pod demands it", "runAsNonRoot: true", "", true},
		{"the container demands it", "", "runAsNonRoot: true", true},
		{"the container allows root", "runAsNonRoot: true", "runAsNonRoot: false", false},
		{"the pod names the user", "runAsNonRoot: true, runAsUser: 1000", "", false},
		{"the container names the user", "runAsNonRoot: true", "runAsUser: 1000", false},
	} {
		env, _, _ := testEnv(t, "workers: {w: {deploy: {manifest: w.yaml, deployment: w, container: w}}}")
		text := strings.NewReplacer("POD", tc.pod, "CONTAINER", tc.container).Replace(podManifest)
		if err := os.WriteFile(filepath.Join(env.Dir, "w.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := parse(t, env)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&publish{publishOptions: o}).nonRoot(); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	env, _, _ := testEnv(t, "")
	o, err := parse(t, env)
	if err != nil {
		t.Fatal(err)
	}
	if (&publish{publishOptions: o}).nonRoot() {
		t.Error("there is no manifest to demand it")
	}
}

// A whole dry run tells that the image has grown and that it runs as root where
// the manifest forbids it.
func TestGrownAndRootAreTold(t *testing.T) {
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
	text := strings.NewReplacer("POD", "runAsNonRoot: true", "CONTAINER", "").Replace(podManifest)
	if err := os.WriteFile(filepath.Join(env.Dir, "w.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(env.Dir, "oci")
	p, err := ocilayout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(arm64(t, grown+2000))
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

// arm64 is an image of one layer of that size, zeros that are no tar's entries.
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
