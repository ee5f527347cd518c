package workload_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

func TestAllKinds(t *testing.T) {
	three := int32(3)
	meta := metav1.ObjectMeta{Namespace: "ns", Name: "w", Generation: 4}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "w"}}
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}, InitContainers: []corev1.Container{{Name: "init", Image: "y"}}}}
	kube := fake.NewClientset(
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &three, Selector: selector, Template: template}},
		&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template}},
		&appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}, Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 7}},
	)
	for kind, replicas := range map[string]int32{workload.Deployment: 3, workload.StatefulSet: 1, workload.DaemonSet: 7} {
		ref := workload.Ref{Kind: kind, Namespace: "ns", Name: "w"}
		w, err := workload.Get(t.Context(), kube, ref)
		if err != nil {
			t.Fatal(err)
		}
		if w.Ref() != ref || w.Replicas() != replicas || w.Object().GetGeneration() != 4 ||
			!w.Selector().Matches(labels.Set{"app": "w"}) || w.Selector().Matches(labels.Set{"app": "v"}) {
			t.Errorf("%s: %+v", kind, w)
		}
		if ref.String() != strings.ToLower(kind)+"/w" || ref.Resource().Resource != strings.ToLower(kind)+"s" || ref.GVK().Kind != kind {
			t.Errorf("%s %s %s", ref, ref.Resource(), ref.GVK())
		}
		for name, image := range map[string]string{"c": "x", "init": "y"} {
			c, err := w.Container(name)
			if err != nil || c.Image != image {
				t.Errorf("%s: %v %v", kind, c, err)
			}
		}
		if _, err := w.Container("none"); code(err) != "container-unknown" || !strings.Contains(err.Error(), "c, init") {
			t.Error(err)
		}
	}
}

func TestFindings(t *testing.T) {
	kube := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}})
	if _, err := workload.Get(t.Context(), kube, workload.Ref{Kind: "CronJob", Name: "w"}); code(err) != "workload-kind" {
		t.Error(err)
	}
	_, err := workload.Get(t.Context(), kube, workload.Ref{Kind: workload.Deployment, Namespace: "none", Name: "w"})
	if code(err) != "namespace-missing" || !errors.Is(err, workload.ErrUnknown) || !errors.Is(err, workload.ErrNoNamespace) {
		t.Error(err)
	}
	ref := workload.Ref{Kind: workload.Deployment, Namespace: "ns", Name: "w"}
	if _, err := workload.Get(t.Context(), kube, ref); code(err) != "workload-unknown" || !apierrors.IsNotFound(errors.Unwrap(err)) {
		t.Error(err)
	}
	kube.PrependReactor("get", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "w", errors.New("no"))
	})
	if _, err := workload.Get(t.Context(), kube, ref); code(err) != "cluster-forbidden" {
		t.Error(err)
	}
	if workload.Of(&corev1.Pod{}) != nil {
		t.Error("a pod is not a workload")
	}
}
