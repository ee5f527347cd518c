package layout

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// savedFile is one entry of an archive.
type savedFile struct {
	name, text string
	link       bool
}

func archiveOf(t *testing.T, files ...savedFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text)), Typeflag: tar.TypeReg}
		if f.link {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.text, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if !f.link {
			if _, err := io.WriteString(w, f.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func hexOf(text string) string { return digestOf([]byte(text)).Hex }

// savedConfig returns the config of an image with the given layers.
func savedConfig(t *testing.T, layers ...string) string {
	t.Helper()
	c := v1.ConfigFile{OS: "linux", Architecture: "arm64", RootFS: v1.RootFS{Type: "layers"}}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digestOf([]byte(l)))
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func savedManifest(t *testing.T, config string, layers ...string) string {
	t.Helper()
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: digestOf([]byte(config)), Size: int64(len(config))}}
	for _, l := range layers {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: digestOf([]byte(l)), Size: int64(len(l))})
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSaved reads an image with two layers in every form that engines write, into
// an empty layout and into one that already has the first layer.
func TestSaved(t *testing.T) {
	const one, two = "the first layer", "the second layer"
	config := savedConfig(t, one, two)
	manifest := savedManifest(t, config, one, two)
	id := "sha256:" + hexOf(config)
	blob := func(text string) savedFile { return savedFile{name: "blobs/sha256/" + hexOf(text), text: text} }
	for _, tt := range []struct {
		name, id string
		files    []savedFile
	}{
		{"engine 20.10", id, []savedFile{{name: "aa/VERSION", text: "1.0"}, {name: "aa/json", text: "{}"}, {name: "aa/layer.tar", text: one},
			{name: "bb/layer.tar", text: two}, {name: hexOf(config) + ".json", text: config}, {name: "manifest.json", text: "[]"}}},
		{"engine 20.10, config first", id, []savedFile{{name: hexOf(config) + ".json", text: config}, {name: "bb/layer.tar", text: two},
			{name: "cc/layer.tar", text: "../bb/layer.tar", link: true}, {name: "aa/layer.tar", text: one}}},
		{"podman", id, []savedFile{{name: hexOf(one) + ".tar", text: one}, {name: hexOf(two) + ".tar", text: two}, {name: hexOf(config) + ".json", text: config},
			{name: "aa/layer.tar", text: "../" + hexOf(one) + ".tar", link: true}}},
		{"engine 25", id, []savedFile{blob(two), blob(config), blob(manifest), blob(one), {name: "index.json", text: "{}"}, {name: "oci-layout", text: "{}"}}},
		{"containerd store", "sha256:" + hexOf(manifest), []savedFile{blob(manifest), blob(one), blob(two), blob(config)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			diffIDs := []string{"sha256:" + hexOf(one), "sha256:" + hexOf(two)}
			for _, first := range []bool{false, true} {
				dir := t.TempDir()
				if first {
					c := savedConfig(t, one)
					s, err := NewSaved(dir, "sha256:"+hexOf(c), diffIDs[:1])
					if err != nil {
						t.Fatal(err)
					}
					if _, err := s.Read(bytes.NewReader(archiveOf(t, blob(one), blob(c)))); err != nil {
						t.Fatal(err)
					}
				}
				s, err := NewSaved(dir, tt.id, diffIDs)
				if err != nil {
					t.Fatal(err)
				}
				if d, err := s.Known(); d != "" || err != nil {
					t.Fatalf("known as %q, %v", d, err)
				}
				digest, err := s.Read(bytes.NewReader(archiveOf(t, tt.files...)))
				if err != nil {
					t.Fatal(err)
				}
				if err := Verify(dir, digest); err != nil {
					t.Error(err)
				}
				imgs, err := Images(dir, digest)
				if err != nil || len(imgs) != 1 || imgs[0].Platform() != "linux/arm64" || imgs[0].Manifest.Config.Digest.Hex != hexOf(config) ||
					fmt.Sprint(imgs[0].Manifest.Layers[0].Digest, imgs[0].Manifest.Layers[1].Digest) != strings.Join(diffIDs, " ") {
					t.Errorf("images = %+v, %v", imgs, err)
				}
				stamped, err := Stamp(dir, digest, map[string]string{"x": "y"})
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := Collect(dir, []string{stamped}); err != nil {
					t.Fatal(err)
				}
				if s, err = NewSaved(dir, tt.id, diffIDs); err != nil {
					t.Fatal(err)
				}
				if again, err := s.Known(); again != digest || err != nil {
					t.Errorf("known as %q, %v, want %s", again, err, digest)
				}
				if err := Verify(dir, digest); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSavedBroken checks that an archive which does not contain the image is
// refused.
func TestSavedBroken(t *testing.T) {
	const one = "a layer"
	config := savedConfig(t, one)
	id := "sha256:" + hexOf(config)
	for name, archive := range map[string][]byte{
		"empty":                                archiveOf(t),
		"not an archive":                       []byte(strings.Repeat("x", 1024)),
		"without config":                       archiveOf(t, savedFile{name: "aa/layer.tar", text: one}),
		"without layer":                        archiveOf(t, savedFile{name: hexOf(config) + ".json", text: config}),
		"another layer":                        archiveOf(t, savedFile{name: hexOf(config) + ".json", text: config}, savedFile{name: "aa/layer.tar", text: "another"}),
		"another config":                       archiveOf(t, savedFile{name: hexOf(config) + ".json", text: config + " "}, savedFile{name: "aa/layer.tar", text: one}),
		"other blob":                           archiveOf(t, savedFile{name: "blobs/sha256/" + hexOf(one), text: "other"}),
		"name of a blob":                       archiveOf(t, savedFile{name: "blobs/sha256/../../../x", text: one}, savedFile{name: "blobs/sha256/short", text: one}),
		"an archive that ends within a header": archiveOf(t, savedFile{name: "aa/layer.tar", text: one})[:700],
	} {
		s, err := NewSaved(t.TempDir(), id, []string{"sha256:" + hexOf(one)})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := s.Read(bytes.NewReader(archive)); err == nil {
			t.Errorf("%s: read as %s", name, d)
		}
	}
	for _, ids := range [][]string{{"latest"}, {"sha256:../../x"}, {id, "x"}} {
		if _, err := NewSaved(t.TempDir(), ids[0], ids[1:]); err == nil {
			t.Errorf("%v is accepted", ids)
		}
	}
}
