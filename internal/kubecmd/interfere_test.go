package kubecmd

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// An interferer changes the worker as somebody else does during a run.
type interferer struct {
	who string
	do  func(*world)
	// manager is named in the findings if the run ends because of it.
	manager string
}

const byHand = "by-hand"

var (
	nobody   = interferer{who: "nobody", do: func(*world) {}}
	setImage = interferer{"set image", func(w *world) { w.byHand("newer") }, byHand}
	setBack  = interferer{"set image back", func(w *world) {
		w.patch(0, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"`+w.before.Spec.Template.Spec.Containers[0].Image+`"}]}}}}`)
	}, byHand}
	restart = interferer{"restart", func(w *world) {
		w.patch(0, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	}, byHand}
	reloader = interferer{"Reloader", func(w *world) {
		w.patch(0, `{"spec":{"template":{"metadata":{"annotations":{"reloader.stakater.com/last-reloaded-from":"secret"}},
			"spec":{"containers":[{"name":"worker","env":[{"name":"STAKATER_KEYS_SECRET","value":"1"}]}]}}}}`)
	}, byHand}
	variable = interferer{"a variable", func(w *world) {
		w.patch(0, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"HOTFIX","value":"1"}]}]}}}}`)
	}, byHand}
	scale    = interferer{"an autoscaler", func(w *world) { w.patch(0, `{"spec":{"replicas":2}}`) }, byHand}
	pause    = interferer{"a pause", func(w *world) { w.pause(0, true) }, byHand}
	lostLock = interferer{"a lost lock", (*world).steal, "carol@laptop"}
	otherRun = interferer{"another run", func(w *world) { w.byHand("newer"); w.steal() }, "carol@laptop"}
	gitOps   = interferer{"GitOps", func(w *world) { w.gitOps("newer") }, "kustomize-controller"}
	remove   = interferer{who: "deletion", do: func(w *world) {
		if err := w.kubes[0].AppsV1().Deployments(w.ns).Delete(w.Context(), "worker", metav1.DeleteOptions{}); err != nil {
			w.Fatal(err)
		}
	}}
	ending = interferer{who: "a deletion that waits", do: func(w *world) {
		w.patch(0, `{"metadata":{"finalizers":["example.test/hold"]}}`)
		foreground := metav1.DeletePropagationForeground
		if err := w.kubes[0].AppsV1().Deployments(w.ns).Delete(w.Context(), "worker", metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
			w.Fatal(err)
		}
	}}
	recreate = interferer{"recreation", func(w *world) {
		remove.do(w)
		d := w.before.DeepCopy()
		d.ObjectMeta = metav1.ObjectMeta{Name: "worker", Namespace: w.ns}
		d.Spec.Template.Spec.Containers[0].Image = w.registry + "/o/w:newer"
		if _, err := w.kubes[0].AppsV1().Deployments(w.ns).Create(w.Context(), d, metav1.CreateOptions{FieldManager: byHand}); err != nil {
			w.Fatal(err)
		}
	}, byHand}
	selector = interferer{"a selector", func(w *world) {
		if _, err := w.kubes[0].CoreV1().Services(w.ns).Patch(w.Context(), "worker", types.MergePatchType,
			[]byte(`{"spec":{"selector":{"tier":"theirs"}}}`), metav1.PatchOptions{FieldManager: byHand}); err != nil {
			w.Fatal(err)
		}
	}, byHand}
)

// A cell is one run that somebody interferes with, and how it ends.
type cell struct {
	interferer
	stage string // the stage at whose start somebody interferes
	fails bool   // whether the new version fails
	end   pipeline.End
	code  pipeline.Code // of the finding that ended the run; empty: not asserted
	runs  string        // the tag that runs afterwards; empty: nothing runs
	file  string        // the tag in the manifest file
}

const done, restored, left, unchanged = pipeline.Done, pipeline.Restored, pipeline.Left, pipeline.Unchanged

