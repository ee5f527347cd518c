package preflight

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// A refusal that only concerns pods is known before the workload is changed, and no pod is
// left behind.
func TestAdmission(t *testing.T) {
	cp := cptest.Shared(t)
	kube := cptest.Kube(t, cp)
	cpu := corev1.ResourceList{"cpu": resource.MustParse("2")}
	limits := func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Resources.Limits = cpu }
	for name, tt := range map[string]struct {
		labels  map[string]string
		prepare func(t *testing.T, ns string)
		w       *workload.Workload
		want    string
		why     string
	}{
		"accepted": {w: deployment()},
		"PodSecurity": {labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, w: deployment(),
			want: "error pod-security", why: "allowPrivilegeEscalation"},
		"limit range": {prepare: func(t *testing.T, ns string) { limitRange(t, kube, ns, "1") }, w: deployment(limits),
			want: "error admission-denied", why: "maximum cpu usage per Container is 1"},
		"within the limit range": {prepare: func(t *testing.T, ns string) { limitRange(t, kube, ns, "3") }, w: deployment(limits)},
		"a quota that requires limits": {prepare: func(t *testing.T, ns string) { quotaOf(t, kube, ns, "limits.cpu") }, w: deployment(),
			want: "error pod-invalid", why: "must specify limits.cpu"},
		"a quota that is met": {prepare: func(t *testing.T, ns string) { quotaOf(t, kube, ns, "limits.cpu") }, w: deployment(limits)},
		"a volume that is not declared": {w: deployment(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		}), want: "error pod-invalid", why: "volumeMounts[0]"},
		"a volume of a StatefulSet": {w: &workload.Workload{StatefulSet: statefulSet()}},
		"a policy": {prepare: func(t *testing.T, ns string) { policy(t, kube, ns) }, w: deployment(),
			want: "warning admission-denied", why: "pods need an owner"},
		"no such namespace": {w: deployment(), labels: map[string]string{"missing": "yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := "not-there"
			if tt.labels["missing"] == "" {
				ns = cptest.Namespace(t, kube, tt.labels)
			}
			if tt.prepare != nil {
				tt.prepare(t, ns)
			}
			tt.w.Object().SetNamespace(ns)
			found, _, err := Admission(t.Context(), kube, tt.w)
			if got := strings.Join(brief(found), ""); err != nil || got != tt.want {
				t.Fatalf("%q, want %q; %v", got, tt.want, err)
			}
			if len(found) == 1 && !strings.Contains(found[0].Why, tt.why) {
				t.Errorf("%q lacks %q", found[0].Why, tt.why)
			}
			if pods, err := kube.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{}); err != nil || len(pods.Items) != 0 {
				t.Error(len(pods.Items), err)
			}
		})
	}
}

