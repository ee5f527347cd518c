package publish

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/layout/runnable"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// build builds the image, with the labels that rollout reads.
func (r *Run) build(ctx context.Context, rep *pipeline.Reporter) (image, error) {
	kept, err := r.kept.Get(ctx)
	if err != nil {
		return image{}, err
	}
	engine, err := r.builder.Get(ctx)
	if err != nil {
		return image{}, err
	}
	req := r.Build
	req.LayoutDir = kept.Dir
	if req.Labels, err = r.labels(ctx); err != nil {
		return image{}, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	finish := runnable.Follow(reading, kept.Dir, r.inspection(image{kept: kept}), rep)
	res, err := engine.Build(ctx, req, rep)
	if err != nil {
		stop()
	}
	finish()
	return image{dir: res.LayoutDir, digest: res.Digest, kept: kept}, err
}

// labels returns the labels that a rollout reads from the image.
func (r *Run) labels(ctx context.Context) (map[string]string, error) {
	created := r.Build.SourceDateEpoch
	if created.IsZero() {
		created = r.Now().UTC()
	}
	all := map[string]string{
		worker.LabelCreated: created.Format(time.RFC3339),
		worker.LabelVersion: r.Tag,
		worker.LabelWorker:  r.Worker.Name,
	}
	if state, err := r.Checkout.Get(ctx); err == nil && state.Revision != "" {
		all[worker.LabelRevision] = state.Revision
		if source := state.Source(); source != "" {
			all[worker.LabelSource] = source
		}
		if state.Dirty {
			all[worker.LabelDirty] = "true"
		}
	}
	if id, err := r.Identity.Get(ctx); err == nil {
		if account, err := id.Account(ctx); err == nil {
			all[worker.LabelPublisher] = account.Login
		}
	}
	functions, err := r.Functions.Get(ctx)
	if err != nil {
		return nil, err
	}
	if !functions.Empty() {
		if all[worker.LabelCatalog], err = catalog.Encode(functions); err != nil {
			return nil, err
		}
	}
	return all, nil
}
