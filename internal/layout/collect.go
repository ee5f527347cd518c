package layout

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// Collect removes from a layout directory everything that none of the images at
// roots needs: blobs, entries of index.json, and incomplete files of an
// interrupted build. Roots that no longer exist are skipped. It returns the
// number of bytes that were freed and the blobs that remain. The caller must hold
// the directory's lock.
func Collect(dir string, roots []string) (freed int64, kept map[v1.Hash]bool, err error) {
	kept = map[v1.Hash]bool{}
	tops := map[v1.Hash]bool{}
	for _, r := range roots {
		h, err := parseDigest(r)
		if err != nil {
			return 0, nil, err
		}
		var below []v1.Hash
		err = walk(dir, h, 0, func(n node) error {
			below = append(below, n.digest)
			if n.index != nil {
				for _, d := range n.index.Manifests {
					below = append(below, attested(dir, d)...)
				}
				return nil
			}
			below = append(below, n.manifest.Config.Digest)
			for _, l := range n.manifest.Layers {
				below = append(below, l.Digest)
			}
			return nil
		})
		if err != nil {
			if _, ok := errors.AsType[*pipeline.Finding](err); ok {
				continue // a broken image keeps nothing alive
			}
			return 0, nil, err
		}
		tops[h] = true
		for _, b := range below {
			kept[b] = true
		}
	}
	if err := pruneIndex(dir, tops); err != nil {
		return 0, nil, err
	}
	freed, err = sweep(dir, kept)
	return freed, kept, err
}

// attested returns the blobs of an attestation, which is stored next to its
// image.
func attested(dir string, d v1.Descriptor) []v1.Hash {
	if d.Annotations[attestation] == "" {
		return nil
	}
	all := []v1.Hash{d.Digest}
	text, err := document(dir, d.Digest)
	var m v1.Manifest
	if err != nil || json.Unmarshal(text, &m) != nil {
		return all
	}
	all = append(all, m.Config.Digest)
	for _, l := range m.Layers {
		all = append(all, l.Digest)
	}
	return all
}

// pruneIndex keeps only the entries of index.json that are roots.
func pruneIndex(dir string, roots map[v1.Hash]bool) error {
	t, err := readIndex(dir)
	if err != nil {
		return err
	}
	var entries, stay []tree
	if err := t.get("manifests", &entries); err != nil {
		return broken(dir, "index.json is not valid", err)
	}
	stay = []tree{}
	for _, e := range entries {
		var d v1.Descriptor
		if err := decode(e, &d); err != nil {
			return broken(dir, "index.json is not valid", err)
		}
		if roots[d.Digest] {
			stay = append(stay, e)
		}
	}
	if len(stay) == len(entries) {
		return nil
	}
	if err := t.set("manifests", stay); err != nil {
		return err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return statefile.Write(filepath.Join(dir, indexFile), text, 0o644)
}

// sweep removes the blobs that are not kept, and the incomplete files of
// statefile and of containerd's content store ("ingest").
func sweep(dir string, kept map[v1.Hash]bool) (freed int64, err error) {
	drop := func(path string) error {
		fi, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = os.RemoveAll(path)
		}
		if err == nil && fi.Mode().IsRegular() {
			freed += fi.Size()
		}
		return err
	}
	blobs, rerr := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		return 0, rerr
	}
	for _, b := range blobs {
		if !kept[v1.Hash{Algorithm: "sha256", Hex: b.Name()}] {
			err = errors.Join(err, drop(filepath.Join(dir, "blobs", "sha256", b.Name())))
		}
	}
	ingests, rerr := os.ReadDir(filepath.Join(dir, "ingest"))
	if rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		return freed, errors.Join(err, rerr)
	}
	for _, i := range ingests {
		err = errors.Join(err, drop(filepath.Join(dir, "ingest", i.Name())))
	}
	news, rerr := filepath.Glob(filepath.Join(dir, statefile.Leftovers))
	err = errors.Join(err, rerr)
	for _, n := range news {
		err = errors.Join(err, drop(n))
	}
	return freed, err
}
