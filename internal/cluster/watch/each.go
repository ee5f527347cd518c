package watch

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// Each calls seen with the present state of a workload and with each later one, until ctx
// ends or the user turns out to lack a permission. The end of a watch, or an API server
// that is away for a while, only delays it.
func Each(ctx context.Context, kube kubernetes.Interface, ref workload.Ref, seen func(*workload.Workload)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &feed[metav1.Object]{
		keep: func(o metav1.Object) bool { seen(workload.Of(o)); return false },
		trim: func(metav1.Object) {}, // who owns which field is read
		news: func() {},
		hear: func(err error) {
			if err != nil && !isAway(err) {
				cancel()
			}
		},
	}
	calls, example := workloadCalls(kube, ref)
	f.run(ctx, calls, example, byName(ref))
}

// workloadCalls returns the calls for the workload's kind, and an object of that kind.
func workloadCalls(kube kubernetes.Interface, ref workload.Ref) (listWatch, runtime.Object) {
	apps, ns := kube.AppsV1(), ref.Namespace
	switch ref.Kind {
	case workload.StatefulSet:
		return calls(apps.StatefulSets(ns).List, apps.StatefulSets(ns).Watch), &appsv1.StatefulSet{}
	case workload.DaemonSet:
		return calls(apps.DaemonSets(ns).List, apps.DaemonSets(ns).Watch), &appsv1.DaemonSet{}
	}
	return calls(apps.Deployments(ns).List, apps.Deployments(ns).Watch), &appsv1.Deployment{}
}

func byName(ref workload.Ref) func(*metav1.ListOptions) {
	return func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", ref.Name).String()
	}
}
