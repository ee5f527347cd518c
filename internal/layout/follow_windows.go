package layout

import (
	"context"
	"io"
)

// Follow does nothing on Windows: a file that is open cannot be renamed there, so the builder would fail.
func Follow(context.Context, string, func(context.Context, io.Reader)) (finish func()) {
	return func() {}
}
