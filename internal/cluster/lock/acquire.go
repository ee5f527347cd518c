package lock

import (
	"context"
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// acquire tries to take the lock until it succeeds or Wait is over.
func (l *Lock) acquire(ctx context.Context) error {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if l.Wait > 0 {
		waiting, cancel = context.WithTimeout(ctx, l.Wait)
	}
	defer cancel()
	announced := ""
	for {
		held, expires, err := l.try(waiting)
		if err == nil && held == nil {
			return nil
		}
		if err != nil && (waiting.Err() == nil || ctx.Err() != nil) {
			return err
		}
		if err == nil && l.Wait == 0 {
			return l.held(held, expires)
		}
		if err != nil { // the wait ended during a request
			return l.held(&coordinationv1.Lease{}, 0)
		}
		l.Waited = true
		if who := holder(held); who != announced {
			announced = who
			l.Reporter.Notef("waiting for the lock of %s, which rolls out %s", who, tagOf(held))
		}
		if err := l.untilFreed(waiting, held, expires); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return l.held(held, expires)
		}
	}
}

// try takes the lock if it is free or expired; otherwise it returns the holder
// and the time until it expires.
func (l *Lock) try(ctx context.Context) (held *coordinationv1.Lease, expires time.Duration, err error) {
	ended := false
	live, err := l.leases.Get(ctx, l.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		live, err = l.write(ctx, func(ctx context.Context) (*coordinationv1.Lease, error) {
			return l.leases.Create(ctx, l.mine(nil), metav1.CreateOptions{FieldManager: cluster.FieldManager})
		})
		if apierrors.IsAlreadyExists(err) {
			return l.try(ctx) // somebody else created it first; read it again
		}
	case err == nil:
		if holder(live) != "" {
			ended = slices.Contains(l.Ended, live.Annotations[annotationRun])
			if !ended {
				if expires, err = l.expires(ctx, live); err != nil {
					return nil, 0, l.explain(err)
				}
			}
			if expires > 0 {
				return live, expires, nil
			}
			l.TookOver = holder(live)
		}
		old := live
		live, err = l.write(ctx, func(ctx context.Context) (*coordinationv1.Lease, error) {
			return l.leases.Update(ctx, l.mine(old), metav1.UpdateOptions{FieldManager: cluster.FieldManager})
		})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			l.TookOver = ""
			return l.try(ctx)
		}
	}
	if err != nil {
		return nil, 0, l.explain(err)
	}
	l.lease = live
	if l.TookOver != "" {
		why := "which has expired"
		if ended {
			why = "whose process has ended"
		}
		l.Reporter.Notef("took over the lock of %s, %s", l.TookOver, why)
	}
	return nil, 0, nil
}

// write writes the Lease. A write that an interrupt meets, or whose answer is lost, may have
// taken the lock all the same; nobody would release it if that remained unknown.
func (l *Lock) write(ctx context.Context, do func(context.Context) (*coordinationv1.Lease, error)) (*coordinationv1.Lease, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	writing, done := cluster.Writing(ctx)
	defer done()
	written, err := do(writing)
	if err == nil || cluster.Answered(err) {
		return written, err
	}
	looking, cancel := cluster.Looking(ctx)
	defer cancel()
	if live, again := l.leases.Get(looking, l.name, metav1.GetOptions{}); again == nil && l.names(live) {
		return live, nil
	}
	return nil, err
}

// mine returns the Lease as this holder writes it.
func (l *Lock) mine(old *coordinationv1.Lease) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: l.name, Namespace: l.Workload.Namespace}}
	transitions := int32(0)
	if old != nil {
		lease.ResourceVersion = old.ResourceVersion
		lease.Labels = old.Labels
		transitions = 1
		if t := old.Spec.LeaseTransitions; t != nil {
			transitions = *t + 1
		}
	}
	lease.Annotations = map[string]string{annotationTag: l.Tag}
	if l.Run != "" {
		lease.Annotations[annotationRun] = l.Run
	}
	now, seconds := metav1.NowMicro(), int32((l.Duration+time.Second-1)/time.Second)
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &l.Holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now, LeaseTransitions: &transitions,
	}
	return lease
}

// expires returns how long it takes until a Lease expires, by the API server's clock; 0 if it
// has expired.
func (l *Lock) expires(ctx context.Context, lease *coordinationv1.Lease) (time.Duration, error) {
	written := lease.CreationTimestamp.Time
	for _, m := range lease.ManagedFields {
		if m.Time != nil && m.Time.After(written) {
			written = m.Time.Time
		}
	}
	// The server stamps its current time on what a dry run would create.
	probe := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{GenerateName: l.name + "-", Namespace: l.Workload.Namespace}}
	now, err := l.leases.Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: cluster.FieldManager})
	if err != nil {
		return 0, err
	}
	duration := defaultDuration
	if s := lease.Spec.LeaseDurationSeconds; s != nil {
		duration = time.Duration(*s) * time.Second
	}
	// Timestamps are in whole seconds, so add one to be safe.
	return max(0, duration+time.Second-now.CreationTimestamp.Sub(written)), nil
}

// untilFreed waits until the Lease changes its holder, is deleted or expires.
func (l *Lock) untilFreed(ctx context.Context, held *coordinationv1.Lease, expires time.Duration) error {
	timer := time.NewTimer(expires)
	defer timer.Stop()
	w, err := l.leases.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + l.name, ResourceVersion: held.ResourceVersion})
	if err != nil {
		// No permission to watch, or a version that is too old: look again when
		// it expires.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case e, open := <-w.ResultChan():
			lease, ok := e.Object.(*coordinationv1.Lease)
			if !open || !ok || e.Type == "DELETED" || holder(lease) != holder(held) {
				return nil
			}
			timer.Reset(l.durationOf(lease))
		}
	}
}

func (l *Lock) held(by *coordinationv1.Lease, expires time.Duration) error {
	what, why := "somebody else is rolling out "+l.Workload.String(), ""
	if who := holder(by); who != "" {
		what = fmt.Sprintf("%s is rolling out %s to %s", who, tagOf(by), l.Workload)
		why = fmt.Sprintf("the lock expires in %s unless it is renewed", expires.Round(time.Second))
	}
	return &pipeline.Finding{Code: CodeHeld, Severity: pipeline.Error, Where: l.Workload.Namespace + "/" + l.Workload.String(), Err: ErrHeld,
		What: what, Why: why, Fix: "wait for it with --lock-wait 5m; if its holder has gone away, the lock expires by itself"}
}
