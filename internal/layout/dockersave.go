package layout

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// Saved reads the output of `docker save` into a layout. It has one of three
// forms: the archive of engines before 25 and of podman (layers with Docker's own
// names), an OCI layout with uncompressed layers (engine 25 and newer), and an
// OCI layout with the layers as they were pulled (the containerd image store).
//
// All forms are read without the archive's own tables of contents. They are not
// needed: the image's ID is the digest of its config (of its manifest with the
// containerd image store), and the config lists the layers.
type Saved struct {
	dir     string
	id      v1.Hash
	diffIDs []v1.Hash
	known   map[v1.Hash]v1.Descriptor
	// before and names map the names that older archives use to layers: those of the
	// previous archive and those of this one.
	before, names map[string]v1.Hash
}

// NewSaved prepares to read an image into the layout dir. id and diffIDs are the
// image's ID and the uncompressed digests of its layers from the base upwards, as
// `docker image inspect` prints them.
func NewSaved(dir, id string, diffIDs []string) (*Saved, error) {
	s := &Saved{dir: dir, names: map[string]v1.Hash{}}
	var err error
	if s.id, err = parseDigest(id); err != nil {
		return nil, fmt.Errorf("the engine reported an invalid image ID: %w", err)
	}
	for _, d := range diffIDs {
		h, err := parseDigest(d)
		if err != nil {
			return nil, fmt.Errorf("the engine reported an invalid layer ID: %w", err)
		}
		s.diffIDs = append(s.diffIDs, h)
	}
	if s.known, err = knownLayers(dir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, configDir, namesFile))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil && json.Unmarshal(text, &s.before) != nil {
		s.before = nil // truncated by a full disk: read the layers again
	}
	return s, err
}

const (
	// configDir stores the configs and manifests of the images that were read last,
	// under their digests. The layout itself contains only the versions with labels.
	configDir = "docker-configs"
	// namesFile is the file in configDir that stores Saved.names.
	namesFile = "layers.json"
)

// Known returns the digest of the image's manifest if the layout already has the
// whole image, and "" otherwise.
func (s *Saved) Known() (string, error) {
	if !s.complete() {
		return "", nil
	}
	text, err := s.kept(s.id)
	if text == nil || err != nil {
		return "", err
	}
	var m v1.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return "", wrap(s.dir, s.id, err)
	}
	if m.Config.Digest.Hex == "" {
		return s.assemble(text)
	}
	config, err := s.kept(m.Config.Digest)
	if config == nil || err != nil {
		return "", err
	}
	for i, l := range m.Layers {
		if _, err := os.Stat(BlobPath(s.dir, l.Digest)); err != nil && len(m.Layers) == len(s.diffIDs) {
			s.known[l.Digest] = s.known[s.diffIDs[i]] // the form in which the layout has it
		}
	}
	if _, err := put(s.dir, config); err != nil {
		return "", err
	}
	if _, err := put(s.dir, text); err != nil {
		return "", err
	}
	return s.finish()
}

// kept returns the document that keep stored under a digest; nil if there is
// none.
func (s *Saved) kept(digest v1.Hash) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, configDir, digest.Hex))
	if errors.Is(err, os.ErrNotExist) || err == nil && digestOf(text) != digest {
		return nil, nil
	}
	return text, err
}

// complete reports whether the layout has every layer.
func (s *Saved) complete() bool {
	return !slices.ContainsFunc(s.diffIDs, func(d v1.Hash) bool { _, ok := s.known[d]; return !ok })
}

// errEnough stops reading an archive once nothing more is needed.
var errEnough = errors.New("everything needed has been read")

