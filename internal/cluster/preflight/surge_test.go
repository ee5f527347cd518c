package preflight

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
)

func TestSurge(t *testing.T) {
	one := func(d *appsv1.Deployment) {
		n := int32(1)
		d.Spec.Replicas, d.Status.ReadyReplicas = &n, 1
	}
	port := func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 3111, HostPort: 18080}}
	}
	claim := func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	}
	alone := func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "w"}}, TopologyKey: "kubernetes.io/hostname"}}}}
	}
	memory := func(size string) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(size)}
		}
	}
	inPlace := func(d *appsv1.Deployment) {
		up, down := intstr.FromInt32(0), intstr.FromInt32(1)
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &up, MaxUnavailable: &down}
	}
	recreate := func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }
	down := func(d *appsv1.Deployment) { d.Status.ReadyReplicas = 0 }
	node := func(name string) Node {
		return Node{Name: name, allocatable: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}
	}
	single, two := []Node{node("n1")}, []Node{node("n1"), node("n2")}
	tainted := []Node{node("n1"), {Name: "n2", Excluded: "taint"}}
	change := func(c ...func(*appsv1.Deployment)) []func(*appsv1.Deployment) { return append(c, one) }
	tests := []struct {
		name   string
		change []func(*appsv1.Deployment)
		mode   corev1.PersistentVolumeAccessMode
		nodes  []Node
		want   []string
	}{
		{"nothing is shared", change(), "", single, nil},
		{"host port on the only node", change(port), "", single, []string{"error surge-blocked"}},
		{"host port on the only node that fits", change(port), "", tainted, []string{"error surge-blocked"}},
		{"host port, and another node", change(port), "", two, nil},
		{"host port, nodes unknown", change(port), "", nil, []string{"warning surge-blocked"}},
		{"host port, in place", change(port, inPlace), "", single, nil},
		{"host port, recreate", change(port, recreate), "", single, nil},
		{"host port, and nothing runs yet", append(change(port), down), "", single, nil},
		{"claim of one pod", change(claim), corev1.ReadWriteOncePod, two, []string{"error surge-blocked"}},
		{"claim of one node", change(claim), corev1.ReadWriteOnce, single, nil},
		{"claim that is missing", change(claim), "", single, nil},
		{"repels itself on the only node", change(alone), "", single, []string{"error surge-blocked"}},
		{"repels itself, and another node", change(alone), "", two, nil},
		{"more than half of the only node", change(memory("600Mi")), "", single, []string{"error surge-blocked"}},
		{"more than any node has: no strategy helps", change(memory("2Gi")), "", single, nil},
		{"less than half", change(memory("500Mi")), "", single, nil},
		{"more than half, and another node", change(memory("600Mi")), "", two, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var objects []runtime.Object
			if tt.mode != "" {
				objects = append(objects, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{tt.mode}}})
			}
			w := deployment(tt.change...)
			found, err := Surge(t.Context(), fake.NewClientset(objects...), w, w, tt.nodes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if found, err := Surge(t.Context(), fake.NewClientset(), deployment(port), nil, single); err != nil || found != nil {
		t.Errorf("a first rollout: %v %v", found, err)
	}
}

func TestServices(t *testing.T) {
	const worker = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: w, namespace: ns}, spec: {template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 3111}]}]}}}}`
	const bare = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: w, namespace: ns}, spec: {template: {metadata: {labels: {app: w}}, spec: {containers: [{name: c}]}}}}`
	tests := map[string]struct {
		manifest []string
		want     []string
	}{
		"selects and reaches":                {[]string{worker, `{selector: {app: w}, ports: [{port: 80, targetPort: 3111}]}`}, nil},
		"by name":                            {[]string{worker, `{selector: {app: w}, ports: [{port: 80, targetPort: http}]}`}, nil},
		"port is the target":                 {[]string{worker, `{selector: {app: w}, ports: [{port: 3111}]}`}, nil},
		"a typo in the selector":             {[]string{worker, `{selector: {app: ww}, ports: [{port: 80, targetPort: 3111}]}`}, []string{"warning service-unmatched"}},
		"a selector with one label too many": {[]string{worker, `{selector: {app: w, tier: x}, ports: [{port: 80, targetPort: 3111}]}`}, []string{"warning service-unmatched"}},
		"a port that no container has":       {[]string{worker, `{selector: {app: w}, ports: [{port: 80, targetPort: 8080}]}`}, []string{"warning service-unmatched"}},
		"a port name that no container has":  {[]string{worker, `{selector: {app: w}, ports: [{port: 80, targetPort: web}]}`}, []string{"warning service-unmatched"}},
		"one good and one bad port":          {[]string{worker, `{selector: {app: w}, ports: [{port: 80, targetPort: http}, {port: 81, targetPort: 9}]}`}, []string{"warning service-unmatched"}},
		"nothing is declared":                {[]string{bare, `{selector: {app: w}, ports: [{port: 80, targetPort: 8080}]}`}, nil},
		"a name, nothing declared":           {[]string{bare, `{selector: {app: w}, ports: [{port: 80, targetPort: http}]}`}, []string{"warning service-unmatched"}},
		"no selector":                        {[]string{worker, `{ports: [{port: 80}]}`}, nil},
		"another name":                       {[]string{worker, `{type: ExternalName, externalName: x, selector: {app: x}}`}, nil},
		"pods of another manifest":           {[]string{worker, `{selector: {app: db}, ports: [{port: 5432}]}`}, nil},
		"no workload in the manifest":        {[]string{`{selector: {app: nobody}, ports: [{port: 80}]}`}, []string{"warning service-unmatched"}},
	}
	db := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "db-0", Labels: map[string]string{"app": "db"}}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var objects []apply.Object
			for i, text := range tt.manifest {
				if i == len(tt.manifest)-1 {
					text = `{apiVersion: v1, kind: Service, metadata: {name: s, namespace: ns}, spec: ` + text + `}`
				}
				u := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
					t.Fatal(err)
				}
				objects = append(objects, apply.Object{Unstructured: u, Source: "none.yaml"})
			}
			found, err := Services(t.Context(), fake.NewClientset(db), objects)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNamespaceThatIsBeingDeleted(t *testing.T) {
	now := metav1.NewTime(time.Now())
	ending := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", DeletionTimestamp: &now, Finalizers: []string{"x"}}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}
	for name, tt := range map[string]struct {
		objects []runtime.Object
		want    []string
	}{
		"ending":    {[]runtime.Object{ending}, []string{"error namespace-terminating"}},
		"there":     {[]runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}}, nil},
		"not there": {nil, nil},
	} {
		found, err := Namespace(t.Context(), fake.NewClientset(tt.objects...), "ns")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, brief(found)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	blind := fake.NewClientset()
	forbid(blind, "get", "namespaces")
	if found, err := Namespace(t.Context(), blind, "ns"); err != nil || found != nil {
		t.Errorf("%v %v", found, err)
	}
}
