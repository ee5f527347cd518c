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
// A process that was suspended, or slept with its laptop, has not renewed its Lease
// meanwhile. Its knowledge from before the gap is worthless, so the gap neither keeps nor
// loses the lock: the Lease is read again, and is still ours if nobody took it.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
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

// The codes of this package's findings.
const (
	CodeHeld      pipeline.Code = "locked"
	CodeLost      pipeline.Code = "lock-lost"
	CodeForbidden pipeline.Code = "lock-forbidden"
)

// Errors that callers distinguish with errors.Is; each is wrapped in a Finding.
var (
	// ErrHeld: somebody else holds the lock.
	ErrHeld = errors.New("somebody else holds the lock")
	// ErrLost: the lock is no longer ours, or that cannot be determined.
	ErrLost = errors.New("the lock was lost")
	// ErrForbidden: this user may not write Leases.
	ErrForbidden = errors.New("not allowed to write Leases")
)

// Annotations of the Lease, for the next run that wants it.
const (
	annotationTag = "dev.sbw/tag"
	annotationRun = "dev.sbw/run"
)

// Options say what to lock, on whose behalf, and how long to wait.
type Options struct {
	Workload workload.Ref
	Tag      string // what is rolled out
	Holder   string // empty means Me()
	// Run identifies this run uniquely. Ended are runs whose process is known to have
	// ended, so that nobody has to wait until their locks expire.
	Run   string
	Ended []string
	// Duration is the time without renewal after which anyone may take the lock; 0
	// means 30 s. The lock is renewed three times within this time.
	Duration time.Duration
	// Wait is how long to wait for another holder; 0 means not to wait.
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

// Me returns USER@HOST and the process ID, which identify the holder of a lock.
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

// Name returns the name of the Lease for a workload.
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

func (l *Lock) durationOf(lease *coordinationv1.Lease) time.Duration {
	if s := lease.Spec.LeaseDurationSeconds; s != nil {
		return time.Duration(*s)*time.Second + time.Second
	}
	return defaultDuration
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
	defer func() { l.lease = nil }()
	err := l.free(ctx)
	// A renewal that the end of the run canceled may have been written all the same, and a
	// person may have set a label, so the holder decides.
	var try cluster.Attempts
	for apierrors.IsConflict(err) && try.More(ctx) {
		var live *coordinationv1.Lease
		if live, err = l.leases.Get(ctx, l.name, metav1.GetOptions{}); err != nil {
			break
		}
		if !l.ours(live) {
			return nil
		}
		l.lease = live
		err = l.free(ctx)
	}
	if apierrors.IsNotFound(err) {
		return nil // it already belongs to somebody else
	}
	return cluster.Explain("release the lock", err)
}

// free deletes the Lease as it was last seen.
func (l *Lock) free(ctx context.Context) error {
	err := l.leases.Delete(
		ctx,
		l.name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &l.lease.UID, ResourceVersion: &l.lease.ResourceVersion}},
	)
	if apierrors.IsForbidden(err) {
		// Without permission to delete it, an empty holder also frees it.
		free := l.lease.DeepCopy()
		free.Spec.HolderIdentity = nil
		_, err = l.leases.Update(ctx, free, metav1.UpdateOptions{FieldManager: cluster.FieldManager})
	}
	return err
}

// Holder returns who holds the lock, for the status; "" if nobody does.
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
