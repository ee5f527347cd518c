package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// renew keeps the lock until ctx ends, or reports that it is lost.
func (l *Lock) renew(ctx context.Context) {
	defer close(l.done)
	every := l.Duration / 3
	tick := time.NewTicker(every)
	defer tick.Stop()
	// Wall clocks, because the monotonic one stands still while a laptop
	// sleeps.
	looked := time.Now().Round(0)
	var failing time.Duration // time awake without a renewal
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A gap counts as one interval, because nothing was tried in the rest
		// of it.
		failing += min(time.Since(looked), every)
		looked = time.Now().Round(0)
		one, cancel := context.WithTimeout(ctx, every)
		err := l.renewOnce(one)
		cancel()
		switch {
		case err == nil:
			failing = 0
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrLost), failing >= l.Duration:
			l.Lost(l.lost(err))
			return
		default:
			l.Reporter.Detailf("cannot renew the lock: %v", err)
		}
	}
}

// Verify makes sure that the lock is ours right now by renewing it: the API server accepts
// that only from whoever wrote the Lease last. If somebody else has the lock, if it was
// deleted, or if the API server does not answer, the error is a Finding that wraps ErrLost. A
// nil Lock, with which a run continues that may not write Leases, verifies nothing. If ctx was
// canceled for a reason (an interrupt), that reason is returned; it says nothing about the
// lock.
func (l *Lock) Verify(ctx context.Context) error {
	if l == nil || l.stop == nil {
		return nil
	}
	one, cancel := context.WithTimeout(ctx, l.Duration)
	defer cancel()
	err := l.renewOnce(one)
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(err, ErrLost) && cause != nil && !errors.Is(cause, ctx.Err()) {
		return fmt.Errorf("making sure of the lock: %w", cause)
	}
	return l.lost(err)
}

// renewOnce writes the Lease again. An error that wraps ErrLost is final.
func (l *Lock) renewOnce(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone != nil:
		return l.gone
	case l.lease == nil:
		return fmt.Errorf("%w: it was released", ErrLost)
	}
	err := l.rewrite(ctx)
	if apierrors.IsConflict(err) {
		// Somebody has written it since. That may be a label that a person set,
		// so the holder decides.
		var live *coordinationv1.Lease
		if live, err = l.leases.Get(ctx, l.name, metav1.GetOptions{}); err == nil {
			if !l.ours(live) {
				l.gone = fmt.Errorf("%w: %s holds it now and rolls out %s", ErrLost, orNobody(holder(live)), tagOf(live))
				return l.gone
			}
			l.lease = live
			err = l.rewrite(ctx)
		}
	}
	if apierrors.IsNotFound(err) {
		l.gone = fmt.Errorf("%w: the Lease was deleted", ErrLost)
		return l.gone
	}
	return err
}

func (l *Lock) rewrite(ctx context.Context) error {
	lease := l.lease.DeepCopy()
	now := metav1.NowMicro()
	lease.Spec.RenewTime = &now
	live, err := l.leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: cluster.FieldManager})
	if err == nil {
		l.lease = live
	}
	return err
}

// ours reports whether this very run acquired a Lease: a holder's name can
// reappear when a process ID is reused.
func (l *Lock) ours(lease *coordinationv1.Lease) bool {
	return lease.UID == l.lease.UID && l.names(lease)
}

// names reports whether a Lease names this run as its holder.
func (l *Lock) names(lease *coordinationv1.Lease) bool {
	return holder(lease) == l.Holder && lease.Annotations[annotationRun] == l.Run
}

func orNobody(who string) string {
	if who == "" {
		return "nobody"
	}
	return who
}

func (l *Lock) lost(err error) *pipeline.Finding {
	f := &pipeline.Finding{Code: CodeLost, Severity: pipeline.Error, Where: l.Workload.Namespace + "/lease/" + l.name, Err: ErrLost,
		What: "this run no longer holds the lock on " + l.Workload.String(), Why: termtext.Line(err.Error()),
		Fix: "find out with `kubectl sbw status` who is rolling out now before you try again"}
	if !errors.Is(err, ErrLost) {
		f.What = "it is unknown whether this run still holds the lock on " + l.Workload.String()
	}
	return f
}
