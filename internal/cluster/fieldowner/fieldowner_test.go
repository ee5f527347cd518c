package fieldowner_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/fieldowner"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

func template(change ...func(*corev1.PodTemplateSpec)) *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "worker", Image: "x:1", Env: []corev1.EnvVar{{Name: "A", Value: "1"}},
	}}}}
	for _, c := range change {
		c(t)
	}
	return t
}

func TestFields(t *testing.T) {
	tests := []struct {
		name   string
		change func(*corev1.PodTemplateSpec)
		want   []string
	}{
		{"nothing", func(*corev1.PodTemplateSpec) {}, nil},
		{"image", func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Image = "x:2" }, []string{"spec.containers[worker].image"}},
		{"restart", func(p *corev1.PodTemplateSpec) {
			p.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "now"}
		}, []string{"metadata.annotations.kubectl.kubernetes.io/restartedAt"}},
		{"variable added", func(p *corev1.PodTemplateSpec) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "HOTFIX", Value: "1"})
		}, []string{"spec.containers[worker].env[HOTFIX]"}},
		{"sidecar injected", func(p *corev1.PodTemplateSpec) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy"})
		}, []string{"spec.containers[proxy]"}},
		{"arguments", func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Args = []string{"-v"} }, []string{"spec.containers[worker].args"}},
		{"order of containers", func(p *corev1.PodTemplateSpec) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1}}
		}, []string{"spec.containers[worker].ports"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, fieldowner.Fields(template(), template(tt.change))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func entry(manager string, at time.Time, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &metav1.Time{Time: at},
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)}
}

const image = `{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"worker\"}":{"f:image":{}}}}}}}`

func TestTemplateNamesTheManager(t *testing.T) {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	of := func(p *corev1.PodTemplateSpec, m ...metav1.ManagedFieldsEntry) *workload.Workload {
		return &workload.Workload{Deployment: &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{ManagedFields: m}, Spec: appsv1.DeploymentSpec{Template: *p}}}
	}
	other := template(func(p *corev1.PodTemplateSpec) { p.Spec.Containers[0].Image = "x:2" })
	mine, scale := entry("kubectl-sbw", t0, image), entry("hpa", t0.Add(time.Hour), `{"f:spec":{"f:replicas":{}}}`)
	scale.Subresource = "scale"
	tests := []struct {
		name string
		now  []metav1.ManagedFieldsEntry
		want string
	}{
		{"took the field", []metav1.ManagedFieldsEntry{entry("kubectl-set", t0.Add(time.Minute), image)}, "kubectl-set"},
		{"wrote its own field again", []metav1.ManagedFieldsEntry{entry("kubectl-sbw", t0.Add(time.Minute), image)}, "kubectl-sbw"},
		{"applied less than before", []metav1.ManagedFieldsEntry{entry("kubectl-sbw", t0.Add(time.Minute), `{"f:spec":{"f:template":{"f:spec":{"f:containers":{}}}}}`)}, "kubectl-sbw"},
		{"a subresource is not the template", []metav1.ManagedFieldsEntry{mine, scale}, ""},
		{"unreadable fields", []metav1.ManagedFieldsEntry{mine, entry("odd", t0.Add(time.Minute), `{`)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := fieldowner.Template(of(template(), mine), of(other, tt.now...))
			if c.Manager != tt.want {
				t.Errorf("manager %q, want %q", c.Manager, tt.want)
			}
			if strings.Contains(c.String(), "another run of sbw") != (tt.want == "kubectl-sbw") {
				t.Errorf("%q", c)
			}
			if !strings.Contains(c.String(), "spec.containers[worker].image") {
				t.Errorf("%q does not name the field", c)
			}
		})
	}
}
