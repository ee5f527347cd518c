package watch

import (
	"context"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// start starts one feed for each kind and returns a function that waits until they have
// ended.
func (f *follower) start(ctx context.Context, kube kubernetes.Interface) (wait func()) {
	var wg sync.WaitGroup
	ns := f.ref.Namespace
	apps, core := kube.AppsV1(), kube.CoreV1()
	byLabel := func(o *metav1.ListOptions) { o.LabelSelector = f.Applied.Selector().String() }

	f.workloads = newFeed(f, f.workloadKind(), all[metav1.Object], func(metav1.Object) {})
	list, example := workloadCalls(kube, f.ref)
	run(ctx, &wg, f.workloads, list, example, byName(f.ref))
	if f.ref.Kind == workload.Deployment {
		f.replicaSets = newFeed(f, "replicasets", all[*appsv1.ReplicaSet], dropManaged[*appsv1.ReplicaSet])
		run(ctx, &wg, f.replicaSets, calls(apps.ReplicaSets(ns).List, apps.ReplicaSets(ns).Watch), &appsv1.ReplicaSet{}, byLabel)
	} else {
		f.revisions = newFeed(f, "controllerrevisions", all[*appsv1.ControllerRevision], trimRevision)
		run(
			ctx,
			&wg,
			f.revisions,
			calls(apps.ControllerRevisions(ns).List, apps.ControllerRevisions(ns).Watch),
			&appsv1.ControllerRevision{},
			byLabel,
		)
	}
	f.pods = newFeed(f, "pods", all[*corev1.Pod], trimPod)
	run(ctx, &wg, f.pods, calls(core.Pods(ns).List, core.Pods(ns).Watch), &corev1.Pod{}, byLabel)

	f.events = newFeed(f, "events", f.concerns, trimEvent)
	run(ctx, &wg, f.events, calls(core.Events(ns).List, core.Events(ns).Watch), &corev1.Event{}, informative)
	return wg.Wait
}

func (f *follower) workloadKind() string { return strings.ToLower(f.ref.Kind) + "s" }

func all[T any](T) bool { return true }

// boring are reasons of events that never reveal a cause and that come with
// every pod: the API server leaves them out.
var boring = []string{
	"Scheduled",
	"Pulling",
	"Pulled",
	"Created",
	"Started",
	"SuccessfulCreate",
	"SuccessfulDelete",
	"ScalingReplicaSet",
	"BackOff",
	"SuccessfulRescale",
}

// informative leaves out the events that never reveal a cause.
func informative(o *metav1.ListOptions) {
	terms := make([]fields.Selector, 0, len(boring))
	for _, reason := range boring {
		terms = append(terms, fields.OneTermNotEqualSelector("reason", reason))
	}
	o.FieldSelector = fields.AndSelectors(terms...).String()
}

// concerns keeps events about this workload, its ReplicaSets and pods, by name:
// names of what a controller creates begin with its own, truncated if they
// would be too long (names.go of apiserver: 58 characters).
func (f *follower) concerns(e *corev1.Event) bool {
	switch e.InvolvedObject.Kind {
	case workload.Deployment, workload.StatefulSet, workload.DaemonSet, "ReplicaSet", "Pod":
		return strings.HasPrefix(e.InvolvedObject.Name, f.ref.Name[:min(len(f.ref.Name), 40)])
	}
	return false
}

func trimRevision(r *appsv1.ControllerRevision) { r.ManagedFields, r.Data.Raw = nil, nil }

func newFeed[T metav1.Object](f *follower, kind string, keep func(T) bool, trim func(T)) *feed[T] {
	return &feed[T]{
		keep: keep, trim: trim,
		news: func() {
			select {
			case f.news <- struct{}{}:
			default: // a signal is already waiting
			}
		},
		hear: func(err error) {
			select {
			case f.bad <- trouble{kind, err}:
			default: // enough signals are already waiting
			}
		},
	}
}

func run[T metav1.Object](
	ctx context.Context,
	wg *sync.WaitGroup,
	f *feed[T],
	c listWatch,
	example runtime.Object,
	by func(*metav1.ListOptions),
) {
	wg.Go(func() { f.run(ctx, c, example, by) })
}

// listWatch holds the two calls of a typed client.
type listWatch struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (apiwatch.Interface, error)
}

// calls accepts the two methods of a typed client unchanged.
func calls[L runtime.Object](
	list func(context.Context, metav1.ListOptions) (L, error),
	watch func(context.Context, metav1.ListOptions) (apiwatch.Interface, error),
) listWatch {
	return listWatch{watch: watch, list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		l, err := list(ctx, o)
		if err != nil {
			return nil, err // not a typed nil
		}
		return l, nil
	}}
}
