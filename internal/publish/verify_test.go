package publish

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

func TestGrowth(t *testing.T) {
	const mb = 1_000_000
	for _, tc := range []struct {
		name        string
		now, before int64
		want        bool
	}{
		{"no previous image", 900 * mb, 0, false},
		{"node_modules was included", 500 * mb, 200 * mb, true},
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

// TestNonRoot checks when the manifest requires the image to name a user other
// than root.
func TestNonRoot(t *testing.T) {
	for _, tc := range []struct {
		name, pod, container string
		want                 bool
	}{
		{"no security context", "", "", false},
		{"the pod requires it", "runAsNonRoot: true", "", true},
		{"the container requires it", "", "runAsNonRoot: true", true},
		{"the container allows root", "runAsNonRoot: true", "runAsNonRoot: false", false},
		{"the pod names the user", "runAsNonRoot: true, runAsUser: 1000", "", false},
		{"the container names the user", "runAsNonRoot: true", "runAsUser: 1000", false},
	} {
		root := t.TempDir()
		text := strings.NewReplacer("POD", tc.pod, "CONTAINER", tc.container).Replace(podManifest)
		if err := os.WriteFile(filepath.Join(root, "w.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w := worker.Default("w")
		w.Deploy.Manifest = "w.yaml"
		if got := (Options{Root: root, Worker: w}).nonRoot(); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
	if (Options{Root: t.TempDir(), Worker: worker.Default("w")}).nonRoot() {
		t.Error("without a manifest, a user other than root is required")
	}
}
