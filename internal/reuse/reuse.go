// Package reuse avoids sending layers that were rebuilt but have hardly changed. It uses the previously published
// layer instead, with a small layer on top for the difference.
//
// Rewrite is called between the build and the push. Packer compresses what still has to be sent, and Remember lists
// the layers of what was published, so that the next Rewrite finds the listings. All of this works on the kept layout
// directory of package layout; package layer knows what layers mean.
//
// # Decisions
//
//   - The reference is always a full layer. The label that Rewrite writes records which layers of
//     an image are small ones. These are never used for comparison, so small layers do not pile up.
//   - A small layer is used up to a fifth of the full layer's size (maxShare). It costs that share
//     in disk space, and in pull time on a node that does not have the layers yet. It saves at
//     least four fifths of each push. When the difference exceeds the share, one full layer is sent
//     and becomes the new reference.
//   - The result is verified before it is used: both images are unpacked in memory from the blobs
//     to push and compared entry by entry (Prove). If they differ, the image is pushed as it was
//     built, and a finding says so.
//   - Anything that runtimes might interpret differently is left as the builder made it (see
//     package layer). So are images that are not for linux, encrypted and foreign layers, and
//     images whose diff_ids or history do not match their layers.
package reuse

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

const (
	// maxShare is the largest size of a small layer, relative to the layer it accompanies.
	maxShare = 0.2
	// minSize is the uncompressed size in bytes below which a layer is not worth a small one on top. It is still
	// replaced by an equal one.
	minSize = 64 << 10
	// maxLayers stays below the number of layers that overlayfs can mount: Docker refuses more than 125 (moby
	// layer/layer_store.go).
	maxLayers = 100
)

// CodeUnproven means that a rewritten image differs from the one that was built.
const CodeUnproven pipeline.Code = "layer-reuse-unproven"

// Options say what to compare with.
type Options struct {
	// Dir is the layout with the images, Facts the directory that stores facts about single
	// layers.
	Dir, Facts string
	// Published are digests of images that the registry has, most recently published first.
	Published []string
	// Compare allows comparing contents. Without it, a published layer only replaces a layer with exactly the same
	// content, so that this is not compressed again.
	Compare bool
	// Compression is for small layers.
	Compression layer.Compression

	// listed caches listings for the duration of one Rewrite.
	listed *sync.Map
}

// Reused is a layer that is replaced by a published one.
type Reused struct {
	Platform  string
	Layer     int    // number in the image as built, from 1
	CreatedBy string // from its entry in the history
	Files     int    // of the layer as built
	// Changed are the paths that are new or different, Removed those that no longer exist. Both are empty if
	// only times differ.
	Changed, Removed []string
	Small            int64 // bytes of the small layer, compressed; 0 without one
	Instead          int64 // bytes of the published layer, compressed: about what the layer would have needed
	// Trivial means that the layer is so small that it does not matter how often it
	// is sent.
	Trivial bool
}

// Result describes a finished Rewrite.
type Result struct {
	// Digest is the digest of the image to push. It is the given one if nothing could be reused.
	Digest string
	Reused []Reused
	// Findings say what went wrong. If there are any, the image is sent as it was
	// built.
	Findings []*pipeline.Finding
}

// Rewrite replaces layers of the image or index with the given digest. A layer that cannot be replaced stays
// unchanged, which is not an error. Errors are those of the layout and of the context.
func Rewrite(ctx context.Context, digest string, o Options, r *pipeline.Reporter) (res Result, err error) {
	res = Result{Digest: digest}
	defer func() {
		if p := recover(); p != nil { // layers are untrusted, and the image can be published without this
			res, err = Result{Digest: digest, Findings: []*pipeline.Finding{unproven(fmt.Sprint("this program has a bug: ", p), nil)}}, nil
		}
	}()
	o.listed = &sync.Map{}
	built, err := layout.Images(o.Dir, digest)
	if err != nil {
		return res, err
	}
	refs := references(o)
	edits, exact := map[v1.Hash]layout.Edit{}, map[v1.Hash]layout.Edit{}
	for _, img := range built {
		i := &rewrite{Options: o, image: img, r: r}
		if !i.fits() {
			continue
		}
		if err := i.run(ctx, refs); err != nil {
			return res, err
		}
		if len(i.edit.Layers) > 0 {
			edits[img.Digest] = i.edit
		}
		if len(i.exact) > 0 {
			exact[img.Digest] = layout.Edit{Layers: i.exact}
		}
		res.Reused = append(res.Reused, i.reused...)
	}
	if len(res.Reused) > 0 {
		rewritten, err := layout.Relayer(o.Dir, digest, edits)
		if err != nil {
			return res, err
		}
		differs, err := Prove(ctx, o, digest, rewritten)
		if ctx.Err() != nil {
			return res, context.Cause(ctx)
		}
		if err == nil && differs == "" {
			res.Digest = rewritten
			return res, nil
		}
		why := "they differ at " + differs
		if err != nil {
			why = err.Error()
		}
		res.Findings, res.Reused = append(res.Findings, unproven(why, err)), nil
		// index.json names the rewritten image by now. That does not matter, because the image to
		// push is identified by its digest.
	}
	if len(exact) > 0 {
		res.Digest, err = layout.Relayer(o.Dir, digest, exact)
	}
	return res, err
}

