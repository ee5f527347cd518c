package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// tree is a JSON object. Using it instead of a struct preserves unknown fields.
type tree map[string]json.RawMessage

func (t tree) get(key string, into any) error {
	raw, ok := t[key]
	if !ok || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (t tree) set(key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	t[key] = raw
	return nil
}

// decode reads a tree as a typed value.
func decode(t tree, into any) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// encode turns a value into a tree.
func encode(v any) (t tree, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}

// attestation is the annotation that BuildKit sets on a manifest that describes another one (moby/buildkit
// docs/attestations/attestation-storage.md).
const attestation = "vnd.docker.reference.type"

// maxDepth limits how deeply indexes may be nested.
const maxDepth = 4

// editor changes the images behind a digest and everything that refers to them by digest.
type editor struct {
	dir string
	// image changes the manifest of one image, index the tree of an index; each reports whether it changed anything.
	image func(digest v1.Hash, manifest tree) (bool, error)
	index func(tree) (bool, error)
}

// written describes a document that was changed.
type written struct {
	hash v1.Hash
	size int
}

// edit changes the image or index with the given digest and returns the new digest, which replaces the original
// in index.json.
func (s editor) edit(digest string) (string, error) {
	old, err := parseDigest(digest)
	if err != nil {
		return "", broken(s.dir, "the builder reported an invalid digest", err)
	}
	d, err := s.any(old, 0)
	if err != nil {
		return "", err
	}
	if d.hash == old {
		return digest, nil
	}
	if err := s.rename(old, d); err != nil {
		return "", err
	}
	return d.hash.String(), nil
}

// any edits a manifest or an index.
func (s editor) any(digest v1.Hash, depth int) (written, error) {
	text, err := document(s.dir, digest)
	if err != nil {
		return written{}, err
	}
	var t tree
	if err := json.Unmarshal(text, &t); err != nil {
		return written{}, broken(s.dir, digest.String()+" is not a valid manifest", err)
	}
	var changed bool
	switch {
	case t["manifests"] != nil && depth < maxDepth:
		changed, err = s.list(t, depth)
	case t["config"] != nil:
		changed, err = s.image(digest, t)
	default:
		err = errNeither
	}
	if err != nil {
		return written{}, wrap(s.dir, digest, err)
	}
	if !changed {
		return written{digest, len(text)}, nil
	}
	return s.put(t)
}

// wrap turns an error about a blob into a finding, unless it is one already.
func wrap(dir string, digest v1.Hash, err error) error {
	if _, ok := errors.AsType[*pipeline.Finding](err); ok {
		return err
	}
	return broken(dir, digest.String()+" cannot be used", err)
}

func (s editor) put(t tree) (written, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return written{}, err
	}
	hash, err := put(s.dir, text)
	return written{hash, len(text)}, err
}

// list edits each image of an index. An attestation names its image by digest, so the name is updated as well.
func (s editor) list(t tree, depth int) (bool, error) {
	var entries []tree
	if err := t.get("manifests", &entries); err != nil {
		return false, err
	}
	renamed := map[string]string{}
	changed := false
	for _, e := range entries {
		var d v1.Descriptor
		if err := decode(e, &d); err != nil {
			return false, err
		}
		if d.Annotations[attestation] != "" {
			continue
		}
		w, err := s.any(d.Digest, depth+1)
		if err != nil {
			return false, err
		}
		if w.hash != d.Digest {
			changed = true
			renamed[d.Digest.String()] = w.hash.String()
			if err := errors.Join(e.set("digest", w.hash.String()), e.set("size", w.size)); err != nil {
				return false, err
			}
		}
	}
	const subject = "vnd.docker.reference.digest"
	for _, e := range entries {
		var a map[string]string
		if err := e.get("annotations", &a); err != nil {
			return false, err
		}
		if to := renamed[a[subject]]; to != "" {
			a[subject] = to
			if err := e.set("annotations", a); err != nil {
				return false, err
			}
		}
	}
	if err := t.set("manifests", entries); err != nil {
		return false, err
	}
	more, err := s.index(t)
	return changed || more, err
}

// withConfig calls change on the config of a manifest and writes the result.
func (s editor) withConfig(manifest tree, change func(config tree) (bool, error)) (bool, error) {
	var ref tree
	var d v1.Descriptor
	if err := errors.Join(manifest.get("config", &ref), manifest.get("config", &d)); err != nil {
		return false, err
	}
	text, err := document(s.dir, d.Digest)
	if err != nil {
		return false, err
	}
	var config tree
	if err := json.Unmarshal(text, &config); err != nil {
		return false, fmt.Errorf("config: %w", err)
	}
	changed, err := change(config)
	if err != nil || !changed {
		return false, err
	}
	w, err := s.put(config)
	if err != nil {
		return false, err
	}
	return true, errors.Join(ref.set("digest", w.hash.String()), ref.set("size", w.size), manifest.set("config", ref))
}

// label sets labels in a config.
func label(config tree, labels map[string]string) (bool, error) {
	inner := tree{}
	if err := config.get("config", &inner); err != nil {
		return false, err
	}
	changed, err := merge(inner, "Labels", labels)
	if err != nil || !changed {
		return false, err
	}
	return true, config.set("config", inner)
}

// merge sets keys of the string map at t[key].
func merge(t tree, key string, add map[string]string) (changed bool, err error) {
	if len(add) == 0 {
		return false, nil
	}
	var m map[string]string
	if err := t.get(key, &m); err != nil {
		return false, err
	}
	if m == nil {
		m = map[string]string{}
	}
	before := maps.Clone(m)
	maps.Copy(m, add)
	if maps.Equal(before, m) {
		return false, nil
	}
	return true, t.set(key, m)
}

// rename replaces the old digest in index.json by the new one, in one entry.
func (s editor) rename(old v1.Hash, to written) error {
	t, err := readIndex(s.dir)
	if err != nil {
		return err
	}
	var entries, stay []tree
	if err := t.get("manifests", &entries); err != nil {
		return broken(s.dir, "index.json is not valid", err)
	}
	there := false
	for _, e := range entries {
		var d v1.Descriptor
		if err := decode(e, &d); err != nil {
			return broken(s.dir, "index.json is not valid", err)
		}
		if d.Digest == old {
			if err := errors.Join(e.set("digest", to.hash.String()), e.set("size", to.size)); err != nil {
				return err
			}
		}
		if d.Digest == old || d.Digest == to.hash {
			if there {
				continue
			}
			there = true
		}
		stay = append(stay, e)
	}
	if err := t.set("manifests", stay); err != nil {
		return err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return statefile.Write(filepath.Join(s.dir, indexFile), text, 0o644)
}