// TestNobodyIsOverwritten: each cell says who interferes in which stage, and what must
// be left behind. The rollout fails in its probe unless it is expected to succeed.
func TestNobodyIsOverwritten(t *testing.T) {
	t.Parallel()
	for _, c := range []cell{
		{nobody, "probe", true, restored, "", "old", "old"},
		{nobody, "probe", false, done, "", "new", "new"},
		// Before the cluster is changed, only the file has been, and it is restored.
		// Until the apply, a rollout accepts any image that somebody sets, and
		// that is what it restores.
		{setImage, "stamp", false, done, "", "new", "new"},
		{setImage, "stamp", true, restored, "", "newer", "old"},
		{setImage, "apply", false, done, "", "new", "new"},
		{setImage, "apply", true, restored, "", "newer", "old"},
		{setImage, "watch", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "probe", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "probe", true, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "settle", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "undo apply", true, left, workload.CodeSuperseded, "newer", "newer"},
		{setBack, "probe", false, left, workload.CodeSuperseded, "old", "old"},
		{gitOps, "watch", false, left, workload.CodeSuperseded, "newer", "newer"},
		{gitOps, "settle", false, left, workload.CodeSuperseded, "newer", "newer"},
		{gitOps, "undo apply", true, left, workload.CodeSuperseded, "newer", "newer"},
		{restart, "apply", true, restored, "", "old", "old"},
		{restart, "watch", false, done, "", "new", "new"},
		{restart, "probe", false, done, "", "new", "new"},
		{restart, "settle", false, done, "", "new", "new"},
		{restart, "probe", true, left, workload.CodeSuperseded, "new", "new"},
		{reloader, "watch", false, done, "", "new", "new"},
		{reloader, "settle", false, done, "", "new", "new"},
		{reloader, "undo apply", true, left, workload.CodeSuperseded, "new", "new"},
		{variable, "settle", false, done, "", "new", "new"},
		{variable, "undo apply", true, left, workload.CodeSuperseded, "new", "new"},
		{lostLock, "stamp", false, unchanged, lock.CodeLost, "old", "old"},
		{lostLock, "apply", false, unchanged, lock.CodeLost, "old", "old"},
		{lostLock, "watch", true, left, lock.CodeLost, "new", "new"},
		{lostLock, "probe", false, left, lock.CodeLost, "new", "new"},
		{lostLock, "settle", false, left, lock.CodeLost, "new", "new"},
		{lostLock, "undo apply", true, left, lock.CodeLost, "new", "new"},
		{otherRun, "probe", true, left, lock.CodeLost, "newer", "newer"},
		{remove, "stamp", false, unchanged, workload.CodeReplaced, "", "old"},
		{remove, "apply", false, unchanged, workload.CodeReplaced, "", "old"},
		{remove, "watch", false, left, workload.CodeReplaced, "", "new"},
		{remove, "probe", false, left, workload.CodeReplaced, "", "new"},
		{remove, "undo apply", true, left, workload.CodeReplaced, "", "new"},
		{ending, "apply", false, unchanged, verdict.CodeEnding, "old", "old"},
		{ending, "watch", false, left, workload.CodeReplaced, "new", "new"},
		{ending, "probe", false, left, workload.CodeReplaced, "new", "new"},
		{ending, "undo apply", true, left, workload.CodeReplaced, "new", "new"},
		{recreate, "apply", false, unchanged, workload.CodeReplaced, "newer", "old"},
		{recreate, "settle", false, left, workload.CodeReplaced, "newer", "newer"},
		// The API server refuses the whole apply, so that nothing was changed.
		{scale, "apply", false, unchanged, apply.CodeReplicas, "old", "old"},
		{scale, "watch", false, done, "", "new", "new"},
		{scale, "undo apply", true, restored, "", "old", "old"},
		{pause, "apply", false, restored, verdict.CodePaused, "old", "old"},
	} {
		c.try(t, func(t *testing.T) *world {
			w := newWorld(t, 1)
			w.run(0, "rollout", "--tag", "old", "--no-inngest")
			return w
		}, "rollout", "--tag", "new", "--no-inngest")
	}
}