// Read adds the image in the archive to the layout and returns the digest of its
// manifest or index. Layers that the layout already has are neither read nor
// written. Read stops as soon as nothing is missing.
func (s *Saved) Read(archive io.Reader) (string, error) {
	if err := os.MkdirAll(filepath.Join(s.dir, "blobs", "sha256"), 0o755); err != nil {
		return "", err
	}
	for in := tar.NewReader(archive); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", broken(s.dir, "the engine's archive cannot be read", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue // older engines link to a layer that is already in the archive
		}
		err = s.entry(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), h.Size, in)
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return s.finish()
}

// entry reads one file of the archive.
func (s *Saved) entry(name string, size int64, in io.Reader) error {
	hex, isBlob := strings.CutPrefix(name, "blobs/sha256/")
	dir, file := path.Split(name)
	switch {
	case isBlob:
		if _, ok := s.known[v1.Hash{Algorithm: "sha256", Hex: hex}]; ok {
			break
		}
		if err := unpackBlob(s.dir, hex, size, in); err != nil {
			return err
		}
		s.found(v1.Hash{Algorithm: "sha256", Hex: hex}, size)
	case file == "layer.tar", dir == "" && strings.HasSuffix(file, ".tar"):
		h, ok := s.before[name]
		if _, have := s.known[h]; !ok || !have {
			var err error
			if h, err = adoptBlob(s.dir, in); err != nil {
				return err
			}
			s.found(h, size)
		}
		s.names[name] = h
	case dir == "" && file == s.id.Hex+".json":
		if err := unpackBlob(s.dir, s.id.Hex, size, in); err != nil {
			return err
		}
	}
	if s.complete() {
		if _, err := os.Stat(BlobPath(s.dir, s.id)); err == nil && s.isConfig() {
			return errEnough
		}
	}
	return nil
}

// found records a blob that may be a layer of the image.
func (s *Saved) found(h v1.Hash, size int64) {
	if _, ok := s.known[h]; !ok && slices.Contains(s.diffIDs, h) {
		s.known[h] = v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: h, Size: size}
	}
}

// isConfig reports whether the image's ID is the digest of its config.
func (s *Saved) isConfig() bool {
	text, err := document(s.dir, s.id)
	var t tree
	return err == nil && json.Unmarshal(text, &t) == nil && t["rootfs"] != nil
}

// finish returns the image's manifest: that of the archive, or else one made from
// what was read.
func (s *Saved) finish() (string, error) {
	text, err := document(s.dir, s.id)
	if err != nil {
		return "", err
	}
	var t tree
	if err := json.Unmarshal(text, &t); err != nil {
		return "", wrap(s.dir, s.id, err)
	}
	if t["rootfs"] != nil {
		return s.assemble(text)
	}
	if t["manifests"] != nil {
		return s.id.String(), enlist(s.dir, v1.Descriptor{MediaType: types.OCIImageIndex, Digest: s.id, Size: int64(len(text))})
	}
	return s.manifest(t, text)
}

// manifest writes the image's own manifest. Layers that were not read are
// replaced by the form in which the layout has them.
func (s *Saved) manifest(t tree, text []byte) (string, error) {
	var layers []v1.Descriptor
	var config v1.Descriptor
	if err := errors.Join(t.get("layers", &layers), t.get("config", &config)); err != nil {
		return "", wrap(s.dir, s.id, err)
	}
	about, err := document(s.dir, config.Digest)
	if err != nil {
		return "", err
	}
	if err := errors.Join(s.keep(config.Digest, about), s.keep(s.id, text)); err != nil {
		return "", err
	}
	replaced := false
	for i, l := range layers {
		if have, ok := s.known[l.Digest]; ok && have.Digest != l.Digest {
			layers[i], replaced = have, true
		}
	}
	h := s.id
	if replaced {
		err := t.set("layers", layers)
		if err == nil {
			text, err = json.Marshal(t)
		}
		if err == nil {
			h, err = put(s.dir, text)
		}
		if err != nil {
			return "", err
		}
	}
	return h.String(), enlist(s.dir, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: h, Size: int64(len(text))})
}

