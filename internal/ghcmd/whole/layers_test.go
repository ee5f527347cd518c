package whole

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// ship publishes, and returns the run's notes and findings and the layers of the image at TAG.
func (w *world) ship(t *testing.T, tag string, args ...string) (story string, churn []string, layers []v1.Descriptor) {
	t.Helper()
	cmd := w.command(w.plugin(), []string{"GHCR_TOKEN=" + token, "GHCR_USER=" + login}, append([]string{"publish", tag, "--events"}, args...)...)
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	for line := range bytes.Lines(out.Bytes()) {
		var e struct {
			Text    string
			Finding struct{ Code, Where string }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if story += e.Text + "\n"; e.Finding.Code == "layer-churn" {
			churn = append(churn, e.Finding.Where)
		}
	}
	if w.digestOf(t, tag) == "" {
		t.Fatalf("%s is not there", tag)
	}
	var m v1.Manifest
	if err := json.Unmarshal(w.ask(t, "GET", "manifests/"+tag).Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	return story, churn, m.Layers
}

func TestALayerThatHardlyDiffersIsNotSentAgain(t *testing.T) {
	w := newWorld(t)
	w.checkout(t, "COPY mods /app/mods\n")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		body := make([]byte, 4000)
		for j := range body {
			body[j] = "abcdefgh"[r.IntN(8)]
		}
		write(t, filepath.Join(w.repo, fmt.Sprintf("mods/m%d.js", i)), string(body), 0o644)
	}
	n := 0
	change := func() {
		n++
		write(t, filepath.Join(w.repo, "mods/stamp"), fmt.Sprint("built at ", n), 0o644)
	}
	change()
	_, _, first := w.ship(t, "v1", "--builder", "buildkit")
	for i, l := range first {
		if l.MediaType != "application/vnd.oci.image.layer.v1.tar+zstd" {
			t.Errorf("layer %d was sent as %s", i+1, l.MediaType)
		}
	}
	change()
	story, churn, layers := w.ship(t, "v2", "--builder", "buildkit")
	if len(layers) != 3 || layers[0].Digest != first[0].Digest || layers[1].Digest != first[1].Digest || layers[2].Size > 1000 {
		t.Errorf("%+v", layers)
	}
	if !strings.Contains(story, "layer 2 (COPY mods): 1 of 61 files differs, ") {
		t.Errorf("the notes are: %s", story)
	}
	if len(churn) != 1 || !strings.HasSuffix(churn[0], "Dockerfile:3") {
		t.Errorf("findings: %q", churn)
	}

	// The same for an image that something else has built.
	change()
	dir := filepath.Join(w.repo, "oci")
	export := w.command(require.Tool(t, "buildctl"), []string{"BUILDKIT_HOST=" + w.buildkit}, "build", "--frontend", "dockerfile.v0", "--local", "context="+w.repo,
		"--local", "dockerfile="+w.repo, "--opt", "platform=linux/arm64", "--output", "type=oci,tar=false,dest="+dir)
	if out, err := export.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, _, layers = w.ship(t, "v3", "--layout", dir); len(layers) != 3 || layers[1].Digest != first[1].Digest {
		t.Errorf("%+v", layers)
	}
	if _, _, layers = w.ship(t, "v3", "--layout", dir); len(layers) != 3 {
		t.Errorf("publishing the same again: %+v", layers)
	}

	change()
	story, churn, layers = w.ship(t, "v4", "--builder", "buildkit", "--no-layer-reuse")
	if len(layers) != 2 || layers[1].Digest == first[1].Digest || len(churn) != 0 || strings.Contains(story, "differs") {
		t.Errorf("%+v, %q, %s", layers, churn, story)
	}
}
