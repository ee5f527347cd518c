package verdict

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/plain"
)

// ofPod is what keeps a pod of the new revision from being ready.
func (j *judgement) ofPod(pod *corev1.Pod) *Cause {
	if isReady(pod) {
		return nil
	}
	if c := lost(pod); c != nil {
		return c
	}
	if c := unschedulable(pod); c != nil {
		return c
	}
	if pod.Status.Phase == corev1.PodFailed && len(pod.Status.ContainerStatuses) == 0 || pod.Status.Reason == "Evicted" {
		return transient("evicted", fmt.Sprintf("pod %s was not kept by node %s", pod.Name, pod.Spec.NodeName),
			plain.Line(pod.Status.Reason+": "+pod.Status.Message), "make room on the node, or let the pod go elsewhere")
	}
	var first *Cause
	for _, c := range containersOf(pod) {
		cause := j.ofContainer(pod, c)
		if cause == nil {
			continue
		}
		cause.Container = c.spec.Name
		if cause.Terminal {
			return cause
		}
		if first == nil {
			first = cause
		}
	}
	if first != nil {
		return first
	}
	return j.beforeContainers(pod)
}

// lost: the node controller marks pods of a node that does not answer.
func lost(pod *corev1.Pod) *Cause {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && (c.Status == corev1.ConditionUnknown || c.Reason == "NodeStatusUnknown") || pod.Status.Reason == "NodeLost" {
			return transient("node-lost", fmt.Sprintf("node %s does not answer", pod.Spec.NodeName), plain.Line(c.Message),
				"`kubectl describe node "+pod.Spec.NodeName+"`; is the machine up?")
		}
	}
	return nil
}

func unschedulable(pod *corev1.Pod) *Cause {
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.PodScheduled || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonUnschedulable {
			continue
		}
		why := plain.Line(c.Message)
		if strings.Contains(why, "persistentvolumeclaim") && strings.Contains(why, "not found") {
			return transient("claim-missing", fmt.Sprintf("pod %s cannot be placed: its PersistentVolumeClaim is not there", pod.Name), why,
				"create the claim, or correct claimName")
		}
		return transient("unschedulable", fmt.Sprintf("no node takes pod %s", pod.Name), why,
			"lower its requests, correct its nodeSelector, affinity or tolerations, or add a node")
	}
	return nil
}

// beforeContainers is what the kubelet says in events alone, while every
// container waits as ContainerCreating.
func (j *judgement) beforeContainers(pod *corev1.Pod) *Cause {
	if pod.Status.Phase != corev1.PodPending || pod.Spec.NodeName == "" {
		return nil
	}
	for _, s := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		if w := s.State.Waiting; w == nil || w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return nil
		}
	}
	e := j.event(pod.UID, "", "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")
	if e == nil {
		return nil
	}
	why := plain.Line(e.Message)
	if e.Reason == "FailedCreatePodSandBox" {
		return transient("sandbox", fmt.Sprintf("pod %s gets no sandbox on node %s", pod.Name, pod.Spec.NodeName), why, "look after the node's network plugin and runtime")
	}
	if strings.Contains(why, "not found") && (strings.Contains(why, "secret ") || strings.Contains(why, "configmap ")) {
		return transient("config-missing", fmt.Sprintf("pod %s cannot mount what is not there", pod.Name), why, "create the Secret or ConfigMap that is named, or mark the volume optional")
	}
	return transient("volume", fmt.Sprintf("pod %s cannot mount a volume", pod.Name), why, "look after the volume")
}

// container is one container of a pod with its status.
type container struct {
	spec   *corev1.Container
	status *corev1.ContainerStatus
	init   bool // runs once and ends, unless it is a sidecar
}

// containersOf pairs specs with statuses, init containers first.
func containersOf(pod *corev1.Pod) []container {
	var all []container
	pair := func(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) {
		for i := range specs {
			spec := &specs[i]
			once := init && (spec.RestartPolicy == nil || *spec.RestartPolicy != corev1.ContainerRestartPolicyAlways)
			for k := range statuses {
				if statuses[k].Name == spec.Name {
					all = append(all, container{spec: spec, status: &statuses[k], init: once})
				}
			}
		}
	}
	pair(pod.Spec.InitContainers, pod.Status.InitContainerStatuses, true)
	pair(pod.Spec.Containers, pod.Status.ContainerStatuses, false)
	return all
}
