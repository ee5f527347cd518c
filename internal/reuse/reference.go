package reuse

import (
	"encoding/json"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// reference is a published image that layers are compared with.
type reference struct {
	layout.Image
	small map[int]bool // indexes of small layers
}

// references returns the newest published image that can be read for each platform.
func references(o Options) map[string]reference {
	all := map[string]reference{}
	for _, digest := range o.Published {
		imgs, err := layout.Images(o.Dir, digest)
		if err != nil {
			continue // no longer in the layout
		}
		for _, img := range imgs {
			if _, ok := all[img.Platform()]; !ok && consistent(img) && whole(o.Dir, img) {
				all[img.Platform()] = reference{img, smallLayers(img)}
			}
		}
	}
	return all
}

// whole reports whether all layers of an image exist. If one was deleted here, it could not be sent to a registry
// that has lost it, too.
func whole(dir string, img layout.Image) bool {
	for _, d := range img.Manifest.Layers {
		if fi, err := os.Stat(layout.BlobPath(dir, d.Digest)); len(d.URLs) == 0 && (err != nil || fi.Size() != d.Size) {
			return false
		}
	}
	return true
}

// consistent reports whether each layer has a diff_id, and an entry in the history if there is a
// history.
func consistent(img layout.Image) bool {
	n := len(img.Manifest.Layers)
	return len(img.Config.RootFS.DiffIDs) == n && (len(img.Config.History) == 0 || len(entries(img)) == n)
}

// entries returns the history's entries that belong to layers.
func entries(img layout.Image) (all []v1.History) {
	for _, h := range img.Config.History {
		if !h.EmptyLayer {
			all = append(all, h)
		}
	}
	return all
}

// note is the record of one reused layer in the label. Layers of the rewritten image are numbered from 1.
type note struct {
	Layer int    `json:"layer"`
	Small int    `json:"small,omitempty"` // the layer on top of it; 0 if there is none
	Built string `json:"built"`           // diff_id of the layer that was built
	Files int    `json:"files"`
	Count int    `json:"differ"`
}

func smallLayers(img layout.Image) map[int]bool {
	small := map[int]bool{}
	var notes []note
	if text := img.Config.Config.Labels[worker.LabelLayerReuse]; text != "" && json.Unmarshal([]byte(text), &notes) == nil {
		for _, n := range notes {
			if n.Small > 0 {
				small[n.Small-1] = true
			}
		}
	}
	for i, h := range entries(img) {
		if h.Comment == smallComment {
			small[i] = true
		}
	}
	return small
}

// smallComment marks the history entry of a small layer.
const smallComment = "sbw.layer-reuse"