func unproven(why string, err error) *pipeline.Finding {
	return &pipeline.Finding{Code: CodeUnproven, Severity: pipeline.Warning, Why: why, Err: err,
		What: "the image is sent as it was built, because reusing published layers would not provably give the same image"}
}

// rewrite rewrites one image.
type rewrite struct {
	Options
	image layout.Image
	r     *pipeline.Reporter

	ref    reference
	edit   layout.Edit
	exact  map[int][]layout.Layer
	notes  []note
	reused []Reused
}

func (w *rewrite) fits() bool {
	return w.image.Config.OS == "linux" && consistent(w.image) && len(w.image.Manifest.Layers) > 0
}

func (w *rewrite) run(ctx context.Context, refs map[string]reference) error {
	ref, ok := refs[w.image.Platform()]
	if !ok || ref.Digest == w.image.Digest {
		return nil
	}
	w.ref, w.exact = ref, map[int][]layout.Layer{}
	w.edit.Layers = map[int][]layout.Layer{}
	var other []int
	for i, d := range w.image.Manifest.Layers {
		id := w.image.Config.RootFS.DiffIDs[i]
		at := slices.Index(ref.Config.RootFS.DiffIDs, id)
		switch p := w.published(at); {
		case at >= 0 && p.Digest == d.Digest:
		case at >= 0 && w.suits(p, d) && w.verified(p, id):
			w.exact[i] = []layout.Layer{{Descriptor: p, DiffID: id}}
			w.edit.Layers[i] = w.exact[i]
		default:
			other = append(other, i)
		}
	}
	if !w.Compare || len(other) == 0 {
		return nil
	}
	if err := w.compare(ctx, other); err != nil {
		return err
	}
	if len(w.reused) == 0 {
		w.edit = layout.Edit{Layers: w.exact}
		return nil
	}
	return w.label()
}

func (w *rewrite) published(i int) v1.Descriptor {
	if i < 0 {
		return v1.Descriptor{}
	}
	return w.ref.Manifest.Layers[i]
}

// verified reports whether a published layer is known to match its diff_id. A stored listing proves it, because
// making the listing verified the layer. A layer without a listing was compressed here.
func (w *rewrite) verified(p v1.Descriptor, id v1.Hash) bool {
	l := layer.Remembered(w.Facts, p.Digest)
	return l == nil || l.Odd != "" || l.DiffID == id
}

// suits reports whether a published layer may take the place of one that was built. OCI's and Docker's media types must
// not be mixed in a manifest. Whoever has asked for gzip has nodes that cannot read zstd.
func (o Options) suits(p, built v1.Descriptor) bool {
	docker := func(d v1.Descriptor) bool { return strings.HasPrefix(string(d.MediaType), "application/vnd.docker.") }
	return docker(p) == docker(built) && (o.Compression != layer.Gzip || !strings.HasSuffix(string(p.MediaType), "+zstd"))
}

// label sets the label that records the reused layers.
func (w *rewrite) label() error {
	shift := 0
	numbers := map[int]int{}
	for i := range w.image.Manifest.Layers {
		numbers[i] = i + shift
		shift += max(0, len(w.edit.Layers[i])-1)
	}
	for i := range w.notes {
		n := &w.notes[i]
		at := n.Layer - 1
		if n.Layer = numbers[at] + 1; len(w.edit.Layers[at]) > 1 {
			n.Small = n.Layer + 1
		}
	}
	text, err := json.Marshal(w.notes)
	w.edit.Labels = map[string]string{worker.LabelLayerReuse: string(text)}
	return err
}

