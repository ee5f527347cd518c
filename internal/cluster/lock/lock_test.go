package lock_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestMain(m *testing.M) { os.Exit(cptest.Main(m)) }

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

func setup(t *testing.T) (kubernetes.Interface, lock.Options) {
	t.Helper()
	t.Parallel()
	kube := cptest.Kube(t, cptest.Shared(t))
	ns := cptest.Namespace(t, kube, nil)
	return kube, lock.Options{Workload: workload.Ref{Kind: "Deployment", Namespace: ns, Name: "w"}, Holder: "alice@laptop pid 1", Tag: "v1"}
}

func release(t *testing.T, l *lock.Lock) {
	t.Helper()
	if err := l.Release(context.Background()); err != nil {
		t.Error(err)
	}
}

func acquire(t *testing.T, kube kubernetes.Interface, o lock.Options) *lock.Lock {
	t.Helper()
	l, err := lock.Acquire(t.Context(), kube, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { release(t, l) })
	return l
}

func TestOneHolder(t *testing.T) {
	kube, o := setup(t)
	l := acquire(t, kube, o)
	second := o
	second.Holder = "bob@desk pid 2"
	_, err := lock.Acquire(t.Context(), kube, second)
	if code(err) != "locked" || !strings.Contains(err.Error(), "alice@laptop pid 1 is rolling out v1") || !errors.Is(err, lock.ErrHeld) {
		t.Fatal(err)
	}
	if who, tag, err := lock.Holder(t.Context(), kube, o.Workload); who != o.Holder || tag != "v1" || err != nil {
		t.Fatal(who, tag, err)
	}
	release(t, l)
	release(t, l) // twice is harmless
	if who, _, err := lock.Holder(t.Context(), kube, o.Workload); who != "" || err != nil {
		t.Fatal(who, err)
	}
	acquire(t, kube, second)
}

func TestWaitForRelease(t *testing.T) {
	kube, o := setup(t)
	l := acquire(t, kube, o)
	waiting := make(chan struct{})
	second := o
	second.Holder, second.Wait = "bob", time.Minute
	second.Reporter = pipeline.NewReporter("lock", pipeline.SinkFunc(func(e pipeline.Event) {
		if strings.Contains(e.Text, "waiting for the lock of alice") {
			close(waiting)
		}
	}))
	got := make(chan error, 1)
	go func() {
		l, err := lock.Acquire(context.Background(), kube, second)
		if err == nil {
			err = l.Release(context.Background())
		}
		got <- err
	}()
	<-waiting
	release(t, l)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestWaitEnds(t *testing.T) {
	kube, o := setup(t)
	acquire(t, kube, o)
	second := o
	second.Holder, second.Wait = "bob", 300*time.Millisecond
	if _, err := lock.Acquire(t.Context(), kube, second); code(err) != "locked" || !strings.Contains(err.Error(), "alice") {
		t.Fatal(err)
	}
	second.Wait = time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("a key was pressed")
	second.Reporter = pipeline.NewReporter("lock", pipeline.SinkFunc(func(pipeline.Event) { cancel(why) }))
	if _, err := lock.Acquire(ctx, kube, second); !errors.Is(err, why) {
		t.Fatal(err)
	}
}

// crashed leaves behind a Lease as a killed holder would.
func crashed(t *testing.T, kube kubernetes.Interface, o lock.Options, seconds int32) {
	t.Helper()
	// Written by a machine whose clock is an hour fast.
	now := metav1.NewMicroTime(time.Now().Add(time.Hour))
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: lock.Name(o.Workload), Annotations: map[string]string{"dev.sbw/tag": o.Tag}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &o.Holder, LeaseDurationSeconds: &seconds, RenewTime: &now, AcquireTime: &now},
	}
	if _, err := kube.CoordinationV1().Leases(o.Workload.Namespace).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestTakeOverAfterExpiry(t *testing.T) {
	kube, o := setup(t)
	crashed(t, kube, o, 1)
	second := o
	second.Holder, second.Wait = "bob", time.Minute
	l := acquire(t, kube, second)
	if l.TookOver != o.Holder {
		t.Fatalf("took over %q", l.TookOver)
	}
	lease, err := kube.CoordinationV1().Leases(o.Workload.Namespace).Get(t.Context(), lock.Name(o.Workload), metav1.GetOptions{})
	if err != nil || *lease.Spec.HolderIdentity != "bob" || *lease.Spec.LeaseTransitions != 1 {
		t.Fatalf("%+v %v", lease, err)
	}
}

