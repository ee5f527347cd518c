package build

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// finish stamps the labels into what was built.
func finish(ctx context.Context, name string, req Request, r *pipeline.Reporter, digest string, start time.Time) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, context.Cause(ctx)
	}
	stamped, err := layout.Stamp(req.LayoutDir, digest, req.Labels)
	if err != nil {
		return Result{}, err
	}
	return Result{LayoutDir: req.LayoutDir, Digest: stamped, Builder: name, Took: took(start)}, nil
}
