package preflight

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Namespace checks whether a namespace is being deleted: then the API server
// still accepts changes in it, but no new pods. Without permission to read
// namespaces it uses a dry run of creating a Lease, which a rollout does
// anyway. Finding: namespace-terminating. A namespace that does not exist is
// not reported: the manifest may create it.
func Namespace(ctx context.Context, kube kubernetes.Interface, name string) ([]*pipeline.Finding, error) {
	ending := func(why string) []*pipeline.Finding {
		return []*pipeline.Finding{
			finding(
				pipeline.Error,
				verdict.CodeNamespaceEnding,
				name,
				"namespace "+name+" is being deleted, so no new pods can be created in it",
				why,
				"find out who deleted it, and roll out once it has been recreated, or use another one",
			),
		}
	}
	ns, err := kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil && (ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating):
		return ending(waitsFor(ns)), nil
	case err == nil || apierrors.IsNotFound(err):
		return nil, nil
	case !apierrors.IsForbidden(err):
		return nil, cluster.Explain("read namespace "+name, err)
	}
	probe := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{GenerateName: "sbw-", Namespace: name}}
	_, err = kube.CoordinationV1().
		Leases(name).
		Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: cluster.FieldManager})
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return ending(err.Error()), nil
	}
	return nil, nil // the other checks find everything else that is wrong with it
}

// waitsFor returns what prevents a namespace from disappearing.
func waitsFor(ns *corev1.Namespace) string {
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue && c.Message != "" {
			return c.Message
		}
	}
	return ""
}