func TestTakeOverOfARunThatHasEnded(t *testing.T) {
	kube, o := setup(t)
	o.Run = "run-1"
	l := acquire(t, kube, o) // represents a run that was killed: nobody releases it
	second := o
	second.Run, second.Holder, second.Ended = "run-2", "bob@desk pid 2", []string{"run-0"}
	if _, err := lock.Acquire(t.Context(), kube, second); code(err) != "locked" {
		t.Errorf("another's: %v", err)
	}
	second.Ended = []string{"run-0", "run-1"}
	taken := acquire(t, kube, second)
	if taken.TookOver != o.Holder {
		t.Errorf("took over from %q", taken.TookOver)
	}
	release(t, l) // a run that turns out to be alive does not take it back
	if who, _, err := lock.Holder(t.Context(), kube, o.Workload); who != second.Holder || err != nil {
		t.Error(who, err)
	}
}

func TestNotBeforeExpiry(t *testing.T) {
	kube, o := setup(t)
	crashed(t, kube, o, 60)
	second := o
	second.Holder = "bob"
	if _, err := lock.Acquire(t.Context(), kube, second); code(err) != "locked" {
		t.Fatal(err)
	}
}

func TestRenewedWhileHeld(t *testing.T) {
	kube, o := setup(t)
	o.Duration = 2 * time.Second
	l := acquire(t, kube, o)
	w, err := kube.CoordinationV1().Leases(o.Workload.Namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var last metav1.MicroTime
	for renewals := 0; renewals < 3; {
		e := <-w.ResultChan()
		lease, ok := e.Object.(*coordinationv1.Lease)
		if !ok {
			t.Fatalf("%+v", e)
		}
		if lease.Spec.RenewTime.After(last.Time) {
			last = *lease.Spec.RenewTime
			renewals++
		}
	}
	release(t, l)
}

func TestLostIsReported(t *testing.T) {
	for _, how := range []string{"deleted", "taken"} {
		t.Run(how, func(t *testing.T) {
			kube, o := setup(t)
			o.Duration = 3 * time.Second // a loss is noticed after a third of it
			lost := make(chan error, 1)
			o.Lost = func(err error) { lost <- err }
			l := acquire(t, kube, o)
			leases := kube.CoordinationV1().Leases(o.Workload.Namespace)
			if how == "deleted" {
				if err := leases.Delete(t.Context(), lock.Name(o.Workload), metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			} else {
				patch := []byte(`{"spec":{"holderIdentity":"mallory"}}`)
				if _, err := leases.Patch(t.Context(), lock.Name(o.Workload), "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			err := <-lost
			if !errors.Is(err, lock.ErrLost) || code(err) != "lock-lost" || how == "taken" && !strings.Contains(err.Error(), "mallory") {
				t.Fatal(err)
			}
			release(t, l)
			if how == "taken" {
				if who, _, err := lock.Holder(t.Context(), kube, o.Workload); who != "mallory" || err != nil {
					t.Fatalf("another's lock was released: %q %v", who, err)
				}
			}
		})
	}
}

// Whatever happened to the Lease while this process was away, the answer is about the
// present.
func TestVerify(t *testing.T) {
	tests := map[string]struct {
		meddle func(t *testing.T, kube kubernetes.Interface, o lock.Options)
		lost   bool
		names  string
	}{
		"nothing": {meddle: func(*testing.T, kubernetes.Interface, lock.Options) {}},
		"labelled": {meddle: func(t *testing.T, kube kubernetes.Interface, o lock.Options) {
			patchLease(t, kube, o, `{"metadata":{"labels":{"seen":"yes"}}}`)
		}},
		"expired and taken by nobody": {meddle: func(t *testing.T, kube kubernetes.Interface, o lock.Options) {
			patchLease(t, kube, o, `{"spec":{"renewTime":"2001-01-01T00:00:00.000000Z"}}`)
		}},
		"taken": {lost: true, names: "bob", meddle: func(t *testing.T, kube kubernetes.Interface, o lock.Options) {
			patchLease(t, kube, o, `{"spec":{"holderIdentity":"bob"}}`)
		}},
		"taken by a process of the same name": {lost: true, meddle: func(t *testing.T, kube kubernetes.Interface, o lock.Options) {
			patchLease(t, kube, o, `{"metadata":{"annotations":{"dev.sbw/run":"another"}}}`)
		}},
		"taken and released again": {lost: true, meddle: func(t *testing.T, kube kubernetes.Interface, o lock.Options) {
			if err := kube.CoordinationV1().Leases(o.Workload.Namespace).Delete(t.Context(), lock.Name(o.Workload), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			kube, o := setup(t)
			o.Run, o.Duration = "run-1", time.Hour // it is not renewed by itself within this time
			l := acquire(t, kube, o)
			tt.meddle(t, kube, o)
			for range 2 { // a lost lock stays lost
				err := l.Verify(t.Context())
				if errors.Is(err, lock.ErrLost) != tt.lost || !tt.lost && err != nil {
					t.Fatalf("%v, want lost: %t", err, tt.lost)
				}
				if tt.lost && (code(err) != "lock-lost" || !strings.Contains(err.Error(), tt.names)) {
					t.Errorf("%v does not name %q", err, tt.names)
				}
			}
		})
	}
}

func patchLease(t *testing.T, kube kubernetes.Interface, o lock.Options, patch string) {
	t.Helper()
	if _, err := kube.CoordinationV1().Leases(o.Workload.Namespace).Patch(t.Context(), lock.Name(o.Workload), "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A run that may not write Leases continues without a lock.
func TestVerifyOfNothing(t *testing.T) {
	var none *lock.Lock
	if err := none.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// If the API server does not answer, the state of the lock is unknown, which forbids writing.
func TestVerifyWithoutAnswer(t *testing.T) {
	kube, o := setup(t)
	o.Duration = time.Hour
	l := acquire(t, kube, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Verify(ctx); !errors.Is(err, lock.ErrLost) {
		t.Fatal(err)
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Fatalf("and known again once it answers: %v", err)
	}
}

// An interrupt cancels the request, and says nothing about the lock.
func TestVerifyWhileInterrupted(t *testing.T) {
	kube, o := setup(t)
	o.Duration = time.Hour
	l := acquire(t, kube, o)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(pipeline.ErrInterrupted)
	if err := l.Verify(ctx); !errors.Is(err, pipeline.ErrInterrupted) || errors.Is(err, lock.ErrLost) {
		t.Fatal(err)
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestForbidden(t *testing.T) {
	_, o := setup(t)
	nobody, err := cptest.Connect(t, cptest.Shared(t), "nobody", o.Workload.Namespace).Kube()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Acquire(t.Context(), nobody, o); code(err) != "lock-forbidden" || !errors.Is(err, lock.ErrForbidden) {
		t.Fatal(err)
	}
}

// A renewal that the end of a run cancels may reach the server all the same.
func TestReleaseOfALeaseThatWasWrittenMeanwhile(t *testing.T) {
	kube, o := setup(t)
	l := acquire(t, kube, o)
	patchLease(t, kube, o, `{"metadata":{"labels":{"set-by":"a-person"}}}`)
	release(t, l)
	if who, _, err := lock.Holder(t.Context(), kube, o.Workload); who != "" || err != nil {
		t.Errorf("%q still holds it: %v", who, err)
	}
	// A Lease that belongs to somebody else by now is left alone.
	l = acquire(t, kube, o)
	patchLease(t, kube, o, `{"spec":{"holderIdentity":"another"}}`)
	release(t, l)
	if who, _, err := lock.Holder(t.Context(), kube, o.Workload); who != "another" || err != nil {
		t.Errorf("%q holds it: %v", who, err)
	}
}

func TestReleaseOfNothing(t *testing.T) {
	var none *lock.Lock
	if err := none.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestMe(t *testing.T) {
	if me := lock.Me(); !strings.Contains(me, "@") || !strings.HasSuffix(me, fmt.Sprintf("pid %d", os.Getpid())) {
		t.Fatal(me)
	}
}