// assemble writes the manifest of the image with that config.
func (s *Saved) assemble(config []byte) (string, error) {
	var c v1.ConfigFile
	if err := json.Unmarshal(config, &c); err != nil {
		return "", wrap(s.dir, s.id, err)
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: s.id, Size: int64(len(config))}, Layers: []v1.Descriptor{}}
	for _, diffID := range c.RootFS.DiffIDs {
		d, ok := s.known[diffID]
		if !ok {
			return "", broken(s.dir, "the engine's archive does not contain layer "+diffID.String(), nil)
		}
		m.Layers = append(m.Layers, d)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	if _, err := put(s.dir, config); err != nil {
		return "", err
	}
	h, err := put(s.dir, text)
	if err != nil {
		return "", err
	}
	if err := s.keep(s.id, config); err != nil {
		return "", err
	}
	return h.String(), enlist(s.dir, v1.Descriptor{MediaType: m.MediaType, Digest: h, Size: int64(len(text))})
}

// keptConfigs is how many documents are stored, including namesFile: one or two
// for each platform of an image, and some more so that switching between branches
// stays fast.
const keptConfigs = 17

// keep stores a document for Known.
func (s *Saved) keep(digest v1.Hash, text []byte) error {
	dir := filepath.Join(s.dir, configDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := statefile.Write(filepath.Join(dir, digest.Hex), text, 0o644); err != nil {
		return err
	}
	if len(s.names) > 0 {
		names, err := json.Marshal(s.names)
		if err == nil {
			err = statefile.Write(filepath.Join(dir, namesFile), names, 0o644)
		}
		if err != nil {
			return err
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) <= keptConfigs {
		return err
	}
	files = slices.DeleteFunc(files, func(f os.DirEntry) bool { return f.Name() == namesFile })
	oldest := slices.MinFunc(files, func(a, b os.DirEntry) int {
		fa, aerr := a.Info()
		fb, berr := b.Info()
		if aerr != nil || berr != nil {
			return strings.Compare(a.Name(), b.Name()) // removed in the meantime
		}
		return fa.ModTime().Compare(fb.ModTime())
	})
	return os.Remove(filepath.Join(dir, oldest.Name()))
}

// knownLayers returns the layers of all images in the layout dir, by uncompressed
// digest. A directory that is not a layout yet has none, and the layers of a
// broken image do not count.
func knownLayers(dir string) (map[v1.Hash]v1.Descriptor, error) {
	all := map[v1.Hash]v1.Descriptor{}
	if _, err := os.Stat(filepath.Join(dir, indexFile)); errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	t, err := readIndex(dir)
	if err != nil {
		return nil, err
	}
	var entries []v1.Descriptor
	if err := t.get("manifests", &entries); err != nil {
		return nil, broken(dir, "index.json is not valid", err)
	}
	for _, e := range entries {
		imgs, err := Images(dir, e.Digest.String())
		if err != nil {
			continue
		}
		for _, i := range imgs {
			if len(i.Config.RootFS.DiffIDs) != len(i.Manifest.Layers) {
				continue
			}
			for n, l := range i.Manifest.Layers {
				if fi, err := os.Stat(BlobPath(dir, l.Digest)); err == nil && fi.Size() == l.Size {
					all[i.Config.RootFS.DiffIDs[n]] = v1.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
				}
			}
		}
	}
	return all, nil
}

// adoptBlob adds a blob whose digest is not known yet.
func adoptBlob(dir string, from io.Reader) (h v1.Hash, err error) {
	err = statefile.Place(filepath.Join(dir, "blobs", "sha256"), 0o644, func(f *os.File) (string, error) {
		var n int64
		if h, n, err = v1.SHA256(io.TeeReader(from, f)); err != nil {
			return "", err
		}
		to := BlobPath(dir, h)
		if fi, err := os.Stat(to); err == nil && fi.Size() == n {
			return "", nil // it exists already
		}
		return to, nil
	})
	return h, err
}