// TestNobodyIsOverwrittenBySwitching does the same for the switch strategy. Until the
// apply, a version other than the one that the preflight saw is a reason to stop: the
// Services would be pinned to pods that are being replaced.
func TestNobodyIsOverwrittenBySwitching(t *testing.T) {
	t.Parallel()
	for _, c := range []cell{
		{setImage, "apply", false, unchanged, workload.CodeSuperseded, "newer", "old"},
		{restart, "apply", false, unchanged, workload.CodeSuperseded, "old", "old"},
		{setImage, "hold", false, left, workload.CodeSuperseded, "newer", "newer"},
		{restart, "hold", false, done, "", "new", "new"},
		{setImage, "switch", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "drain", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "release", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "settle", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setBack, "prove", false, left, workload.CodeSuperseded, "old", "old"},
		{restart, "watch", false, done, "", "new", "new"},
		{restart, "probe", false, done, "", "new", "new"},
		{reloader, "prove", false, done, "", "new", "new"},
		{restart, "switch", false, done, "", "new", "new"},
		{scale, "switch", false, done, "", "new", "new"},
		{selector, "switch", false, restored, handover.CodeForeign, "old", "old"},
		{selector, "drain", false, done, handover.CodeForeign, "new", "new"},
		{selector, "release", false, done, handover.CodeForeign, "new", "new"},
		{lostLock, "apply", false, unchanged, lock.CodeLost, "old", "old"},
		{lostLock, "hold", false, left, lock.CodeLost, "new", "new"},
		{otherRun, "switch", false, left, lock.CodeLost, "newer", "newer"},
		{remove, "switch", false, left, workload.CodeReplaced, "", "new"},
		{recreate, "drain", false, left, workload.CodeReplaced, "newer", "newer"},
	} {
		c.try(t, newSwitchWorld, "rollout", "--tag", "new", "--no-inngest", "--strategy", "switch")
	}
}

// TestNobodyIsOverwrittenInRefresh does the same for the stage that registers functions.
func TestNobodyIsOverwrittenInRefresh(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		strategy handover.Strategy
		cell
	}{
		{handover.StrategyRolling, cell{setImage, "refresh", false, left, workload.CodeSuperseded, "newer", "newer"}},
		{handover.StrategyRolling, cell{restart, "refresh", false, done, "", "new", "new"}},
		{handover.StrategySwitch, cell{setImage, "refresh", false, left, workload.CodeSuperseded, "newer", "newer"}},
	} {
		one.who += " by " + string(one.strategy)
		one.try(t, func(t *testing.T) *world {
			w := newWorld(t, 1)
			w.withInngest(nil)
			w.run(0, "rollout", "--tag", "old")
			return w
		}, "rollout", "--tag", "new", "--strategy", string(one.strategy))
	}
}

// TestNobodyIsOverwrittenByRestart does the same for a restart, which leaves the image
// and the manifest file as they are.
func TestNobodyIsOverwrittenByRestart(t *testing.T) {
	t.Parallel()
	for _, c := range []cell{
		{setImage, "apply", false, unchanged, workload.CodeSuperseded, "newer", "old"},
		{setImage, "probe", false, left, workload.CodeSuperseded, "newer", "old"},
		{restart, "settle", false, done, "", "old", "old"},
		{lostLock, "apply", false, unchanged, lock.CodeLost, "old", "old"},
		{recreate, "watch", false, left, workload.CodeReplaced, "newer", "old"},
	} {
		c.try(t, func(t *testing.T) *world {
			w := newWorld(t, 1)
			w.run(0, "rollout", "--tag", "old", "--no-inngest")
			return w
		}, "restart", "--no-inngest")
	}
}