// Without the permission, which a rollout does not need, nothing is checked.
func TestAdmissionForbidden(t *testing.T) {
	cp := cptest.Shared(t)
	ns := cptest.Namespace(t, cptest.Kube(t, cp), map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	kube, err := cptest.Connect(t, cp, "nobody", ns).Kube()
	if err != nil {
		t.Fatal(err)
	}
	w := deployment()
	w.Object().SetNamespace(ns)
	if found, _, err := Admission(t.Context(), kube, w); err != nil || len(found) != 0 {
		t.Error(brief(found), err)
	}
}

// A quota counts the pod that the API server admits: a LimitRange's defaults are part of it.
// If only the API server understands a quota, its own refusal is reported.
func TestPodsAndQuotas(t *testing.T) {
	kube := cptest.Kube(t, cptest.Shared(t))
	used := func(t *testing.T, ns, hard, used string, scope *corev1.ScopeSelector) {
		t.Helper()
		q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{ScopeSelector: scope,
			Hard: corev1.ResourceList{"requests.cpu": resource.MustParse(hard)}}}
		// The quota controller counts in its own time; a status without a spec change stays.
		q, err := kube.CoreV1().ResourceQuotas(ns).Create(t.Context(), q, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		setUsed(t, kube, q, "requests.cpu", used)
	}
	defaults := func(t *testing.T, ns string) {
		t.Helper()
		l := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
			{Type: corev1.LimitTypeContainer, DefaultRequest: corev1.ResourceList{"cpu": resource.MustParse("2")}, Default: corev1.ResourceList{"cpu": resource.MustParse("2")}}}}}
		if _, err := kube.CoreV1().LimitRanges(ns).Create(t.Context(), l, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	notBest := &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
		{ScopeName: corev1.ResourceQuotaScopeNotBestEffort, Operator: corev1.ScopeSelectorOpExists}}}
	for name, tt := range map[string]struct {
		hard  string
		scope *corev1.ScopeSelector
		want  string
	}{
		"room for the defaults":             {"2", nil, ""},
		"no room for the defaults":          {"1", nil, "error quota"},
		"a quota with a scope selector":     {"1", notBest, "error quota"},
		"room in one with a scope selector": {"2", notBest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := cptest.Namespace(t, kube, nil)
			defaults(t, ns)
			used(t, ns, tt.hard, "0", tt.scope)
			w := deployment()
			w.Object().SetNamespace(ns)
			found, err := Pods(t.Context(), kube, w, w)
			if got := strings.Join(brief(found), ""); err != nil || got != tt.want {
				t.Fatalf("%q, want %q; %v", got, tt.want, err)
			}
		})
	}
}

func limitRange(t *testing.T, kube kubernetes.Interface, ns, cpu string) {
	l := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{
		{Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{"cpu": resource.MustParse(cpu)}}}}}
	if _, err := kube.CoreV1().LimitRanges(ns).Create(t.Context(), l, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func quotaOf(t *testing.T, kube kubernetes.Interface, ns, name string) {
	q := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "q"}, Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{corev1.ResourceName(name): resource.MustParse("8")}}}
	q, err := kube.CoreV1().ResourceQuotas(ns).Create(t.Context(), q, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Until the controller has set the counts, every pod is refused with another text.
	setUsed(t, kube, q, corev1.ResourceName(name), "0")
}

// setUsed sets the counts in a quota's status by a patch, because the quota controller may
// write the status at the same time.
func setUsed(t *testing.T, kube kubernetes.Interface, q *corev1.ResourceQuota, name corev1.ResourceName, used string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"status": corev1.ResourceQuotaStatus{
		Hard: q.Spec.Hard, Used: corev1.ResourceList{name: resource.MustParse(used)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kube.CoreV1().ResourceQuotas(q.Namespace).Patch(t.Context(), q.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

func statefulSet() *appsv1.StatefulSet {
	template := deployment().Template().DeepCopy()
	template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "w"}, Spec: appsv1.StatefulSetSpec{Template: *template,
		VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}}}
}

// policy refuses pods without an owner, and waits until the API server enforces it.
func policy(t *testing.T, kube kubernetes.Interface, ns string) {
	fail, ctx := admissionregistrationv1.Fail, t.Context()
	name := "owned-" + ns
	p := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{FailurePolicy: &fail,
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionregistrationv1.RuleWithOperations{Operations: []admissionregistrationv1.OperationType{"CREATE"},
					Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}}},
			Validations: []admissionregistrationv1.Validation{{Expression: "has(object.metadata.ownerReferences)", Message: "pods need an owner"}}}}
	b := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name,
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			MatchResources:    &admissionregistrationv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": ns}}}}}
	api := kube.AdmissionregistrationV1()
	_, err := api.ValidatingAdmissionPolicies().Create(ctx, p, metav1.CreateOptions{})
	if err == nil {
		_, err = api.ValidatingAdmissionPolicyBindings().Create(ctx, b, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	for try := 0; ; try++ {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: fmt.Sprintf("try%d-", try)}, Spec: deployment().Template().Spec}
		if _, err := kube.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			return
		}
	}
}
