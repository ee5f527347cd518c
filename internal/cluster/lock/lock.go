// Package lock makes sure that only one rollout at a time changes a workload.
// Acquire takes a Lease with holder, tag and expiry and renews it until
// Release; Verify, called right before a write, makes sure that the Lease is
// still ours.
//
// A Lease is a promise, not a fence: it does not stop anybody who ignores it. A
// holder that was killed leaves it behind; after its duration the next one
// takes it over and learns who held it. Only the API server's clock decides
// whether it has expired (the server stamps managedFields and
// creationTimestamp), so that two laptops with different clocks agree.
//
// A process that was suspended, or slept with its laptop, has not renewed its
// Lease meanwhile. What it knew before the gap is worthless, so the gap neither
// keeps nor loses the lock: the Lease is read again, and stays ours if nobody
// took it.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Codes of this package's findings.
const (
	CodeHeld      pipeline.Code = "locked"
	CodeLost      pipeline.Code = "lock-lost"
	CodeForbidden pipeline.Code = "lock-forbidden"
)

// Errors that callers distinguish with errors.Is; each is wrapped in a Finding.
var (
	// ErrHeld: somebody else holds the lock.
	ErrHeld = errors.New("somebody else holds the lock")
	// ErrLost: the lock was ours but is not any more, or nobody can say.
	ErrLost = errors.New("the lock was lost")
	// ErrForbidden: this user may not write Leases.
	ErrForbidden = errors.New("not allowed to write Leases")
)

// Annotations of the Lease, for the next run that wants it.
const (
	annotationTag = "dev.sbw/tag"
	annotationRun = "dev.sbw/run"
)

// Options say what to lock, in which holder's name, and how long to wait.
type Options struct {
	Workload workload.Ref
	Tag      string // what is rolled out
	Holder   string // Me() when empty
	// Run identifies this run uniquely, and Ended are runs whose process is
	// known to have ended: their locks need not expire.
	Run   string
	Ended []string
	// Duration is the time without renewal after which anyone may take the
	// lock; 0 means 30 s. The lock is renewed three times in that.
	Duration time.Duration
	// Wait is how long to wait for another holder; 0 means not at all.
	Wait time.Duration
	// Lost is called at most once, when the lock was taken away or could not be
	// renewed in time; typically a context.CancelCauseFunc. Its error is a
	// Finding that wraps ErrLost.
	Lost     func(error)
	Reporter *pipeline.Reporter
}

// Lock is held from Acquire to Release.
type Lock struct {
	Options
	// TookOver names the holder whose expired or abandoned lock was taken over;
	// otherwise empty.
	TookOver string
	// Waited means that somebody else held it first, so that earlier knowledge
	// of the workload may be out of date.
	Waited bool

	leases coordination.LeaseInterface
	name   string

	mu    sync.Mutex // guards lease and gone
	lease *coordinationv1.Lease
	gone  error // why the lock is lost for good
	stop  context.CancelFunc
	done  chan struct{}
}

const defaultDuration = 30 * time.Second

// Me is user@host and process: the holder of a lock.
func Me() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s@%s pid %d", name, host, os.Getpid())
}

// Name is the Lease's name for a workload.
func Name(ref workload.Ref) string { return "sbw-" + strings.ToLower(ref.Kind) + "-" + ref.Name }

// Acquire takes the lock and renews it in the background until Release. ctx
// limits only the acquiring. Findings: locked, and those of cluster.Explain
// (lock-forbidden if we may not write leases).
func Acquire(ctx context.Context, kube kubernetes.Interface, o Options) (*Lock, error) {
	if o.Holder == "" {
		o.Holder = Me()
	}
	if o.Duration == 0 {
		o.Duration = defaultDuration
	}
	if o.Lost == nil {
		o.Lost = func(error) {}
	}
	l := &Lock{Options: o, leases: kube.CoordinationV1().Leases(o.Workload.Namespace), name: Name(o.Workload)}
	if err := l.acquire(ctx); err != nil {
		return nil, err
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop, l.done = stop, make(chan struct{})
	go l.renew(renewing)
	return l, nil
}

// acquire tries until the lock is ours or Wait is over.
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
		live, err = l.leases.Create(ctx, l.mine(nil), metav1.CreateOptions{FieldManager: cluster.FieldManager})
		if apierrors.IsAlreadyExists(err) {
			return l.try(ctx) // somebody was faster; read it again
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
		live, err = l.leases.Update(ctx, l.mine(live), metav1.UpdateOptions{FieldManager: cluster.FieldManager})
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

// mine is the Lease as this holder writes it.
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

// expires is how long until a Lease expires, by the API server's clock; 0 if it
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
	// Stamps are whole seconds, so one more makes sure.
	return max(0, duration+time.Second-now.CreationTimestamp.Sub(written)), nil
}

// untilFreed waits until the Lease changes hands, is deleted or expires.
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

func (l *Lock) durationOf(lease *coordinationv1.Lease) time.Duration {
	if s := lease.Spec.LeaseDurationSeconds; s != nil {
		return time.Duration(*s)*time.Second + time.Second
	}
	return defaultDuration
}

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

// Verify makes sure that the lock is ours right now, by renewing it: the API
// server takes that only from whoever wrote the Lease last. The error is a
// Finding with ErrLost in it when somebody else has the lock, when it was
// deleted, or when the API server does not answer. A nil Lock verifies nothing:
// it is what a run goes on with that may not write Leases. When ctx was ended for
// a reason (an interrupt), that reason is returned: it says nothing about the lock.
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
	return lease.UID == l.lease.UID && holder(lease) == l.Holder && lease.Annotations[annotationRun] == l.Run
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

// Release gives up the lock. It may be called more than once, and on nil.
func (l *Lock) Release(ctx context.Context) error {
	if l == nil || l.stop == nil {
		return nil
	}
	l.stop()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease == nil || l.gone != nil {
		return nil
	}
	lease := l.lease
	l.lease = nil
	err := l.leases.Delete(
		ctx,
		l.name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion}},
	)
	if apierrors.IsForbidden(err) {
		// Without permission to delete it, an empty holder also frees it.
		free := lease.DeepCopy()
		free.Spec.HolderIdentity = nil
		_, err = l.leases.Update(ctx, free, metav1.UpdateOptions{FieldManager: cluster.FieldManager})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it already belongs to somebody else
	}
	return cluster.Explain("release the lock", err)
}

// Holder returns who holds the lock, for status; empty if nobody does.
func Holder(ctx context.Context, kube kubernetes.Interface, ref workload.Ref) (who, tag string, err error) {
	lease, err := kube.CoordinationV1().Leases(ref.Namespace).Get(ctx, Name(ref), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", "", nil
	}
	if err != nil {
		return "", "", cluster.Explain("read the lock", err)
	}
	return holder(lease), tagOf(lease), nil
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

func (l *Lock) explain(err error) error {
	if apierrors.IsForbidden(err) {
		return &pipeline.Finding{Code: CodeForbidden, Severity: pipeline.Error, Where: l.Workload.Namespace, Err: errors.Join(ErrForbidden, err),
			What: "you may not lock " + l.Workload.String(), Why: termtext.Line(err.Error()),
			Fix: "ask the cluster's administrator for get, create, update, delete and watch on leases (coordination.k8s.io) in this namespace"}
	}
	return cluster.Explain("lock "+l.Workload.String(), err)
}

func holder(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

func tagOf(l *coordinationv1.Lease) string {
	if tag := l.Annotations[annotationTag]; tag != "" {
		return tag
	}
	return "an unnamed tag"
}
