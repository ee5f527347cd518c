package verdict_test

import (
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// kubectlSays asks kubectl's own code whether a rollout is complete.
func kubectlSays(t *testing.T, w *workload.Workload) bool {
	t.Helper()
	kind := w.Ref().GVK().GroupKind()
	viewer, err := polymorphichelpers.StatusViewerFor(kind)
	if err != nil {
		t.Fatal(err)
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(w.Object())
	if err != nil {
		t.Fatal(err)
	}
	_, done, err := viewer.Status(&unstructured.Unstructured{Object: object}, 0)
	if err != nil && !strings.Contains(err.Error(), "progress deadline") {
		t.Fatal(err)
	}
	return done && err == nil
}

// The rule for completeness agrees with `kubectl rollout status` in every recorded state.
func TestCompletenessIsKubectls(t *testing.T) {
	files, err := filepath.Glob("testdata/recordings/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		r := load(t, name)
		w := &workload.Workload{Deployment: r.Deployment}
		if ours, theirs := verdict.ByStatus(w, r.now()).State == verdict.Complete, kubectlSays(t, w); ours != theirs {
			t.Errorf("%s: complete is %t, and kubectl says %t", name, ours, theirs)
		}
	}
}

// The same for the counts of a StatefulSet, with and without a partition, and of a
// DaemonSet.
func TestCompletenessOfTheOtherKinds(t *testing.T) {
	checked := map[bool]int{}
	check := func(w *workload.Workload) {
		v := verdict.ByStatus(w, t0)
		theirs := kubectlSays(t, w)
		checked[theirs]++
		if ours := v.State == verdict.Complete; ours != theirs {
			t.Errorf("complete is %t, and kubectl says %t: %+v", ours, theirs, w.Object())
		}
	}
	three := int32(3)
	for _, partition := range []int32{0, 1, 3} {
		for updated := range int32(4) {
			for ready := range int32(4) {
				for _, revision := range []string{"a", "b"} {
					s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "w", Generation: 2}, Spec: appsv1.StatefulSetSpec{Replicas: &three},
						Status: appsv1.StatefulSetStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: updated, ReadyReplicas: ready, AvailableReplicas: ready,
							CurrentRevision: "a", UpdateRevision: revision}}
					s.Spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
					if partition > 0 {
						s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition}
					}
					if revision == "a" {
						s.Status.UpdatedReplicas = 3 // all pods have the only revision
					}
					check(&workload.Workload{StatefulSet: s})
				}
			}
		}
	}
	for updated := range int32(4) {
		for available := range int32(4) {
			d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "w", Generation: 2}, Status: appsv1.DaemonSetStatus{
				ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: updated, NumberAvailable: available}}
			d.Spec.UpdateStrategy.Type = appsv1.RollingUpdateDaemonSetStrategyType
			check(&workload.Workload{DaemonSet: d})
		}
	}
	if checked[true] == 0 || checked[false] == 0 {
		t.Errorf("checked %v", checked)
	}
}
