package handover_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

func owner(uid types.UID, kind string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{UID: uid, Kind: kind, Controller: &yes}}
}

func worker(image string) *appsv1.Deployment {
	two := int32(2)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "worker", Namespace: "ns", UID: "deployment"},
		Spec: appsv1.DeploymentSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "worker"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "worker"}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: image}}}}}}
}

func replicaSet(d *appsv1.Deployment, hash string) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "worker-" + hash, UID: types.UID(hash), OwnerReferences: owner(d.UID, "Deployment"),
		Labels: map[string]string{"app": "worker", "pod-template-hash": hash}}, Spec: appsv1.ReplicaSetSpec{Template: *d.Spec.Template.DeepCopy()}}
	rs.Spec.Template.Labels["pod-template-hash"] = hash
	return rs
}

func pod(name string, rs *appsv1.ReplicaSet, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: rs.Spec.Template.Labels, OwnerReferences: owner(rs.UID, "ReplicaSet")},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}}
	if ready {
		p.Status.Conditions[0].Status = corev1.ConditionTrue
	}
	return p
}

func service(name string, selector map[string]string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1", Selector: selector}}
}

// situation returns one in which a switch is possible: two Ready pods of one version and a Service.
func situation() handover.Situation {
	live, next := worker("w:1"), worker("w:2")
	old := replicaSet(live, "old")
	return handover.Situation{
		Live: &workload.Workload{Deployment: live}, Next: &workload.Workload{Deployment: next},
		ReplicaSets: []*appsv1.ReplicaSet{old},
		Pods:        []*corev1.Pod{pod("a", old, true), pod("b", old, true)},
		Services:    []*corev1.Service{service("worker", map[string]string{"app": "worker"}), service("other", map[string]string{"app": "other"})},
		Claims:      map[string]*corev1.PersistentVolumeClaim{}, Unread: map[string]string{},
	}
}

func claim(modes ...corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{AccessModes: modes}}
}

// mounts makes both versions mount a claim.
func mounts(s *handover.Situation, c *corev1.PersistentVolumeClaim) {
	s.Claims["data"] = c
	volume(s, corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}})
}

func volume(s *handover.Situation, v corev1.VolumeSource) {
	for _, w := range []*workload.Workload{s.Live, s.Next} {
		w.Template().Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: v}}
	}
}

func strategy(d *appsv1.Deployment, surge intstr.IntOrString) {
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge}}
}

