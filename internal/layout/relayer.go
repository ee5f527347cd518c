package layout

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Layer is a layer that replaces another one or is added.
type Layer struct {
	Descriptor v1.Descriptor
	DiffID     v1.Hash
	// History is the layer's own entry; nil if the layer replaces another and keeps its entry.
	History *v1.History
}

// Edit describes the changes to one image.
type Edit struct {
	// Layers replace the layers with these indexes, from the bottom up.
	Layers map[int][]Layer
	// Labels are set in the config.
	Labels map[string]string
}

// Relayer replaces layers of the images behind digest and returns the digest of the result. edits maps the digest of
// each image to its changes. Config (diff_ids and one history entry for each layer), manifest, index and index.json
// agree with each other again, and unknown fields survive.
func Relayer(dir, digest string, edits map[v1.Hash]Edit) (string, error) {
	s := editor{dir: dir, index: func(tree) (bool, error) { return false, nil }}
	s.image = func(h v1.Hash, manifest tree) (bool, error) {
		e, ok := edits[h]
		if !ok || len(e.Layers) == 0 && len(e.Labels) == 0 {
			return false, nil
		}
		var layers []tree
		if err := manifest.get("layers", &layers); err != nil {
			return false, err
		}
		stay := []tree{}
		for i, l := range layers {
			if e.Layers[i] == nil {
				stay = append(stay, l)
			}
			for _, n := range e.Layers[i] {
				t, err := encode(n.Descriptor)
				if err != nil {
					return false, err
				}
				stay = append(stay, t)
			}
		}
		if err := manifest.set("layers", stay); err != nil {
			return false, err
		}
		_, err := s.withConfig(manifest, func(config tree) (bool, error) {
			changed, err := e.config(config, len(layers))
			if err != nil {
				return false, err
			}
			more, err := label(config, e.Labels)
			return changed || more, err
		})
		return true, err
	}
	return s.edit(digest)
}

// config updates diff_ids and history in a config.
func (e Edit) config(config tree, layers int) (bool, error) {
	var rootfs tree
	var ids []string
	var history []tree
	if err := config.get("rootfs", &rootfs); err != nil {
		return false, err
	}
	if err := rootfs.get("diff_ids", &ids); err != nil {
		return false, err
	}
	if err := config.get("history", &history); err != nil {
		return false, err
	}
	if len(ids) != layers {
		return false, fmt.Errorf("the config has %d diff_ids but the manifest %d layers", len(ids), layers)
	}
	newIDs, changed := e.diffIDs(ids)
	newHistory, err := e.history(history, layers)
	if err != nil || !changed {
		return false, err
	}
	if err := rootfs.set("diff_ids", newIDs); err != nil {
		return false, err
	}
	if len(history) > 0 {
		if err := config.set("history", newHistory); err != nil {
			return false, err
		}
	}
	return true, config.set("rootfs", rootfs)
}

func (e Edit) diffIDs(ids []string) (all []string, changed bool) {
	for i, id := range ids {
		if e.Layers[i] == nil {
			all = append(all, id)
		}
		for _, n := range e.Layers[i] {
			changed = changed || n.DiffID.String() != id || len(e.Layers[i]) > 1
			all = append(all, n.DiffID.String())
		}
	}
	return all, changed
}

// history returns the history with the entries of the new layers added after those of the
// layers that they replace.
func (e Edit) history(entries []tree, layers int) (all []tree, err error) {
	at := 0
	for _, entry := range entries {
		all = append(all, entry)
		var h v1.History
		if err := decode(entry, &h); err != nil {
			return nil, err
		}
		if h.EmptyLayer {
			continue
		}
		for _, n := range e.Layers[at] {
			if n.History == nil {
				continue
			}
			t, err := encode(n.History)
			if err != nil {
				return nil, err
			}
			all = append(all, t)
		}
		at++
	}
	if at != layers && len(entries) > 0 && e.addsHistory() {
		return nil, fmt.Errorf("the config's history has %d layers but the manifest %d", at, layers)
	}
	return all, nil
}

func (e Edit) addsHistory() bool {
	for _, layers := range e.Layers {
		for _, n := range layers {
			if n.History != nil {
				return true
			}
		}
	}
	return false
}
