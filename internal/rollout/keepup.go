package rollout

import (
	"cmp"
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Somebody else may replace the pods that are being proven by other pods of the same
// image, with a restart or a changed variable. That is not a failure of the rollout. It
// continues with the replacements, unless Services were switched to the pods that are
// gone (see own).

// moved reports whether the pod template has changed since its pods were last
// followed. A change of the image is handled by the guard instead.
func (r *Run) moved(ctx context.Context) (bool, error) {
	followed := r.found.watched.Snapshot.Workload
	if followed == nil {
		return false, nil
	}
	err := r.guard.compare(ctx, followed, sameTemplateAs(followed))
	if errors.Is(err, workload.ErrSuperseded) {
		return true, nil
	}
	return false, err
}

// contested is how many times pods are followed and proven again after somebody else
// has replaced them without changing the image: with a restart, or by a controller
// that reacts to a changed Secret.
const contested = 3

// keepUp returns err, the result of proving the pods, unless somebody else has replaced
// these pods meanwhile. In that case it follows and proves the pods that replaced them.
func (r *Run) keepUp(ctx context.Context, rep *pipeline.Reporter, prove func() error, err error) error {
	for try := 1; try <= contested && ctx.Err() == nil; try++ {
		moved, merr := r.moved(ctx)
		if merr != nil || !moved {
			return cmp.Or(err, merr)
		}
		rep.Notef("the pod template has changed meanwhile: the pods that replace the proven ones are now followed and proven")
		s := &r.found
		if s.followed, err = r.followNew(ctx, rep, s.target, s.choice.Strategy == handover.StrategySwitch); err == nil {
			err = prove()
		}
	}
	return err
}

// prove asks the new pods for their functions and waits until they have served for a
// while.
func (r *Run) prove(ctx context.Context, rep *pipeline.Reporter) error {
	s := &r.found
	if err := r.registrar().prove(ctx, rep, s.watched.NewPods()); err != nil {
		return err
	}
	since := s.ready
	if s.serving != nil {
		if at := s.serving(ctx); !at.IsZero() {
			since = at
		}
	}
	return r.proveSteady(ctx, rep, since)
}

// proveAll runs everything that pods have to pass before they serve.
func (r *Run) proveAll(ctx context.Context, rep *pipeline.Reporter) error {
	if err := r.probeNew(ctx, rep); err != nil {
		return err
	}
	return r.prove(ctx, rep)
}

// switchOver points the Services to the new pods, those of the version fresh, and returns
// when that was: zero if no Service was switched, and the beginning if it failed halfway.
func (r *Run) switchOver(ctx context.Context, rep *pipeline.Reporter, fresh string, pods []*corev1.Pod) (time.Time, error) {
	h, _, err := r.handover(rep)
	if err != nil {
		return time.Time{}, err
	}
	began := time.Now()
	err = h.Switch(ctx, fresh, pods)
	switch {
	case errors.Is(err, handover.ErrNotReady):
		return time.Time{}, err
	case err != nil:
		return began, err
	}
	return time.Now(), nil // requests may have reached the old pods until now
}