func TestChoose(t *testing.T) {
	zero := int32(0)
	for _, test := range []struct {
		name   string
		change func(*handover.Situation)
		reason string // a part of the reason; empty if it switches
		notes  string
		names  []string
	}{
		{"plain", func(*handover.Situation) {}, "", "", []string{"worker"}},
		{"next unknown", func(s *handover.Situation) { s.Next = nil }, "", "", []string{"worker"}},
		{"several Services switch together", func(s *handover.Situation) {
			s.Services = append(s.Services, service("admin", map[string]string{"app": "worker"}))
		}, "", "", []string{"admin", "worker"}},
		{"headless", func(s *handover.Situation) { s.Services[0].Spec.ClusterIP = corev1.ClusterIPNone }, "", "headless", []string{"worker"}},
		{"autoscaler", func(s *handover.Situation) { s.Autoscalers = []string{"hpa"} }, "", "HorizontalPodAutoscaler hpa", []string{"worker"}},
		{"room unknown", func(s *handover.Situation) { s.Room.Unknown = []string{"nodes cannot be listed"} }, "", "nodes cannot be listed", []string{"worker"}},
		{"patch unknown", func(s *handover.Situation) { s.Unread["patch"] = "no review" }, "", "no review", []string{"worker"}},
		{"autoscalers unknown", func(s *handover.Situation) { s.Unread["autoscalers"] = "forbidden" }, "", "forbidden", []string{"worker"}},
		{"a stuck version without Ready pods", func(s *handover.Situation) {
			stuck := replicaSet(worker("w:bad"), "stuck")
			s.ReplicaSets = append(s.ReplicaSets, stuck)
			s.Pods = append(s.Pods, pod("c", stuck, false))
		}, "", "", []string{"worker"}},
		{"the route is the Service", func(s *handover.Situation) { s.Route = "worker" }, "", "", []string{"worker"}},
		{"maxSurge 1", func(s *handover.Situation) { strategy(s.Live.Deployment, intstr.FromInt32(1)) }, "", "", []string{"worker"}},
		{"shared claim", func(s *handover.Situation) { mounts(s, claim(corev1.ReadWriteMany)) }, "", "", []string{"worker"}},
		{"read-only claim", func(s *handover.Situation) { mounts(s, claim(corev1.ReadWriteOnce, corev1.ReadOnlyMany)) }, "", "", []string{"worker"}},
		{"anti-affinity within one version", func(s *handover.Situation) { apart(s, "pod-template-hash") }, "", "", []string{"worker"}},
		{"an ended pod of a Job", func(s *handover.Situation) {
			job := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "job", Labels: map[string]string{"app": "worker"}}, Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}
			s.Pods = append(s.Pods, job)
		}, "", "", []string{"worker"}},

		{"first rollout", func(s *handover.Situation) { s.Live = nil }, "first rollout", "", nil},
		{"StatefulSet", func(s *handover.Situation) {
			s.Live, s.Next = &workload.Workload{StatefulSet: &appsv1.StatefulSet{}}, &workload.Workload{StatefulSet: &appsv1.StatefulSet{}}
			s.Next.Template().Spec.HostNetwork = true
		}, "StatefulSet", "", nil},
		{"DaemonSet", func(s *handover.Situation) {
			s.Live, s.Next = &workload.Workload{DaemonSet: &appsv1.DaemonSet{}}, &workload.Workload{DaemonSet: &appsv1.DaemonSet{}}
			s.Next.Template().Spec.HostNetwork = true
		}, "DaemonSet", "", nil},
		{"Recreate", func(s *handover.Situation) {
			s.Live.Deployment.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
		}, "Recreate", "", nil},
		{"Recreate from now on", func(s *handover.Situation) {
			s.Next.Deployment.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
		}, "Recreate", "", nil},
		{"maxSurge 0", func(s *handover.Situation) { strategy(s.Live.Deployment, intstr.FromInt32(0)) }, "maxSurge 0", "", nil},
		{"maxSurge 0%", func(s *handover.Situation) { strategy(s.Next.Deployment, intstr.FromString("0%")) }, "maxSurge 0", "", nil},
		{"scaled to 0", func(s *handover.Situation) { s.Live.Deployment.Spec.Replicas = &zero }, "scaled to 0: no version", "", nil},
		{"scaled to 0 by the manifest", func(s *handover.Situation) { s.Next.Deployment.Spec.Replicas = &zero }, "going to be scaled to 0", "", nil},
		{"paused", func(s *handover.Situation) { s.Live.Deployment.Spec.Paused = true }, "paused", "", nil},
		{"nothing new", func(s *handover.Situation) { s.Next = s.Live }, "no pod is replaced", "", nil},
		{"ReadWriteOnce", func(s *handover.Situation) { mounts(s, claim(corev1.ReadWriteOnce)) }, "claim data is ReadWriteOnce", "", nil},
		{"ReadWriteOncePod", func(s *handover.Situation) { mounts(s, claim(corev1.ReadWriteOncePod)) }, "ReadWriteOncePod", "", nil},
		{"claim that the new version drops", func(s *handover.Situation) {
			mounts(s, claim(corev1.ReadWriteOnce))
			s.Next.Template().Spec.Volumes = nil
		}, "ReadWriteOnce", "", nil},
		{"claim unread", func(s *handover.Situation) {
			mounts(s, nil)
			s.Unread["claim/data"] = "forbidden"
		}, "claim data cannot be read", "", nil},
		{"disk of one node", func(s *handover.Situation) {
			volume(s, corev1.VolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{}})
		}, "awsElasticBlockStore", "", nil},
		{"host port", func(s *handover.Situation) {
			s.Next.Template().Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 3111}}
		}, "host port 3111", "", nil},
		{"host network", func(s *handover.Situation) { s.Live.Template().Spec.HostNetwork = true }, "node's network", "", nil},
		{"anti-affinity to itself", func(s *handover.Situation) { apart(s) }, "podAntiAffinity", "", nil},
		{"no room", func(s *handover.Situation) { s.Room.Lacks = "pods: used 2 of 3" }, "used 2 of 3", "", nil},
		{"no Service", func(s *handover.Situation) { s.Services = nil }, "no Service selects", "", nil},
		{"Service of others only", func(s *handover.Situation) { s.Services = s.Services[1:] }, "no Service selects", "", nil},
		{"Service without a selector", func(s *handover.Situation) { s.Services[0].Spec.Selector = nil }, "no Service selects", "", nil},
		{"ExternalName", func(s *handover.Situation) { s.Services[0].Spec.Type = corev1.ServiceTypeExternalName }, "no Service selects", "", nil},
		{"route without a selector", func(s *handover.Situation) {
			s.Services[1].Spec.Selector, s.Route = nil, "other"
		}, "Service other, which Inngest calls, has no selector", "", nil},
		{"route to others", func(s *handover.Situation) { s.Route = "other" }, "Service other, which Inngest calls", "", nil},
		{"selects by hash already", func(s *handover.Situation) { s.Services[0].Spec.Selector["pod-template-hash"] = "old" }, "already selects pod-template-hash old", "", nil},
		{"selects by hash alone", func(s *handover.Situation) {
			s.Services[1].Spec.Selector = map[string]string{"pod-template-hash": "old"}
		}, "already selects pod-template-hash old", "", nil},
		{"Service shared with other pods", func(s *handover.Situation) {
			other := pod("x", replicaSet(worker("o:1"), "other"), true)
			other.Labels = map[string]string{"app": "worker", "pod-template-hash": "other"}
			s.Pods = append(s.Pods, other)
		}, "also selects pod x", "", nil},
		{"labels of the new pods differ", func(s *handover.Situation) {
			s.Services[0].Spec.Selector["tier"] = "a"
			s.Live.Template().Labels["tier"] = "a"
		}, "but not the new ones", "", nil},
		{"labels of the current pods differ", func(s *handover.Situation) {
			s.Services[0].Spec.Selector["tier"] = "a"
			s.Next.Template().Labels["tier"] = "a"
		}, "but not the current ones", "", nil},
		{"the manifest changes the Service", func(s *handover.Situation) { s.Altered = []string{"worker"} }, "the manifest changes Service worker", "", nil},
		{"no permission", func(s *handover.Situation) { s.Denied = []string{"worker"} }, "may not patch Service worker", "", nil},
		{"Services unread", func(s *handover.Situation) { s.Unread["services"] = "forbidden" }, "services cannot be listed: forbidden", "", nil},
		{"pods unread", func(s *handover.Situation) { s.Unread["pods"] = "forbidden" }, "pods cannot be listed", "", nil},
		{"ReplicaSets unread", func(s *handover.Situation) { s.Unread["replicasets"] = "forbidden" }, "replicasets cannot be listed", "", nil},
		{"no Ready pod", func(s *handover.Situation) {
			for _, p := range s.Pods {
				p.Status.Conditions[0].Status = corev1.ConditionFalse
			}
		}, "nothing to keep serving", "", nil},
		{"two versions serve", func(s *handover.Situation) {
			second := replicaSet(worker("w:1.5"), "second")
			s.ReplicaSets = append(s.ReplicaSets, second)
			s.Pods = append(s.Pods, pod("c", second, true))
		}, "2 versions", "", nil},
		{"a Service reaches pods of the same node, on one node", func(s *handover.Situation) {
			s.Nodes, s.Services[0].Spec.ExternalTrafficPolicy = 1, corev1.ServiceExternalTrafficPolicyLocal
		}, "", "", []string{"worker"}},
		{"a Service reaches pods of the same node, on two nodes", func(s *handover.Situation) {
			s.Nodes, s.Services[0].Spec.ExternalTrafficPolicy = 2, corev1.ServiceExternalTrafficPolicyLocal
		}, "externalTrafficPolicy: Local", "", nil},
		{"a Service reaches pods of the same node, nodes unknown", func(s *handover.Situation) {
			local := corev1.ServiceInternalTrafficPolicyLocal
			s.Services[0].Spec.InternalTrafficPolicy = &local
		}, "internalTrafficPolicy: Local", "", nil},
		{"a Service of all workers", func(s *handover.Situation) {
			other := pod("x", replicaSet(worker("o:1"), "other"), false)
			other.OwnerReferences, other.Labels = owner("another", "ReplicaSet"), map[string]string{"tier": "workers"}
			s.Live.Template().Labels["tier"], s.Next.Template().Labels["tier"] = "workers", "workers"
			s.Services = append(s.Services, service("all", map[string]string{"tier": "workers"}))
			s.Pods = append(s.Pods, other)
		}, "Service all also selects pod x", "", nil},
		{"headless next to one with an address", func(s *handover.Situation) {
			s.Services = append(s.Services, service("pods", map[string]string{"app": "worker"}))
			s.Services[2].Spec.ClusterIP = corev1.ClusterIPNone
		}, "", "Service pods is headless", []string{"pods", "worker"}},
		{"client affinity", func(s *handover.Situation) { s.Services[0].Spec.SessionAffinity = corev1.ServiceAffinityClientIP }, "", "", []string{"worker"}},
		{"named target port", func(s *handover.Situation) {
			s.Services[0].Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}
		}, "", "", []string{"worker"}},
		{"not Ready pods are published", func(s *handover.Situation) { s.Services[0].Spec.PublishNotReadyAddresses = true }, "",
			"publishNotReadyAddresses", []string{"worker"}},
		{"minReadySeconds", func(s *handover.Situation) { s.Live.Deployment.Spec.MinReadySeconds = 30 }, "", "", []string{"worker"}},
		{"paused by the manifest", func(s *handover.Situation) { s.Next.Deployment.Spec.Paused = true }, "paused", "", nil},
		{"Argo CD", func(s *handover.Situation) {
			s.Services[0].Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "x"}
		}, "Argo CD", "", nil},
		{"Flux", func(s *handover.Situation) {
			s.Live.Deployment.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "x"}
		}, "Flux", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := situation()
			test.change(&s)
			c := handover.Choose(s)
			if test.reason == "" {
				if c.Strategy != handover.StrategySwitch || c.Old != "old" || !slices.Equal(c.Services, test.names) {
					t.Fatalf("%+v", c)
				}
				if notes := strings.Join(c.Notes, "\n"); !strings.Contains(notes, test.notes) || test.notes == "" && notes != "" {
					t.Errorf("notes %q", notes)
				}
				return
			}
			if c.Strategy != handover.StrategyRolling || !strings.Contains(c.Reason, test.reason) || strings.Contains(c.Reason, "\n") {
				t.Fatalf("%+v", c)
			}
		})
	}
}

func apart(s *handover.Situation, matchLabelKeys ...string) {
	for _, w := range []*workload.Workload{s.Live, s.Next} {
		w.Template().Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "worker"}}, TopologyKey: corev1.LabelHostname, MatchLabelKeys: matchLabelKeys}}}}
	}
}
