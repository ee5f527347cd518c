package rollout

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// unstick deletes the pods of a StatefulSet that are not ready and belong to another
// revision than the one it should have now. Its controller waits for each pod to become
// available before it replaces another, so a pod that never becomes available would
// block its own replacement forever (kubernetes.io: StatefulSets, "Forced rollback").
// With podManagementPolicy Parallel the controller does not wait.
//
// These pods are replaced in any case, so a failure to delete one is a warning.
func (t *Target) unstick(ctx context.Context, rep *pipeline.Reporter, target *workload.Workload) error {
	if target == nil || target.StatefulSet == nil || target.StatefulSet.Spec.PodManagementPolicy == appsv1.ParallelPodManagement {
		return nil
	}
	w, err := t.caughtUp(ctx, target)
	if err != nil {
		return err
	}
	if seen, now := verdict.Observed(w); seen < now || w.StatefulSet == nil {
		return nil // the revision that it should have is not known
	}
	kube, err := t.Conn.Kube()
	if err != nil {
		return err
	}
	pods := kube.CoreV1().Pods(t.Ref.Namespace)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: w.Selector().String()})
	if err != nil {
		return cluster.Explain("list the pods of "+t.Ref.String(), err)
	}
	for i := range list.Items {
		p := &list.Items[i]
		if p.Labels[appsv1.ControllerRevisionHashLabelKey] == w.StatefulSet.Status.UpdateRevision || p.DeletionTimestamp != nil ||
			podutils.IsPodReady(p) ||
			!metav1.IsControlledBy(p, w.StatefulSet) {
			continue
		}
		writing, done := cluster.Writing(ctx)
		err := pods.Delete(writing, p.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}})
		done()
		switch {
		case err == nil:
			rep.Notef("deleting pod %s of the previous revision: it is not ready, and %s would wait for it", p.Name, t.Ref)
		case !apierrors.IsNotFound(err) && !apierrors.IsConflict(err):
			rep.Finding(
				&pipeline.Finding{
					Code:     CodeStatefulSetStuck,
					Severity: pipeline.Warning,
					Where:    t.Ref.Namespace + "/" + t.Ref.String(),
					Err:      err,
					What: fmt.Sprintf(
						"pod %s is not ready and could not be deleted, so %s may wait for it forever",
						p.Name,
						t.Ref,
					),
					Why: termtext.Line(err.Error()),
					Fix: fmt.Sprintf("delete it: `kubectl delete pod %s -n %s`", p.Name, t.Ref.Namespace),
				},
			)
		}
	}
	return nil
}
