package kubecmd

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// when calls a function once, as soon as a text is printed.
type when struct {
	to   *bytes.Buffer
	text string
	once sync.Once
	do   func()
}

func (w *when) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if strings.Contains(w.to.String(), w.text) {
		w.once.Do(w.do)
	}
	return n, err
}

// whileWaiting runs a command that finds the workload locked. meanwhile is called before
// the lock is released.
func (w *world) whileWaiting(code int, meanwhile func(), args ...string) (errs string) {
	w.Helper()
	leases := w.kubes[0].CoordinationV1().Leases(w.ns)
	name, who, seconds := lock.Name(workload.Ref{Kind: workload.Deployment, Namespace: w.ns, Name: "worker"}), "carol@laptop", int32(600)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &who, LeaseDurationSeconds: &seconds}}
	if _, err := leases.Create(w.Context(), lease, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.env.Err = &when{to: w.errs, text: "waiting for the lock of carol@laptop", do: func() {
		meanwhile()
		if err := leases.Delete(w.Context(), name, metav1.DeleteOptions{}); err != nil {
			w.Error(err)
		}
	}}
	defer func() { w.env.Err = w.errs }()
	_, errs = w.run(code, append(args, "--lock-wait", "20s", "--no-inngest")...)
	if !strings.Contains(errs, "the preflight runs again") {
		w.Errorf("it was not asked again:\n%s", errs)
	}
	return errs
}

// byHand sets the image like `kubectl set image`.
func (w *world) byHand(tag string) {
	w.Helper()
	w.patch(0, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"`+w.registry+`/o/w:`+tag+`"}]}}}}`)
}

// TestAfterAWaitForTheLockThePreflightIsRepeated: what has changed meanwhile stops the
// run before it changes anything.
func TestAfterAWaitForTheLockThePreflightIsRepeated(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	file := w.read("k8s/worker.yaml")
	refused := func(what, code string, meanwhile func(), args ...string) {
		t.Helper()
		errs := w.whileWaiting(1, meanwhile, args...)
		if !strings.Contains(errs, "explain "+code) || w.tag(0) == "new" {
			t.Errorf("%s: runs %s\n%s", what, w.tag(0), errs)
		}
	}
	refused("paused", "paused", func() { w.pause(0, true) }, "rollout", "--tag", "new")
	w.pause(0, false)
	refused("the image is gone", "image-not-found", func() { w.remove("newer") }, "rollout", "--tag", "newer")
	refused("the manifest has another workload", "manifest-target", func() {
		w.write("k8s/worker.yaml", strings.Replace(file, "name: worker\n", "name: other\n", 1))
	}, "rollout", "--tag", "new")
	w.write("k8s/worker.yaml", file)

	// The manifest that is stamped and applied includes edits made meanwhile.
	edited := strings.Replace(file, "terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 1", 1)
	w.whileWaiting(0, func() { w.write("k8s/worker.yaml", edited) }, "rollout", "--tag", "new")
	if d := w.deployment(0); w.tag(0) != "new" || *d.Spec.Template.Spec.TerminationGracePeriodSeconds != 1 {
		t.Errorf("runs %s", w.tag(0))
	}

	// An undo is meant for what was running when it was started.
	refused("another rolled out", "changed-meanwhile", func() { w.byHand("old") }, "undo")
	w.until(func() bool {
		d := w.deployment(0)
		return d.Status.ObservedGeneration >= d.Generation && d.Status.Replicas == 1
	})
	if errs := w.whileWaiting(0, func() { w.byHand("newer2") }, "undo", "--to-revision", "1"); w.tag(0) != "old" || !strings.Contains(errs, "changed-meanwhile") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
}

// TestTheLocksHolderIsWaitedForInMidRollout: a run can wait for the lock while the
// workload is in the middle of the holder's rollout.
func TestTheLocksHolderIsWaitedForInMidRollout(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.byHand("slow")
	w.whileWaiting(0, func() {
		w.byHand("old")
		w.until(func() bool {
			d := w.deployment(0)
			s := d.Status
			return s.ObservedGeneration >= d.Generation && s.Replicas == 1 && s.UpdatedReplicas == 1 && s.AvailableReplicas == 1
		})
	}, "rollout", "--tag", "new", "--force-conflicts")
	if w.tag(0) != "new" {
		t.Errorf("runs %s", w.tag(0))
	}
	w.byHand("slow")
	if errs := w.whileWaiting(1, func() {}, "rollout", "--tag", "newer", "--force-conflicts"); w.tag(0) != "slow" || !strings.Contains(errs, "explain mid-rollout") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
}
