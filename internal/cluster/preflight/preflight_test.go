package preflight

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// deployment is a complete rollout of two replicas, altered by each of change.
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

// brief is "severity code" of each finding.
func brief(found []*pipeline.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, f.Severity.String()+" "+f.Code)
	}
	return all
}

func TestState(t *testing.T) {
	progressing := func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }
	tests := []struct {
		name string
		w    *workload.Workload
		pods []runtime.Object
		want []string
	}{
		{"complete", deployment(), []runtime.Object{pod("a", ""), pod("b", "")}, nil},
		{"paused", deployment(progressing, func(d *appsv1.Deployment) { d.Spec.Paused = true }), nil, []string{"error paused"}},
		{"rolling", deployment(progressing), []runtime.Object{pod("a", "")}, []string{"error mid-rollout"}},
		{"not seen yet", deployment(func(d *appsv1.Deployment) { d.Generation = 4 }), nil, []string{"error mid-rollout"}},
		{"stuck", deployment(progressing), []runtime.Object{pod("a", ""), pod("b", "ErrImagePull")}, []string{"note stuck-rollout"}},
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
		{"no pod more", quota(list("pods", "2"), list("pods", "2")), deployment(), []string{"error quota"}},
		{"no pod more, one replica", quota(list("pods", "1"), list("pods", "1")), deployment(one), []string{"error quota"}},
		{"no pod more, in place", quota(list("pods", "2"), list("pods", "2")), deployment(strategy("0", "1")), nil},
		{"may shrink first", quota(list("pods", "2"), list("pods", "2")), deployment(strategy("1", "1")), []string{"warning quota"}},
		{"recreate", quota(list("pods", "2"), list("pods", "2")), deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = "Recreate" }), nil},
		{"cpu", quota(list("requests.cpu", "250m"), list("requests.cpu", "200m")), deployment(needs), []string{"error quota"}},
		{"memory in old words", quota(list("memory", "600Mi"), list("memory", "512Mi")), deployment(needs), []string{"error quota"}},
		{"limits", quota(list("limits.memory", "2Gi"), list("limits.memory", "2Gi")), deployment(needs), []string{"error quota"}},
		{"limits fit", quota(list("limits.memory", "3Gi"), list("limits.memory", "2Gi")), deployment(needs), nil},
		{"other things", quota(list("services", "1"), list("services", "1")), deployment(needs), nil},
		{"jobs only", quota(list("pods", "2"), list("pods", "2"), corev1.ResourceQuotaScopeTerminating), deployment(), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, err := Quota(t.Context(), fake.NewClientset(tt.q), tt.w, tt.w)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
	found, err := Quota(t.Context(), fake.NewClientset(quota(list("pods", "1"), list("pods", "1"))), deployment(strategy("0", "1")), nil)
	if err != nil || strings.Join(brief(found), "") != "error quota" {
		t.Error("a first rollout:", brief(found), err)
	}
}

func TestAccess(t *testing.T) {
	deny := map[string]bool{}
	c := fake.NewClientset()
	c.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		at := r.Spec.ResourceAttributes
		res := at.Resource
		if at.Subresource != "" {
			res += "/" + at.Subresource
		}
		r.Status.Allowed = !deny[at.Verb+" "+res]
		return true, r, nil
	})
	rights := Rights(Needs{Workload: workload.Ref{Kind: "Deployment", Namespace: "ns", Name: "w"}, Probe: true, Lock: true, Service: "inngest-svc", ReadSecrets: true,
		Objects: ObjectRights("", "services", "ns", "w")})
	tests := []struct {
		deny []string
		want []string
	}{
		{nil, nil},
		{[]string{"patch deployments"}, []string{"error rbac no right to apply"}},
		{[]string{"get pods/proxy"}, nil}, // port-forward does as well
		{[]string{"get pods/proxy", "create pods/portforward"}, []string{"error rbac no right to probe", "error rbac no right to reach Inngest"}},
		{[]string{"list nodes", "get secrets", "get pods/log"}, []string{"warning rbac no right to logs of failing pods", "warning rbac no right to pull secret and signing key", "warning rbac no right to compare the image's platform with the nodes"}},
		{[]string{"create leases", "update leases"}, []string{"error rbac no right to lock"}},
		{[]string{"patch services"}, []string{"error rbac no right to apply services/w"}},
	}
	for _, tt := range tests {
		clear(deny)
		for _, d := range tt.deny {
			deny[d] = true
		}
		found, err := Access(t.Context(), c, rights)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			got = append(got, f.Severity.String()+" "+f.Code+" "+f.What)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v: %s", tt.deny, diff)
		}
	}
	forbid(c, "create", "selfsubjectaccessreviews")
	if found, err := Access(t.Context(), c, rights); err != nil || strings.Join(brief(found), "") != "note preflight-blind" {
		t.Error(found, err)
	}
}

func TestAccessEndsWithContext(t *testing.T) {
	c := fake.NewClientset()
	c.PrependReactor("create", "selfsubjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, context.DeadlineExceeded
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Access(ctx, c, []Right{{Verb: "get", Resource: "pods"}}); err == nil {
		t.Fatal("no answer is no permission")
	}
}
