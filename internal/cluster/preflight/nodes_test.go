package preflight

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

func TestNodes(t *testing.T) {
	node := func(name, arch string, change ...func(*corev1.Node)) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/arch": arch}},
			Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: arch}}}
		for _, c := range change {
			c(n)
		}
		return n
	}
	taint := func(key string, effect corev1.TaintEffect) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
	}
	cordon := func(n *corev1.Node) { n.Spec.Unschedulable = true }
	spec := func(change func(*corev1.PodSpec)) *workload.Workload {
		return deployment(func(d *appsv1.Deployment) { change(&d.Spec.Template.Spec) })
	}
	affinity := func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/arch", Operator: corev1.NodeSelectorOpIn, Values: []string{"arm64"}}}}}}}}
	}
	arm, both := []string{"linux/arm64"}, []string{"linux/amd64", "linux/arm64"}
	tests := []struct {
		name  string
		w     *workload.Workload
		image []string
		nodes []runtime.Object
		want  []string
	}{
		{"fits", deployment(), arm, []runtime.Object{node("a", "arm64")}, nil},
		{"variant fits", deployment(), []string{"linux/arm64/v8"}, []runtime.Object{node("a", "arm64")}, nil},
		{"none fits", deployment(), arm, []runtime.Object{node("a", "amd64"), node("b", "amd64")}, []string{"error node-platform"}},
		{"some fit", deployment(), arm, []runtime.Object{node("a", "amd64"), node("b", "arm64")}, []string{"warning node-platform"}},
		{"all fit an index", deployment(), both, []runtime.Object{node("a", "amd64"), node("b", "arm64")}, nil},
		{"selector leaves the right one", spec(func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{"kubernetes.io/arch": "arm64"} }), arm, []runtime.Object{node("a", "amd64"), node("b", "arm64")}, nil},
		{"affinity leaves the right one", spec(affinity), arm, []runtime.Object{node("a", "amd64"), node("b", "arm64")}, nil},
		{"nodeName leaves the wrong one", spec(func(s *corev1.PodSpec) { s.NodeName = "a" }), arm, []runtime.Object{node("a", "amd64"), node("b", "arm64")}, []string{"error node-platform"}},
		{"taint keeps the right one away", deployment(), arm, []runtime.Object{node("a", "amd64"), node("b", "arm64", taint("gpu", corev1.TaintEffectNoSchedule))}, []string{"error node-platform"}},
		{"tolerated", spec(func(s *corev1.PodSpec) {
			s.Tolerations = []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
		}), arm, []runtime.Object{node("b", "arm64", taint("node-role.kubernetes.io/control-plane", corev1.TaintEffectNoSchedule))}, nil},
		{"soft taint", deployment(), arm, []runtime.Object{node("b", "arm64", taint("gpu", corev1.TaintEffectPreferNoSchedule))}, nil},
		{"away for a moment", deployment(), arm, []runtime.Object{node("b", "arm64", taint("node.kubernetes.io/unreachable", corev1.TaintEffectNoExecute))}, nil},
		{"cordoned", deployment(), arm, []runtime.Object{node("b", "arm64", cordon)}, []string{"warning node-none"}},
		{"emulation", deployment(), arm, []runtime.Object{node("a", "amd64", func(n *corev1.Node) {
			n.Annotations = map[string]string{AnnotationPlatforms: "linux/riscv64, linux/arm64"}
		})}, nil},
		{"arm on arm64", deployment(), []string{"linux/arm/v7"}, []runtime.Object{node("a", "arm64")}, nil},
		{"windows", deployment(), []string{"windows/amd64"}, []runtime.Object{node("a", "amd64")}, []string{"error node-platform"}},
		{"a node that does not report its platform", deployment(), arm, []runtime.Object{node("a", "")}, []string{"warning node-platform"}},
		{"one that does not report its platform, and one that does not fit", deployment(), arm, []runtime.Object{node("a", ""), node("b", "amd64")}, []string{"warning node-platform"}},
		{"one that does not report its platform, and one that fits", deployment(), arm, []runtime.Object{node("a", ""), node("b", "arm64")}, nil},
		{"no nodes known", deployment(), arm, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nodes, found, err := Nodes(t.Context(), fake.NewClientset(tt.nodes...), tt.w)
			if err != nil || found != nil {
				t.Fatal(found, err)
			}
			if diff := cmp.Diff(tt.want, brief(Platform("img", tt.image, nodes))); diff != "" {
				t.Errorf("%s\n%+v", diff, nodes)
			}
		})
	}
	c := fake.NewClientset()
	forbid(c, "list", "nodes")
	if nodes, found, err := Nodes(t.Context(), c, deployment()); err != nil || nodes != nil || strings.Join(brief(found), "") != "note preflight-blind" {
		t.Error(nodes, found, err)
	}
	// A DaemonSet's pods go to cordoned nodes as well.
	ds := &workload.Workload{DaemonSet: &appsv1.DaemonSet{}}
	if n := judge(node("a", "arm64", cordon, taint(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)), ds); n.Excluded != "" {
		t.Error(n)
	}
}
