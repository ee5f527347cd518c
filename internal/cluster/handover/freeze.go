package handover

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// From the switch until the release the Services select pods that the Deployment's
// controller does not count as available. If somebody set another pod template in that
// time, the controller would terminate those pods at once, before their replacements run
// (cleanupUnhealthyReplicas in its rolling.go), and the Services would have no endpoints.
// The same happens to the old pods if somebody applies a manifest that names one of the held
// fields. A run that is alive goes back when it notices; one that was killed does not. So
// the Deployment is paused whenever its Services are pinned, except while its controller
// creates the new pods, which takes a fraction of a second (the pods themselves are made by
// the ReplicaSet's controller, which does not pause). Another template then has no effect
// before somebody releases the hold, and kubectl refuses to restart or undo a paused
// Deployment.
//
// What remains, until a run that was killed is followed by another one: `kubectl replace`
// removes the pause together with the hold, and until it gets to the Services of the same
// manifest, they select pods that are terminated. Scaling to 0 and up again before the switch
// brings up the new version alone, while the Services select the old one: see silent. And
// even while it is paused, the controller terminates all other pods as soon as those of the
// present template are available (IsSaturated in its sync.go): the new ones when somebody
// applies the old template after the switch, and the old ones when somebody applies the new
// template with a minReadySeconds of the manifest before it.

// pauseCreated pauses the held Deployment when all pods of its version have been created,
// and resumes it if somebody has changed the template of a paused one: the run follows the
// pods of the changed template.
func (r *Run) pauseCreated(ctx context.Context, s verdict.Snapshot) error {
	d := s.Workload.Deployment
	mark, err := MarkOf(d)
	if err != nil || mark == nil {
		return err
	}
	switch fresh := verdict.NewReplicaSet(d, slices.Clone(s.ReplicaSets)); {
	case fresh == nil && mark.Paused:
		return r.Thaw(ctx)
	case fresh != nil && !mark.Paused && fresh.Spec.Replicas != nil && *fresh.Spec.Replicas >= s.Workload.Replicas():
		return r.freeze(ctx, fresh.Labels[hashLabel])
	}
	return nil
}

const pausedPath = "/spec/paused"

// freeze pauses the held Deployment, which must still have the version to. A Deployment
// that somebody else has paused stays theirs to resume.
func (r *Run) freeze(ctx context.Context, to string) error {
	var try cluster.Attempts
	for {
		s, err := r.Read(ctx)
		if err != nil {
			return err
		}
		switch {
		case s.Mark == nil:
			return r.foreign(r.Ref.String(), "it is no longer held back", "")
		case s.current() != to:
			return r.foreign(r.Ref.String(), "its pod template was changed", writers(s.Deployment.ManagedFields))
		case s.Deployment.Spec.Paused:
			return nil
		}
		frozen := *s.Mark
		frozen.Paused = true
		text, err := encode(frozen)
		if err != nil {
			return err
		}
		_, err = r.patchDeployment(ctx, []apply.Operation{
			{Op: "test", Path: "/metadata/uid", Value: s.Deployment.UID},
			{Op: "test", Path: markPath, Value: s.Deployment.Annotations[Annotation]},
			// The template is still the one that was read.
			{Op: "test", Path: "/metadata/generation", Value: s.Deployment.Generation},
			{Op: "replace", Path: markPath, Value: text},
			{Op: "add", Path: pausedPath, Value: true},
		})
		if !stale(err) || !try.More(ctx) {
			return r.explain("pause "+r.Ref.String(), err)
		}
	}
}

// Thaw resumes a Deployment that a hand-over has paused. The caller must have pointed
// the Services to the old version.
func (r *Run) Thaw(ctx context.Context) error {
	var try cluster.Attempts
	for {
		s, err := r.Read(ctx)
		if err != nil || s.Mark == nil || !s.Mark.Paused {
			return err
		}
		thawed := *s.Mark
		thawed.Paused = false
		text, err := encode(thawed)
		if err != nil {
			return err
		}
		_, err = r.patchDeployment(ctx, append([]apply.Operation{
			{Op: "test", Path: "/metadata/uid", Value: s.Deployment.UID},
			{Op: "test", Path: markPath, Value: s.Deployment.Annotations[Annotation]},
			{Op: "replace", Path: markPath, Value: text},
		}, s.Mark.resume(s.Deployment.Spec.Paused)...))
		if !stale(err) || !try.More(ctx) {
			return r.explain("resume "+r.Ref.String(), err)
		}
	}
}

// resume returns the patch operations that resume a Deployment, if a hand-over has paused
// it and nobody has resumed it since.
func (m *Mark) resume(paused bool) []apply.Operation {
	if !m.Paused || !paused {
		return nil
	}
	return []apply.Operation{{Op: "test", Path: pausedPath, Value: true}, {Op: "remove", Path: pausedPath}}
}

// Thawed returns a workload as it would be if no hand-over had paused it.
func Thawed(w *workload.Workload) *workload.Workload {
	if w == nil || w.Deployment == nil || !w.Deployment.Spec.Paused {
		return w
	}
	if mark, err := MarkOf(w.Deployment); err != nil || mark == nil || !mark.Paused {
		return w
	}
	d := w.Deployment.DeepCopy()
	d.Spec.Paused = false
	return &workload.Workload{Deployment: d}
}

func (r *Run) patchDeployment(ctx context.Context, patch []apply.Operation) (*appsv1.Deployment, error) {
	return write(ctx, r, r.kube.AppsV1().Deployments(r.Ref.Namespace).Patch, r.Ref.Name, patch)
}
