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
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// Compose creates an index of images in the layout dir and returns its digest.
// Each image gets the platform that its config names. The index is listed in
// index.json.
func Compose(dir string, digests []string) (string, error) {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, d := range digests {
		imgs, err := Images(dir, d)
		if err != nil {
			return "", err
		}
		for _, i := range imgs {
			text, err := document(dir, i.Digest)
			if err != nil {
				return "", err
			}
			media := i.Manifest.MediaType
			if media == "" {
				media = types.OCIManifestSchema1
			}
			index.Manifests = append(
				index.Manifests,
				v1.Descriptor{MediaType: media, Digest: i.Digest, Size: int64(len(text)), Platform: i.Config.Platform()},
			)
		}
	}
	text, err := json.Marshal(index)
	if err != nil {
		return "", err
	}
	hash, err := put(dir, text)
	if err != nil {
		return "", err
	}
	desc := v1.Descriptor{MediaType: types.OCIImageIndex, Digest: hash, Size: int64(len(text))}
	return hash.String(), enlist(dir, desc)
}

// enlist adds an entry to index.json. If the directory is not a layout yet, it
// becomes one.
func enlist(dir string, desc v1.Descriptor) error {
	t := tree{"schemaVersion": json.RawMessage("2")}
	if _, err := os.Stat(filepath.Join(dir, indexFile)); err == nil {
		if t, err = readIndex(dir); err != nil {
			return err
		}
	} else if err := statefile.Write(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644); err != nil {
		return err
	}
	entries := []tree{}
	if err := t.get("manifests", &entries); err != nil {
		return broken(dir, "index.json is not valid", err)
	}
	for _, e := range entries {
		var d v1.Descriptor
		if err := decode(e, &d); err != nil {
			return broken(dir, "index.json is not valid", err)
		}
		if d.Digest == desc.Digest {
			return nil
		}
	}
	text, err := json.Marshal(desc)
	if err != nil {
		return err
	}
	var e tree
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	if err := t.set("manifests", append(entries, e)); err != nil {
		return err
	}
	if text, err = json.Marshal(t); err != nil {
		return err
	}
	return statefile.Write(filepath.Join(dir, indexFile), text, 0o644)
}

// UnpackFile calls Unpack with the content of a file.
func UnpackFile(dir, file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return Unpack(dir, f)
}

// Unpack adds the images of an OCI archive (a layout in a tar) to the layout
// dir and returns the digest of the archive's only image or index. Blobs that
// already exist are skipped; all others are compared with their digests.
func Unpack(dir string, archive io.Reader) (string, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return "", err
	}
	var index v1.IndexManifest
	found := false
	in := tar.NewReader(archive)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", broken(dir, "the builder's archive cannot be read", err)
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		switch {
		case h.Typeflag != tar.TypeReg:
		case name == indexFile:
			found = true
			if err := json.NewDecoder(io.LimitReader(in, maxDocument)).Decode(&index); err != nil {
				return "", broken(dir, "the builder's archive has an index.json that is not valid", err)
			}
		case strings.HasPrefix(name, "blobs/sha256/"):
			if err := unpackBlob(dir, strings.TrimPrefix(name, "blobs/sha256/"), h.Size, in); err != nil {
				return "", err
			}
		}
	}
	if !found || len(index.Manifests) != 1 {
		return "", broken(dir, fmt.Sprintf("the builder's archive lists %d images instead of one", len(index.Manifests)), nil)
	}
	d := index.Manifests[0]
	return d.Digest.String(), enlist(dir, v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size})
}

func unpackBlob(dir, hex string, size int64, from io.Reader) error {
	want, err := parseDigest("sha256:" + hex)
	if err != nil {
		return broken(dir, "the builder's archive contains a blob whose name is not a digest", err)
	}
	to := BlobPath(dir, want)
	if fi, err := os.Stat(to); err == nil && fi.Size() == size {
		return nil
	}
	return statefile.Place(filepath.Dir(to), 0o644, func(f *os.File) (string, error) {
		got, _, err := v1.SHA256(io.TeeReader(from, f))
		if err == nil && got != want {
			err = broken(dir, "blob "+want.String()+" of the builder's archive does not match its digest", nil)
		}
		return to, err
	})
}
