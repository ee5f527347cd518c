package preflight

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

func TestQuota(t *testing.T) {
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return l
	}
	quota := func(hard, used corev1.ResourceList, scopes ...corev1.ResourceQuotaScope) *corev1.ResourceQuota {
		return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Scopes: scopes}, Status: corev1.ResourceQuotaStatus{Hard: hard, Used: used}}
	}
	needs := func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list("cpu", "100m", "memory", "256Mi"), Limits: list("memory", "1Gi")}
	}
	strategy := func(surge, gone string) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) {
			up, down := intstr.Parse(surge), intstr.Parse(gone)
			d.Spec.Strategy = appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &up, MaxUnavailable: &down}}
		}
	}
	one := func(d *appsv1.Deployment) { n := int32(1); d.Spec.Replicas = &n }
	tests := []struct {
		name string
		q    *corev1.ResourceQuota
		w    *workload.Workload
		want []string
	}{
		{"room", quota(list("pods", "3"), list("pods", "2")), deployment(), nil},
		{"no further pod is allowed", quota(list("pods", "2"), list("pods", "2")), deployment(), []string{"error quota"}},
		{"no further pod is allowed, one replica", quota(list("pods", "1"), list("pods", "1")), deployment(one), []string{"error quota"}},
		{"no further pod is allowed, replaced in place", quota(list("pods", "2"), list("pods", "2")), deployment(strategy("0", "1")), nil},
		{"may shrink first", quota(list("pods", "2"), list("pods", "2")), deployment(strategy("1", "1")), []string{"warning quota"}},
		{"recreate", quota(list("pods", "2"), list("pods", "2")), deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = "Recreate" }), nil},
		{"cpu", quota(list("requests.cpu", "250m"), list("requests.cpu", "200m")), deployment(needs), []string{"error quota"}},
		{"memory under its older resource name", quota(list("memory", "600Mi"), list("memory", "512Mi")), deployment(needs), []string{"error quota"}},
		{"limits", quota(list("limits.memory", "2Gi"), list("limits.memory", "2Gi")), deployment(needs), []string{"error quota"}},
		{"limits fit", quota(list("limits.memory", "3Gi"), list("limits.memory", "2Gi")), deployment(needs), nil},
		{"other things", quota(list("services", "1"), list("services", "1")), deployment(needs), nil},
		{"jobs only", quota(list("pods", "2"), list("pods", "2"), corev1.ResourceQuotaScopeTerminating), deployment(), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := Quota(t.Context(), fake.NewClientset(tt.q), tt.w, tt.w, PodOf(tt.w))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
	first := deployment(strategy("0", "1"))
	found, err := Quota(t.Context(), fake.NewClientset(quota(list("pods", "1"), list("pods", "1"))), first, nil, PodOf(first))
	if err != nil || strings.Join(brief(found), "") != "error quota" {
		t.Error("a first rollout:", brief(found), err)
	}
}