// compare looks for published layers that are similar to the layers with the
// given indexes.
func (w *rewrite) compare(ctx context.Context, other []int) error {
	var candidates []int
	for i := range w.ref.Manifest.Layers {
		if !w.ref.small[i] && !slices.Contains(w.image.Config.RootFS.DiffIDs, w.ref.Config.RootFS.DiffIDs[i]) {
			candidates = append(candidates, i)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	// Layers above the topmost of these do not matter.
	layers := w.image.Manifest.Layers[:other[len(other)-1]+1]
	wanted := slices.Clone(layers)
	for _, c := range candidates {
		wanted = append(wanted, w.ref.Manifest.Layers[c])
	}
	lists, err := listAll(ctx, w.Options, wanted, w.r)
	if err != nil {
		return err
	}
	tree := layer.NewTree()
	total := len(w.image.Manifest.Layers)
	for i := range layers {
		l := lists[i]
		if l.Odd == "" && l.DiffID != w.image.Config.RootFS.DiffIDs[i] {
			l = &layer.Listing{Odd: "its content does not match its diff_id in the config"}
		}
		if slices.Contains(other, i) {
			made, err := w.one(ctx, i, l, tree, candidates, lists[len(layers):], total < maxLayers)
			if err != nil {
				return err
			}
			total += max(0, made-1)
		}
		if err := tree.Apply(l, fmt.Sprint(i)); err != nil {
			w.r.Detailf("layers from %d on are sent as they were built: %v", i+1, err)
			return nil
		}
	}
	return nil
}

// one tries to replace the layer with index i by a published one and a small one. below is the tree of the layers
// below it. It returns how many layers replace it; 0 if it stays.
func (w *rewrite) one(ctx context.Context, i int, l *layer.Listing, below *layer.Tree, candidates []int, lists []*layer.Listing,
	room bool) (int, error) {
	if l.Odd != "" {
		return 0, nil // said by the caller
	}
	best := w.closest(l, candidates, lists)
	if best < 0 {
		return 0, nil
	}
	published := lists[best]
	ref := w.ref.Manifest.Layers[candidates[best]]
	if !w.suits(ref, w.image.Manifest.Layers[i]) || published.DiffID != w.ref.Config.RootFS.DiffIDs[candidates[best]] {
		return 0, nil
	}
	const built = "built"
	want, have := below.Clone(), below.Clone()
	if want.Apply(l, built) != nil || have.Apply(published, "published") != nil {
		return 0, nil // the caller reports the former itself
	}
	delta, err := layer.Compare(have, want, built)
	if err != nil {
		w.r.Detailf("layer %d is sent as it was built: %v", i+1, err)
		return 0, nil
	}
	made := []layout.Layer{{Descriptor: ref, DiffID: published.DiffID}}
	u := Reused{Platform: w.image.Platform(), Layer: i + 1, Files: l.Files(), Instead: ref.Size, Trivial: l.Size < minSize,
		Changed: delta.Changed, Removed: delta.Removed}
	history := entries(w.image)
	if len(history) > 0 {
		u.CreatedBy = history[i].CreatedBy
	}
	if !delta.Empty() {
		if l.Size < minSize || float64(delta.Size()) > maxShare*float64(l.Size) || !room {
			return 0, nil
		}
		small, err := w.small(ctx, i, delta)
		if err != nil || small == nil {
			return 0, err
		}
		if len(history) > 0 {
			small.History = &v1.History{Created: history[i].Created, Comment: smallComment,
				CreatedBy: fmt.Sprintf("gh sbw publish: what differs from the layer below (%d paths)", len(delta.Changed)+len(delta.Removed))}
		}
		u.Small = small.Descriptor.Size
		made = append(made, *small)
	}
	w.edit.Layers[i] = made
	w.reused = append(w.reused, u)
	w.notes = append(w.notes, note{Layer: i + 1, Built: l.DiffID.String(), Files: u.Files, Count: len(u.Changed) + len(u.Removed)})
	return len(made), nil
}

// closest returns the index of the candidate that shares most with a layer; -1 if none shares at
// least half of it.
func (w *rewrite) closest(l *layer.Listing, candidates []int, lists []*layer.Listing) int {
	best, most := -1, int64(0)
	for n := range candidates {
		if shared, all := l.Shared(lists[n]); shared > most && 2*shared >= all {
			best, most = n, shared
		}
	}
	return best
}
