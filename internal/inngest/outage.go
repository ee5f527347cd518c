package inngest

import (
	"errors"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// outageFor is how long a server may be unreachable while something is waited for:
// its pod is replaced within that time.
const outageFor = 2 * time.Minute

// Outage lets a loop that polls the server survive a short outage. Its zero value
// is ready for use.
type Outage struct {
	answered bool // the server has answered before
	since    time.Time
}

// Survives reports whether an error is that of an outage that has not lasted too
// long. A nil error ends the outage. A server that never answered is not one that
// comes back.
func (o *Outage) Survives(err error) bool {
	if err == nil {
		o.answered = true
	}
	if !o.answered || !errors.Is(err, wire.ErrNoAnswer) {
		o.since = time.Time{}
		return false
	}
	if o.since.IsZero() {
		o.since = time.Now()
	}
	return time.Since(o.since) < outageFor
}

func (o *Outage) survives(err error, r *pipeline.Reporter) bool {
	first := o.since.IsZero()
	ok := o.Survives(err)
	if ok && first {
		r.Notef("Inngest does not answer; waiting for it: %s", err)
	}
	return ok
}
