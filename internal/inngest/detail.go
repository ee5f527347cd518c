package inngest

import (
	"context"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// Detail adds to a run what only its trace contains: times, the current or
// failed step, its attempt and error.
func Detail(ctx context.Context, c *client.Client, r model.Run) (model.Run, *model.Span, error) {
	trace, err := c.Trace(ctx, r.ID)
	if err != nil {
		return r, nil, err
	}
	r = judge.WithTrace(r, trace)
	if failed := judge.LastFailure(trace); failed != nil && r.Status != model.Completed {
		if r.Error, err = c.Failure(ctx, *failed); err != nil {
			return r, trace, err
		}
	}
	return r, trace, nil
}
