package verdict

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	resourcehelpers "k8s.io/component-helpers/resource"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Texts of the scheduler's filters (pkg/scheduler/framework/plugins), which
// have no typed reasons.
const (
	saysPorts        = "didn't have free ports"
	saysClaimInUse   = "ReadWriteOncePod access mode already in-use"
	saysAntiAffinity = "anti-affinity rules"
	saysInsufficient = "Insufficient "
	saysTooMany      = "Too many pods"
	saysTaint        = "untolerated taint"
	saysUnbound      = "unbound immediate PersistentVolumeClaims"
	saysNoVolume     = "didn't find available persistent volumes"
)

// inPlace is the advice if the old pod holds what the new one needs.
const inPlace = "let the old pod go first: `strategy: {type: Recreate}`, or rollingUpdate with maxSurge: 0 and maxUnavailable: 1"

// unschedulable returns why the scheduler finds no node. The message counts nodes by
// reason; the part after "preemption:" repeats that.
func (j *judgement) unschedulable(pod *corev1.Pod) *Cause {
	c := condition(pod, corev1.PodScheduled)
	if c == nil || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonUnschedulable {
		return nil
	}
	why := termtext.Line(c.Message)
	says, _, _ := strings.Cut(why, "preemption:")
	if cause := j.surgeBlocked(pod, says, why); cause != nil {
		return cause
	}
	has := func(text string) bool { return strings.Contains(says, text) }
	switch {
	case has("persistentvolumeclaim") && has("not found"):
		return transient(CodeClaimMissing, fmt.Sprintf("pod %s cannot be placed: its PersistentVolumeClaim does not exist", pod.Name), why,
			"create the claim, or correct claimName")
	case has(saysUnbound), has(saysNoVolume):
		return transient(
			CodeClaimUnbound,
			fmt.Sprintf("pod %s cannot be placed: its PersistentVolumeClaim is not bound to a volume", pod.Name),
			why,
			"`kubectl describe pvc` shows what it waits for: a storage class, a provisioner or a volume that fits",
		)
	case has(saysClaimInUse):
		return transient(CodeClaimInUse, fmt.Sprintf("pod %s cannot be placed: another pod uses its ReadWriteOncePod claim", pod.Name), why,
			"end the pod that uses it (`kubectl describe pvc` names it), or use ReadWriteOnce")
	case has(saysPorts):
		return transient(CodeHostPort, fmt.Sprintf("pod %s cannot be placed: its host port is taken on every node that fits", pod.Name), why,
			"leave hostPort out (a Service reaches the pod without it), or free the port")
	case onlyAboutNodes(says) && has(saysTaint):
		return transient(CodeTaint, fmt.Sprintf("pod %s does not tolerate the taints of the nodes", pod.Name), why,
			"add a toleration for the taint that the message names, or remove it: `kubectl taint node NODE KEY-`")
	}
	return transient(CodeUnschedulable, fmt.Sprintf("no node accepts pod %s", pod.Name), why,
		"lower its requests, correct its nodeSelector, affinity or tolerations, or add a node")
}

// onlyAboutNodes reports whether no reason is about capacity, which may become
// available.
func onlyAboutNodes(says string) bool {
	return !strings.Contains(says, saysInsufficient) && !strings.Contains(says, saysTooMany)
}

// surgeBlocked reports that the new pod needs what an old pod of the same workload holds,
// while the old one stays until the new one is ready.
func (j *judgement) surgeBlocked(pod *corev1.Pod, says, why string) *Cause {
	if j.Workload.Deployment == nil || len(j.ending) > 0 || SurgeMakesRoom(j.Workload.Deployment) {
		return nil
	}
	next := &j.Workload.Template().Spec
	for _, old := range j.old {
		if old.Spec.NodeName == "" {
			continue // it holds nothing any more
		}
		was := j.templateOf(old)
		what := ""
		switch {
		case strings.Contains(says, saysPorts):
			what = sharedHostPort(next, was)
		case strings.Contains(says, saysClaimInUse) && sharesClaim(next, was):
			what = "the ReadWriteOncePod claim"
		case strings.Contains(says, saysAntiAffinity) && Repels(j.Workload.Template()):
			what = "the place that its own anti-affinity allows"
		case strings.Contains(says, saysTooMany):
			what = "the last place for a pod on the node"
		case strings.Contains(says, saysInsufficient):
			what = sharedRoom(says, next, was)
		}
		if what == "" {
			continue
		}
		return transient(
			CodeSurgeBlocked,
			fmt.Sprintf("pod %s cannot be placed while pod %s of the same workload has %s", pod.Name, old.Name, what),
			why,
			inPlace,
		)
	}
	return nil
}

