package kubecmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// options returns the options that a command line results in.
func (w *world) options(args ...string) *rolloutOptions {
	w.Helper()
	k := &factory{env: w.env, flags: genericclioptions.NewConfigFlags(true)}
	cache := filepath.Join(w.dir, "cache")
	k.flags.CacheDir, k.flags.KubeConfig = &cache, &w.kubeconfig
	if len(w.as) > 0 {
		*k.flags.Impersonate = w.as[1]
	}
	var o *rolloutOptions
	read := func(_ context.Context, got *rolloutOptions) error {
		o = got
		return nil
	}
	c := newRollout(k, read)
	switch args[0] {
	case "undo":
		c = newUndo(k, read)
	case "restart":
		c = newRestart(k, read)
	}
	c.SetArgs(args[1:])
	c.SetContext(w.Context())
	if err := c.Execute(); err != nil {
		w.Fatal(err)
	}
	return o
}

// runInterrupted runs a rollout and calls do, once, at the moment at which a
// stage starts. The stage begins after do has returned.
func (w *world) runInterrupted(stage string, do func(cancel context.CancelCauseFunc), args ...string) (*rollout.Run, pipeline.Outcome) {
	w.Helper()
	o := w.options(args...)
	ctx, cancel := context.WithCancelCause(w.Context())
	defer cancel(nil)
	prepare := rollout.NewRollout
	switch args[0] {
	case "undo":
		prepare = rollout.NewUndo
	case "restart":
		prepare = rollout.NewRestart
	}
	r := prepare(o.Target, o.Options, cancel)
	var once sync.Once
	out := pipeline.Run(ctx, r.Pipeline, pipeline.SinkFunc(func(e pipeline.Event) {
		if e.Kind == pipeline.StageStarted && e.Stage == stage {
			once.Do(func() { do(cancel) })
		}
	}))
	if err := r.Record(ctx, out); err != nil {
		w.Error(err)
	}
	return r, out
}

func codes(out pipeline.Outcome) (all []pipeline.Code) {
	for _, f := range out.All() {
		all = append(all, f.Code)
	}
	return all
}

// steal makes somebody else the holder of the lock, like a run that takes over an
// expired one.
func (w *world) steal() {
	w.Helper()
	leases := w.kubes[0].CoordinationV1().Leases(w.ns)
	name := lock.Name(workload.Ref{Kind: workload.Deployment, Namespace: w.ns, Name: "worker"})
	if err := leases.Delete(w.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
	who, seconds := "carol@laptop", int32(600)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &who, LeaseDurationSeconds: &seconds}}
	if _, err := leases.Create(w.Context(), lease, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := leases.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			w.Error(err)
		}
	})
}

// gitOps applies the worker's Deployment as a GitOps controller does: with server-side
// apply, under its own manager, forcing conflicts.
func (w *world) gitOps(tag string) {
	w.Helper()
	d := w.deployment(0)
	image := w.registry + "/o/w:" + tag
	body := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"worker","namespace":%q,"labels":{"kustomize.toolkit.fluxcd.io/name":"apps"}},
		"spec":{"selector":{"matchLabels":{"app":"worker"}},"template":{"metadata":{"labels":{"app":"worker"}},"spec":{"containers":[{"name":"worker","image":%q}]}}}}`, d.Namespace, image)
	force := true
	if _, err := w.kubes[0].AppsV1().Deployments(w.ns).Patch(w.Context(), "worker", types.ApplyPatchType, []byte(body),
		metav1.PatchOptions{FieldManager: "kustomize-controller", Force: &force}); err != nil {
		w.Fatal(err)
	}
}

// TestInterruptAfterTheProof: Ctrl-C while old pods end keeps the release, which is
// proven, and a later run finds nothing to continue.
func TestInterruptAfterTheProof(t *testing.T) {
	t.Parallel()
	for stage, want := range map[string]struct {
		end  pipeline.End
		runs string
	}{
		"watch":  {pipeline.Restored, "old"},
		"probe":  {pipeline.Restored, "old"},
		"settle": {pipeline.Left, "new"},
	} {
		t.Run(stage, func(t *testing.T) {
			w := newWorld(t, 1)
			w.run(0, "rollout", "--tag", "old", "--no-inngest")
			_, out := w.runInterrupted(stage, func(cancel context.CancelCauseFunc) { cancel(pipeline.ErrInterrupted) },
				"rollout", "--tag", "new", "--no-inngest")
			if out.End != want.end || out.ExitCode() != int(pipeline.Interrupted) || w.tag(0) != want.runs ||
				!strings.Contains(w.read("k8s/worker.yaml"), ":"+want.runs+"@") {
				t.Errorf("ended %s with exit code %d, runs %s", out.End.Word(), out.ExitCode(), w.tag(0))
			}
			if kept, err := os.ReadDir(filepath.Join(w.state, "sbw/journal")); err != nil || len(kept) > 0 {
				t.Errorf("a journal is left: %v %v", kept, err)
			}
		})
	}
}
