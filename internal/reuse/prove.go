package reuse

import (
	"context"
	"errors"
	"fmt"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
)

// Prove compares the root file systems of two images or indexes in the layout, entry by entry. It returns where they
// differ; "" if they are equal. Layers that both have on top are skipped, because they turn equal trees into equal
// trees. An error means that layers cannot be read or are uncertain.
func Prove(ctx context.Context, o Options, built, rewritten string) (differs string, err error) {
	a, err := layout.Images(o.Dir, built)
	if err != nil {
		return "", err
	}
	b, err := layout.Images(o.Dir, rewritten)
	if err != nil {
		return "", err
	}
	if len(a) != len(b) {
		return "", errors.New("the indexes list different numbers of images")
	}
	for i := range a {
		if a[i].Digest == b[i].Digest {
			continue
		}
		if p, err := prove(ctx, o, a[i], b[i]); err != nil || p != "" {
			return p, err
		}
	}
	return "", nil
}

func prove(ctx context.Context, o Options, a, b layout.Image) (string, error) {
	if a.Platform() != b.Platform() || !consistent(a) || !consistent(b) {
		return "", errors.New("the rewritten image's config does not match its layers")
	}
	n, m := len(a.Manifest.Layers), len(b.Manifest.Layers)
	for n > 0 && m > 0 && a.Config.RootFS.DiffIDs[n-1] == b.Config.RootFS.DiffIDs[m-1] {
		n, m = n-1, m-1
	}
	x, err := flatten(ctx, o, a, n)
	if err != nil {
		return "", err
	}
	y, err := flatten(ctx, o, b, m)
	if err != nil {
		return "", err
	}
	return x.Difference(y), nil
}

// flatten stacks the first n layers of an image.
func flatten(ctx context.Context, o Options, img layout.Image, n int) (*layer.Tree, error) {
	t := layer.NewTree()
	lists, err := listAll(ctx, o, img.Manifest.Layers[:n], nil)
	if err != nil {
		return nil, err
	}
	for i, l := range lists {
		if l.Odd == "" && l.DiffID != img.Config.RootFS.DiffIDs[i] {
			return nil, fmt.Errorf("layer %d does not match its diff_id", i+1)
		}
		if err := t.Apply(l, fmt.Sprint(i)); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	return t, nil
}
