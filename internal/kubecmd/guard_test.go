package kubecmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// options are what a command line means.
func (w *world) options(args ...string) *rolloutOptions {
	w.Helper()
	k := &factory{env: w.env, flags: genericclioptions.NewConfigFlags(true)}
	cache := filepath.Join(w.dir, "cache")
	k.flags.CacheDir = &cache
	if len(w.as) > 0 {
		*k.flags.Impersonate = w.as[1]
	}
	var o *rolloutOptions
	read := func(_ context.Context, got *rolloutOptions) error {
		o = got
		return nil
	}
	c := newRollout(k, read)
	if args[0] == "undo" {
		c = newUndo(k, read)
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
	r := rollout.NewRollout(o.Target, o.Options, cancel)
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

// steal makes somebody else the holder of the lock, as a run does that takes an
// expired one over.
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

// gitOps applies the worker's Deployment as a GitOps controller does: by server-side
// apply under its own manager, over everybody.
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

// TestNobodyIsOverwritten: who interferes, in which stage, and what must be left
// behind. The rollout fails in its probe unless it is to end well.
func TestNobodyIsOverwritten(t *testing.T) {
	nobody := func(*world) {}
	setImage := func(w *world) { w.byHand("newer") }
	restart := func(w *world) {
		w.patch(0, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	}
	reloader := func(w *world) {
		w.patch(0, `{"spec":{"template":{"metadata":{"annotations":{"reloader.stakater.com/last-reloaded-from":"secret"}},
			"spec":{"containers":[{"name":"worker","env":[{"name":"STAKATER_KEYS_SECRET","value":"1"}]}]}}}}`)
	}
	variable := func(w *world) {
		w.patch(0, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"HOTFIX","value":"1"}]}]}}}}`)
	}
	scale := func(w *world) { w.patch(0, `{"spec":{"replicas":2}}`) }
	remove := func(w *world) {
		if err := w.kubes[0].AppsV1().Deployments(w.ns).Delete(w.Context(), "worker", metav1.DeleteOptions{}); err != nil {
			w.Fatal(err)
		}
	}
	gitOps := func(w *world) { w.gitOps("newer") }
	const done, restored, left, unchanged = pipeline.Done, pipeline.Restored, pipeline.Left, pipeline.Unchanged
	for _, tc := range []struct {
		who   string
		do    func(*world)
		stage string
		fails bool // the new version
		end   pipeline.End
		code  pipeline.Code // of what ended it; empty: not asserted
		runs  string        // afterwards; empty: nothing
		file  string        // the tag that the manifest's file names
	}{
		{"nobody", nobody, "probe", true, restored, "", "old", "old"},
		{"nobody", nobody, "probe", false, done, "", "new", "new"},
		// Before the cluster is changed, only the file is, and is restored.
		// Until the apply a rollout takes the image, whoever set it last, and
		// what it goes back to is what it found then.
		{"set image", setImage, "stamp", false, done, "", "new", "new"},
		{"set image", setImage, "stamp", true, restored, "", "newer", "old"},
		{"set image", setImage, "apply", false, done, "", "new", "new"},
		{"set image", setImage, "apply", true, restored, "", "newer", "old"},
		{"set image", setImage, "watch", false, left, workload.CodeSuperseded, "newer", "newer"},
		{"set image", setImage, "probe", false, left, workload.CodeSuperseded, "newer", "newer"},
		{"set image", setImage, "probe", true, left, workload.CodeSuperseded, "newer", "newer"},
		{"set image", setImage, "settle", false, left, workload.CodeSuperseded, "newer", "newer"},
		{"set image", setImage, "undo apply", true, left, workload.CodeSuperseded, "newer", "newer"},
		{"GitOps", gitOps, "watch", false, left, workload.CodeSuperseded, "newer", "newer"},
		{"GitOps", gitOps, "settle", false, left, workload.CodeSuperseded, "newer", "newer"},
		{"GitOps", gitOps, "undo apply", true, left, workload.CodeSuperseded, "newer", "newer"},
		{"restart", restart, "apply", true, restored, "", "old", "old"},
		{"restart", restart, "watch", false, done, "", "new", "new"},
		{"restart", restart, "settle", false, done, "", "new", "new"},
		{"restart", restart, "probe", true, left, workload.CodeSuperseded, "new", "new"},
		{"Reloader", reloader, "watch", false, done, "", "new", "new"},
		{"Reloader", reloader, "settle", false, done, "", "new", "new"},
		{"Reloader", reloader, "undo apply", true, left, workload.CodeSuperseded, "new", "new"},
		{"a variable", variable, "settle", false, done, "", "new", "new"},
		{"a variable", variable, "undo apply", true, left, workload.CodeSuperseded, "new", "new"},
		{"another run", (*world).steal, "stamp", false, unchanged, lock.CodeLost, "old", "old"},
		{"another run", (*world).steal, "apply", false, unchanged, lock.CodeLost, "old", "old"},
		{"another run", (*world).steal, "watch", true, left, lock.CodeLost, "new", "new"},
		{"another run", (*world).steal, "probe", false, left, lock.CodeLost, "new", "new"},
		{"another run", (*world).steal, "settle", false, left, lock.CodeLost, "new", "new"},
		{"another run", (*world).steal, "undo apply", true, left, lock.CodeLost, "new", "new"},
		{"another run", func(w *world) { w.byHand("newer"); w.steal() }, "probe", true, left, lock.CodeLost, "newer", "newer"},
		{"deletion", remove, "stamp", false, unchanged, workload.CodeReplaced, "", "old"},
		{"deletion", remove, "apply", false, unchanged, workload.CodeReplaced, "", "old"},
		{"deletion", remove, "watch", false, left, workload.CodeReplaced, "", "new"},
		{"deletion", remove, "probe", false, left, workload.CodeReplaced, "", "new"},
		{"deletion", remove, "undo apply", true, left, workload.CodeReplaced, "", "new"},
		{"an autoscaler", scale, "watch", false, done, "", "new", "new"},
		{"an autoscaler", scale, "undo apply", true, restored, "", "old", "old"},
	} {
		t.Run(strings.ReplaceAll(fmt.Sprintf("%s in %s fails %t", tc.who, tc.stage, tc.fails), " ", "_"), func(t *testing.T) {
			w := newWorld(t, 1)
			w.run(0, "rollout", "--tag", "old", "--no-inngest")
			args := []string{"rollout", "--tag", "new", "--no-inngest"}
			if tc.fails { // at once, and for good
				w.page.duplicates.Store(true)
			}
			var theirs corev1.PodTemplateSpec
			r, out := w.runInterrupted(tc.stage, func(context.CancelCauseFunc) {
				tc.do(w)
				if tc.runs != "" {
					theirs = w.deployment(0).Spec.Template
				}
			}, args...)
			if out.End != tc.end || tc.code != "" && !slices.Contains(codes(out), tc.code) {
				t.Errorf("ended %s with %v, want %s with %s", out.End.Word(), codes(out), tc.end.Word(), tc.code)
			}
			if now := w.now(0); now != tc.runs {
				t.Errorf("runs %q, want %q", now, tc.runs)
			}
			if file := w.read("k8s/worker.yaml"); !regexp.MustCompile(`/o/w:` + tc.file + `[@ ]`).MatchString(file) {
				t.Errorf("the file names another than %s:\n%s", tc.file, file)
			}
			if restored := r.Result(out).Restored; len(restored) > 0 != (tc.end == pipeline.Restored || tc.end == pipeline.Unchanged) {
				t.Errorf("restored %q at the end %s", restored, tc.end.Word())
			}
			if tc.end != pipeline.Left {
				return
			}
			if tc.runs != "" && !verdict.SameTemplate(&theirs, &w.deployment(0).Spec.Template) {
				t.Errorf("the pod template is no longer theirs: %+v", w.deployment(0).Spec.Template)
			}
			if tc.who == "set image" && strings.HasPrefix(w.deployment(0).Annotations[apply.ChangeCause], "sbw ") {
				t.Errorf("their revision has our cause: %v", w.deployment(0).Annotations)
			}
			for _, f := range out.All() {
				if f.Code == workload.CodeSuperseded && !strings.Contains(f.Why, "by-hand") && !strings.Contains(f.Why, "kustomize-controller") {
					t.Errorf("the other is not named: %+v", f)
				}
			}
			journals, err := filepath.Glob(filepath.Join(w.dir, "state/sbw/journal/*"))
			if err != nil || len(journals) > 0 && tc.code != lock.CodeLost {
				t.Errorf("a later run is to put back what is not ours: %v %v", journals, err)
			}
		})
	}
}

// TestInterruptAfterTheProof: whoever presses Ctrl-C while old pods end keeps
// the release, which is proven, and a later run finds nothing to go on with.
func TestInterruptAfterTheProof(t *testing.T) {
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
			if kept, err := os.ReadDir(filepath.Join(w.dir, "state/sbw/journal")); err != nil || len(kept) > 0 {
				t.Errorf("a journal is left: %v %v", kept, err)
			}
		})
	}
}