// TestNobodyIsOverwrittenByUndo does the same for an undo from new to old.
func TestNobodyIsOverwrittenByUndo(t *testing.T) {
	t.Parallel()
	for _, c := range []cell{
		// The undo was meant for what was running when it started.
		{setImage, "undo", false, unchanged, workload.CodeSuperseded, "newer", "new"},
		{restart, "undo", false, unchanged, workload.CodeSuperseded, "new", "new"},
		{recreate, "undo", false, unchanged, workload.CodeReplaced, "newer", "new"},
		{lostLock, "undo", false, unchanged, lock.CodeLost, "new", "new"},
		{setImage, "manifest", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setImage, "probe", false, left, workload.CodeSuperseded, "newer", "newer"},
		{setBack, "settle", false, left, workload.CodeSuperseded, "new", "new"},
		{gitOps, "watch", false, left, workload.CodeSuperseded, "newer", "newer"},
		{restart, "probe", false, done, "", "old", "old"},
		{restart, "probe", true, left, workload.CodeSuperseded, "old", "old"},
		{scale, "watch", false, done, "", "old", "old"},
		{lostLock, "probe", false, left, lock.CodeLost, "old", "old"},
	} {
		c.try(t, func(t *testing.T) *world {
			w := newWorld(t, 1)
			w.run(0, "rollout", "--tag", "old", "--no-inngest")
			w.run(0, "rollout", "--tag", "new", "--no-inngest")
			return w
		}, "undo", "--no-inngest")
	}
}

// try runs one cell.
func (c cell) try(t *testing.T, begin func(t *testing.T) *world, args ...string) {
	t.Run(strings.ReplaceAll(fmt.Sprintf("%s in %s fails %t", c.who, c.stage, c.fails), " ", "_"), func(t *testing.T) {
		w := begin(t)
		w.before = w.deployment(0)
		if c.fails { // immediately and permanently
			w.page.duplicates.Store(true)
		}
		var theirs *corev1.PodTemplateSpec
		r, out := w.runInterrupted(c.stage, func(context.CancelCauseFunc) {
			c.do(w)
			if c.runs != "" {
				theirs = &w.deployment(0).Spec.Template
			}
		}, args...)
		if out.End != c.end || c.code != "" && !slices.Contains(codes(out), c.code) {
			t.Errorf("ended %s with %v, want %s with %s", out.End.Word(), codes(out), c.end.Word(), c.code)
		}
		if now := w.now(0); now != c.runs {
			t.Errorf("runs %q, want %q", now, c.runs)
		}
		if file := w.read("k8s/worker.yaml"); !regexp.MustCompile(`/o/w:` + c.file + `[@ ]`).MatchString(file) {
			t.Errorf("the file does not name %s:\n%s", c.file, file)
		}
		if args[0] == "rollout" && !slices.Contains(args, "switch") {
			if restored := r.Result(out).Restored; len(restored) > 0 != (c.end == pipeline.Restored || c.end == pipeline.Unchanged) {
				t.Errorf("restored %q at the end %s", restored, c.end.Word())
			}
		}
		c.theirs(w, theirs)
		c.named(t, out)
		if c.code == lock.CodeLost {
			return // whatever is held is for the other run to deal with
		}
		if journals, err := filepath.Glob(filepath.Join(w.state, "sbw/journal/*")); err != nil || len(journals) > 0 {
			t.Errorf("a later run would restore what is not ours: %v %v", journals, err)
		}
		if slices.Contains(args, "switch") && c.runs != "" && c.who != selector.who {
			w.released()
		}
	})
}

