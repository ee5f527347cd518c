package checkout

import (
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/imageref"
)

const stampedManifest = `spec:
  template:
    spec:
      containers:
        - name: sidecar
          image: busybox:1.36
        - image: "ghcr.io/o/w:v1@sha256:1"  # stamped
          name: w
          command: [sh, -c, "image: ghcr.io/o/w:v1"]
`

const stampedKustomization = `images:
  - name: ghcr.io/o/w
    newTag: v1
    digest: sha256:1
  - name: busybox
    newTag: "1.36"
`

func TestStampedOnly(t *testing.T) {
	own := func(r imageref.Repository) bool { return r.String() == "ghcr.io/o/w" }
	for _, tc := range []struct {
		name, file, from, to string
		want                 bool
	}{
		{"nothing", stampedManifest, "", "", true},
		{"tag and digest", stampedManifest, "v1@sha256:1", "v2@sha256:2", true},
		{"a first digest", stampedManifest, "v1@sha256:1", "v2", true},
		{"another container", stampedManifest, "busybox:1.36", "busybox:1.37", false},
		{"another repository", stampedManifest, "ghcr.io/o/w:v1@sha256:1", "ghcr.io/o/x:v1@sha256:1", false},
		{"the comment, too", stampedManifest, "v1@sha256:1\"  # stamped", "v2@sha256:2\"  # by hand", false},
		{"the command", stampedManifest, "-c, \"image: ghcr.io/o/w:v1\"", "-c, \"image: ghcr.io/o/w:v2\"", false},
		{"a name", stampedManifest, "name: w", "name: v", false},
		{"a line more", stampedManifest, "name: w", "name: w\n          tty: true", false},
		{"Windows line ends", stampedManifest, "\n", "\r\n", true},
		{"an entry's tag", stampedKustomization, "newTag: v1", "newTag: v2", true},
		{"an entry's digest", stampedKustomization, "digest: sha256:1", "digest: sha256:2", true},
		{"another entry's tag", stampedKustomization, `newTag: "1.36"`, `newTag: "1.37"`, false},
		{"an entry's name", stampedKustomization, "name: ghcr.io/o/w", "name: ghcr.io/o/x", false},
	} {
		if got := stampedOnly(tc.file, strings.ReplaceAll(tc.file, tc.from, tc.to), own); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}

func FuzzStampedOnly(f *testing.F) {
	f.Add(stampedManifest, strings.ReplaceAll(stampedManifest, "v1", "v2"))
	f.Add(stampedKustomization, "images:\n- newTag: 2\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		none := func(imageref.Repository) bool { return false }
		same := strings.ReplaceAll(a, "\r\n", "\n") == strings.ReplaceAll(b, "\r\n", "\n")
		if stampedOnly(a, b, none) != same {
			t.Fatal("a difference counts as a stamp although no image is ours")
		}
	})
}