// SurgeMakesRoom reports whether a Deployment's strategy terminates an old pod before its
// replacement is ready.
func SurgeMakesRoom(d *appsv1.Deployment) bool {
	_, unavailable := Fenceposts(d)
	return unavailable > 0
}

// templateOf returns the spec that a pod was created from, because a watched pod is stored
// without its volumes and affinity.
func (j *judgement) templateOf(pod *corev1.Pod) *corev1.PodSpec {
	if owner := metav1.GetControllerOf(pod); owner != nil {
		for _, rs := range j.ReplicaSets {
			if rs.UID == owner.UID {
				return &rs.Spec.Template.Spec
			}
		}
	}
	return &pod.Spec
}

// sharedHostPort returns a port of the node that both pods want, or "" if there is none.
func sharedHostPort(a, b *corev1.PodSpec) string {
	taken := map[string]bool{}
	for _, p := range HostPorts(b) {
		taken[p] = true
	}
	for _, p := range HostPorts(a) {
		if taken[p] {
			return "host port " + p
		}
	}
	return ""
}

// HostPorts lists the ports that a pod uses on its node, as "18080/TCP".
func HostPorts(spec *corev1.PodSpec) []string {
	var all []string
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for _, c := range list {
			for _, p := range c.Ports {
				port := p.HostPort
				if spec.HostNetwork {
					port = p.ContainerPort
				}
				protocol := p.Protocol
				if protocol == "" {
					protocol = corev1.ProtocolTCP
				}
				if port != 0 {
					all = append(all, fmt.Sprintf("%d/%s", port, protocol))
				}
			}
		}
	}
	return all
}

// Claims lists the names of the claims that a pod mounts.
func Claims(spec *corev1.PodSpec) []string {
	var all []string
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			all = append(all, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return all
}

func sharesClaim(a, b *corev1.PodSpec) bool {
	return slices.ContainsFunc(Claims(a), func(name string) bool { return slices.Contains(Claims(b), name) })
}

// Repels reports whether a pod must not run next to another one with the same
// template, on any topology.
func Repels(t *corev1.PodTemplateSpec) bool {
	a := t.Spec.Affinity
	if a == nil || a.PodAntiAffinity == nil {
		return false
	}
	for _, term := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		if err == nil && selector.Matches(labels.Set(t.Labels)) {
			return true
		}
	}
	return false
}

// sharedRoom returns a resource of which the scheduler finds too little and of which the
// old pod has reserved at least as much as the new one requests, so that the new one
// would fit in its place.
func sharedRoom(says string, next, was *corev1.PodSpec) string {
	want := resourcehelpers.PodRequests(&corev1.Pod{Spec: *next}, resourcehelpers.PodResourcesOptions{})
	have := resourcehelpers.PodRequests(&corev1.Pod{Spec: *was}, resourcehelpers.PodResourcesOptions{})
	var held []string
	for name, needs := range want {
		if !strings.Contains(says, saysInsufficient+string(name)) {
			continue
		}
		if room := have[name]; needs.IsZero() || room.Cmp(needs) < 0 {
			return "" // it would not fit in the old one's place either
		}
		held = append(held, fmt.Sprintf("the %s %s that it needs", needs.String(), name))
	}
	slices.Sort(held)
	return strings.Join(held, " and ")
}
