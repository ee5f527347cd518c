package preflight

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// deployment returns a complete rollout of two replicas, altered by each of change.
func deployment(change ...func(*appsv1.Deployment)) *workload.Workload {
	two := int32(2)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "w", UID: "d", Generation: 3},
		Spec: appsv1.DeploymentSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "w"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "w"}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}}}},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2, ReadyReplicas: 2},
	}
	for _, c := range change {
		c(d)
	}
	return &workload.Workload{Deployment: d}
}

func replicaSet(d *appsv1.Deployment) *appsv1.ReplicaSet {
	yes := true
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "w-1", UID: "rs", Labels: map[string]string{"app": "w"},
		OwnerReferences: []metav1.OwnerReference{{UID: d.UID, Controller: &yes, Kind: "Deployment", Name: "w"}}}, Spec: appsv1.ReplicaSetSpec{Template: d.Spec.Template}}
}

func pod(name, waiting string) *corev1.Pod {
	yes := true
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"app": "w"},
		OwnerReferences: []metav1.OwnerReference{{UID: "rs", Controller: &yes, Kind: "ReplicaSet", Name: "w-1"}}},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	if waiting != "" {
		p.Status.Conditions[0].Status = corev1.ConditionFalse
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waiting, Message: "x: not found"}}}}
	}
	return p
}

func forbid(c *fake.Clientset, verb, res string) {
	c.PrependReactor(verb, res, func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: res}, "", fmt.Errorf("not yours"))
	})
}

// brief formats "severity code" of each finding.
func brief(found []*pipeline.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, f.Severity.String()+" "+string(f.Code))
	}
	return all
}

func TestState(t *testing.T) {
	progressing := func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }
	rolledOut := func(d *appsv1.Deployment) {
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"}}
	}
	tests := []struct {
		name string
		w    *workload.Workload
		pods []runtime.Object
		want []string
	}{
		{"complete", deployment(), []runtime.Object{pod("a", ""), pod("b", "")}, nil},
		{"paused", deployment(progressing, func(d *appsv1.Deployment) { d.Spec.Paused = true }), nil, []string{"error paused"}},
		{"rolling", deployment(progressing), []runtime.Object{pod("a", "")}, []string{"error mid-rollout"}},
		{"an autoscaler has added a pod", deployment(progressing, rolledOut), []runtime.Object{pod("a", "")}, nil},
		{"scaled and changed at once", deployment(progressing, rolledOut, func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }), []runtime.Object{pod("a", "")}, []string{"error mid-rollout"}},
		{"not seen yet", deployment(func(d *appsv1.Deployment) { d.Generation = 4 }), nil, []string{"error mid-rollout"}},
		{"scaled up", deployment(progressing, func(d *appsv1.Deployment) {
			d.Status.Replicas, d.Status.UpdatedReplicas = 2, 2
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: "True", Reason: "NewReplicaSetAvailable"}}
		}), []runtime.Object{pod("a", "")}, nil},
		{"scaled up in the middle of a rollout", deployment(progressing, func(d *appsv1.Deployment) {
			d.Status.Replicas, d.Status.UpdatedReplicas = 2, 2
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: "True", Reason: "ReplicaSetUpdated"}}
		}), []runtime.Object{pod("a", "")}, []string{"error mid-rollout"}},
		{"stuck", deployment(progressing), []runtime.Object{pod("a", ""), pod("b", "ErrImagePull")}, []string{"note stuck-rollout"}},
		{"being deleted", deployment(func(d *appsv1.Deployment) {
			d.DeletionTimestamp, d.Finalizers = new(metav1.Now()), []string{"foregroundDeletion"}
		}), nil, []string{"error being-deleted"}},
		{"scaled to nothing", deployment(func(d *appsv1.Deployment) {
			zero := int32(0)
			d.Spec.Replicas, d.Status = &zero, appsv1.DeploymentStatus{ObservedGeneration: 3}
		}), nil, []string{"warning no-replicas"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := fake.NewClientset(append(tt.pods, replicaSet(tt.w.Deployment))...)
			found, err := State(t.Context(), c, tt.w)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
	c := fake.NewClientset()
	forbid(c, "list", "pods")
	if found, err := State(t.Context(), c, deployment()); err != nil || strings.Join(brief(found), "") != "note preflight-blind" {
		t.Error(found, err)
	}
}

// A paused Deployment that is complete would not roll out the next image.
func TestPausedAndComplete(t *testing.T) {
	w := deployment(func(d *appsv1.Deployment) { d.Spec.Paused = true })
	found, err := State(t.Context(), fake.NewClientset(replicaSet(w.Deployment), pod("a", ""), pod("b", "")), w)
	if err != nil || strings.Join(brief(found), "") != "error paused" {
		t.Fatal(brief(found), err)
	}
}

func TestRunAsRoot(t *testing.T) {
	yes, no, root, user := true, false, int64(0), int64(1000)
	tests := []struct {
		name      string
		pod       *corev1.PodSecurityContext
		container *corev1.SecurityContext
		image     string
		refused   bool
	}{
		{"nothing asked", nil, nil, "", false},
		{"root image", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "", true},
		{"root by number", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "0:0", true},
		{"named user", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "bun", true},
		{"numeric user", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, nil, "1000:1000", false},
		{"overridden", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, &corev1.SecurityContext{RunAsUser: &user}, "", false},
		{"overridden by root", &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user}, &corev1.SecurityContext{RunAsUser: &root}, "1000", true},
		{"container allows it", &corev1.PodSecurityContext{RunAsNonRoot: &yes}, &corev1.SecurityContext{RunAsNonRoot: &no}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := deployment(func(d *appsv1.Deployment) {
				d.Spec.Template.Spec.SecurityContext, d.Spec.Template.Spec.Containers[0].SecurityContext = tt.pod, tt.container
			})
			if f := RunAsRoot(w, "c", tt.image); (f != nil) != tt.refused {
				t.Errorf("%+v", f)
			}
		})
	}
}