// theirs compares the state with what the interferer set.
func (c cell) theirs(w *world, set *corev1.PodTemplateSpec) {
	w.Helper()
	if c.who == selector.who {
		if now := w.service().Spec.Selector; len(now) != 2 || now["tier"] != "theirs" {
			w.Errorf("their selector is %v", now)
		}
	}
	if c.runs == "" {
		return
	}
	live := w.deployment(0)
	if c.who == scale.who && *live.Spec.Replicas != 2 {
		w.Errorf("they had scaled to 2, and now it is %d", *live.Spec.Replicas)
	}
	template := &live.Spec.Template
	switch c.code {
	case workload.CodeSuperseded, workload.CodeReplaced, lock.CodeLost:
		if c.end == left && !verdict.SameTemplate(set, template) {
			w.Errorf("the pod template is no longer theirs: %+v", template)
		}
	}
	for k := range set.Annotations {
		if _, kept := template.Annotations[k]; !kept {
			w.Errorf("their annotation %s is gone", k)
		}
	}
	for _, v := range set.Spec.Containers[0].Env {
		if !slices.Contains(template.Spec.Containers[0].Env, v) {
			w.Errorf("their variable %s is gone", v.Name)
		}
	}
	if c.end == left && c.who == setImage.who && strings.HasPrefix(live.Annotations[apply.ChangeCause], "sbw ") {
		w.Errorf("their revision has our cause: %v", live.Annotations)
	}
}

// named makes sure that a run that ended because of an interferer names it.
func (c cell) named(t *testing.T, out pipeline.Outcome) {
	t.Helper()
	if c.manager == "" || c.code == "" {
		return
	}
	if !slices.ContainsFunc(out.All(), func(f *pipeline.Finding) bool {
		text, err := json.Marshal(f)
		return err == nil && strings.Contains(string(text), c.manager)
	}) {
		t.Errorf("%s is not named: %v", c.manager, out.All())
	}
}

// TestFirstRolloutOfTwo: somebody else creates the workload while this run, whose preflight
// found none, is about to.
func TestFirstRolloutOfTwo(t *testing.T) {
	for _, stage := range []string{"stamp", "apply"} {
		w := newWorld(t, 1)
		_, out := w.runInterrupted(stage, func(context.CancelCauseFunc) {
			var d appsv1.Deployment
			if err := yaml.Unmarshal(fmt.Appendf(nil, worldManifest, w.registry+"/o/w:newer"), &d); err != nil {
				t.Fatal(err)
			}
			if _, err := w.kubes[0].AppsV1().Deployments(w.ns).Create(w.Context(), &d, metav1.CreateOptions{FieldManager: byHand}); err != nil {
				t.Fatal(err)
			}
		}, "rollout", "--tag", "new", "--no-inngest")
		if out.End != unchanged || !slices.Contains(codes(out), workload.CodeReplaced) {
			t.Errorf("ended %s with %v", out.End.Word(), codes(out))
		}
		if w.tag(0) != "newer" || !strings.Contains(w.read("k8s/worker.yaml"), "/o/w:none ") {
			t.Errorf("runs %s, and the file is\n%s", w.tag(0), w.read("k8s/worker.yaml"))
		}
		cell{interferer: interferer{manager: byHand}, code: workload.CodeReplaced}.named(t, out)
	}
}

// TestSharedObjectStays: two first rollouts share a ConfigMap. The one that has created it
// fails, and does not take it away from the other, which has found it as it should be.
func TestSharedObjectStays(t *testing.T) {
	for _, shared := range []bool{false, true} {
		w := newWorld(t, 1)
		w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "          readinessProbe:", "          envFrom: [{configMapRef: {name: shared}}]\n          readinessProbe:", 1)+
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {a: b}\n")
		w.page.duplicates.Store(true)
		_, out := w.runInterrupted("probe", func(context.CancelCauseFunc) {
			if !shared {
				return
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c",
				EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shared"}}}}}}}}
			if _, err := w.kubes[0].CoreV1().Pods(w.ns).Create(w.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}, "rollout", "--tag", "new", "--no-inngest")
		if out.End != restored {
			t.Errorf("ended %s: %v", out.End.Word(), out.Err)
		}
		_, err := w.kubes[0].CoreV1().ConfigMaps(w.ns).Get(w.Context(), "shared", metav1.GetOptions{})
		if stays := err == nil; stays != shared || shared != slices.Contains(codes(out), apply.CodeRestoreLeft) {
			t.Errorf("shared %t: %v, and the run reported %v", shared, err, codes(out))
		}
	}
}
