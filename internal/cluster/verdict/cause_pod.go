package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// ofPod returns what prevents a pod of the new revision from being ready.
func (j *judgement) ofPod(pod *corev1.Pod) *Cause {
	if podutils.IsPodReady(pod) && !down(pod) {
		return nil
	}
	for _, look := range []func(*corev1.Pod) *Cause{lost, gated, j.unschedulable} {
		if c := look(pod); c != nil {
			return c
		}
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
	if c := readinessGates(pod); c != nil {
		return c
	}
	return j.beforeContainers(pod)
}

// lost reports pods on a node that does not answer. The node controller marks these with
// Unknown (until Kubernetes 1.13) or only with Ready=False. In the second case the
// kubelet's ContainersReady still says the opposite, and no gate explains it.
func lost(pod *corev1.Pod) *Cause {
	ready := condition(pod, corev1.PodReady)
	containers := condition(pod, corev1.ContainersReady)
	unknown := ready != nil && (ready.Status == corev1.ConditionUnknown || ready.Reason == "NodeStatusUnknown")
	overruled := ready != nil && ready.Status == corev1.ConditionFalse && ready.Reason == "" && len(pod.Spec.ReadinessGates) == 0 &&
		containers != nil && containers.Status == corev1.ConditionTrue
	if !unknown && !overruled && pod.Status.Reason != "NodeLost" {
		return nil
	}
	why := "the control plane has set its pods to not ready"
	if ready != nil && ready.Message != "" {
		why = termtext.Line(ready.Message)
	}
	fix := "`kubectl describe pod " + pod.Name + "` shows who changed its status"
	if pod.Spec.NodeName != "" {
		fix = "check the machine; `kubectl describe node " + pod.Spec.NodeName + "`"
	}
	return transient(CodeNodeLost, nodeOf(pod)+" does not answer", why, fix)
}

// gated reports a pod that is not scheduled until its scheduling gates have been removed.
func gated(pod *corev1.Pod) *Cause {
	c := condition(pod, corev1.PodScheduled)
	if c == nil || c.Status != corev1.ConditionFalse || c.Reason != corev1.PodReasonSchedulingGated {
		return nil
	}
	names := make([]string, 0, len(pod.Spec.SchedulingGates))
	for _, g := range pod.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	gates := strings.Join(names, ", ")
	return transient(
		CodeSchedulingGate,
		fmt.Sprintf("pod %s is not scheduled before its scheduling gate is removed: %s", pod.Name, gates),
		termtext.Line(c.Message),
		"check the controller that should remove "+gates+", or leave schedulingGates out of the pod template",
	)
}

// readinessGates reports a pod whose containers are all ready, but that lacks a
// condition which another program sets.
func readinessGates(pod *corev1.Pod) *Cause {
	if c := condition(pod, corev1.ContainersReady); c == nil || c.Status != corev1.ConditionTrue {
		return nil
	}
	var missing, why []string
	for _, gate := range pod.Spec.ReadinessGates {
		c := condition(pod, gate.ConditionType)
		if c != nil && c.Status == corev1.ConditionTrue {
			continue
		}
		missing = append(missing, string(gate.ConditionType))
		if c != nil && c.Reason+c.Message != "" {
			why = append(why, strings.Trim(c.Reason+": "+c.Message, ": "))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if ready := condition(pod, corev1.PodReady); len(why) == 0 && ready != nil {
		why = append(why, ready.Message)
	}
	gates := strings.Join(missing, ", ")
	return transient(
		CodeReadinessGate,
		fmt.Sprintf("pod %s runs and waits for its readiness gate: %s", pod.Name, gates),
		termtext.Line(strings.Join(why, "; ")),
		"check the controller that sets the condition "+gates+" (a load balancer's, for example), "+
			"or leave readinessGates out of the pod template",
	)
}

// beforeContainers returns what the kubelet reports only in events while every container
// waits as ContainerCreating.
func (j *judgement) beforeContainers(pod *corev1.Pod) *Cause {
	if pod.Status.Phase != corev1.PodPending || pod.Spec.NodeName == "" {
		return nil
	}
	for _, s := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		if w := s.State.Waiting; w == nil || w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return nil
		}
	}
	e := j.event(pod.UID, "", "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady")
	if e == nil {
		return j.hookRunning(pod)
	}
	why := termtext.Line(e.Message)
	switch {
	case e.Reason == "NetworkNotReady":
		return transient(
			CodeNetworkNotReady,
			fmt.Sprintf("the network of node %s is not ready, so pod %s cannot start", pod.Spec.NodeName, pod.Name),
			why,
			"check the node's network plugin: its pods in kube-system and its configuration in /etc/cni/net.d",
		)
	case e.Reason == "FailedCreatePodSandBox":
		return transient(
			CodeSandbox,
			fmt.Sprintf("pod %s gets no sandbox on node %s", pod.Name, pod.Spec.NodeName),
			why,
			"check the node's network plugin and container runtime",
		)
	case strings.Contains(why, "Multi-Attach error") || strings.Contains(why, "already exclusively attached"):
		return j.multiAttach(pod, why)
	case strings.Contains(why, "not found") && (strings.Contains(why, "secret ") || strings.Contains(why, "configmap ")):
		return transient(CodeConfigMissing, fmt.Sprintf("pod %s cannot mount a Secret or ConfigMap that does not exist", pod.Name), why,
			"create the Secret or ConfigMap that the message names, or mark the volume optional")
	}
	return transient(CodeVolume, fmt.Sprintf("pod %s cannot mount a volume", pod.Name), why, "check the volume and its storage driver")
}

// multiAttach reports a volume that only one node may have at a time and that is still
// attached to another one.
func (j *judgement) multiAttach(pod *corev1.Pod, why string) *Cause {
	c := transient(CodeMultiAttach, fmt.Sprintf("pod %s needs a volume that is still attached to another node", pod.Name), why,
		"end the pod that has it; if its node is gone, delete that pod with --force and the node's VolumeAttachment")
	for _, old := range j.old {
		if strings.Contains(why, old.Name) ||
			old.Spec.NodeName != pod.Spec.NodeName && sharesClaim(&j.Workload.Template().Spec, j.templateOf(old)) {
			c.What = fmt.Sprintf(
				"pod %s needs a volume that pod %s of the same workload still has on node %s",
				pod.Name,
				old.Name,
				old.Spec.NodeName,
			)
			c.Fix = inPlace
			return c
		}
	}
	return c
}

// hookRunning reports a postStart hook that is running. Meanwhile the kubelet reports its
// container as being created, without an event.
func (j *judgement) hookRunning(pod *corev1.Pod) *Cause {
	scheduled := condition(pod, corev1.PodScheduled)
	if scheduled == nil || j.Now.Sub(scheduled.LastTransitionTime.Time) < 20*time.Second {
		return nil
	}
	for _, c := range pod.Spec.Containers {
		if c.Lifecycle != nil && c.Lifecycle.PostStart != nil {
			return transient(
				CodeHookRunning,
				fmt.Sprintf(
					"container %s of pod %s is still being created; it has a postStart hook, which may not have returned yet",
					c.Name,
					pod.Name,
				),
				fmt.Sprintf(
					"the pod was placed %s ago",
					j.Now.Sub(scheduled.LastTransitionTime.Time).Round(time.Second),
				),
				"make the hook's command return soon",
			)
		}
	}
	return nil
}

// ofFinished returns why pods of the new revision ended as a whole (the kubelet refused
// them, or their node shut down), unless each has a replacement. If three or more ended
// for the same reason, their replacements are expected to end in the same way.
func (j *judgement) ofFinished() []*Cause {
	wanted := j.Workload.Replicas()
	if rs := j.replicaSet; rs != nil && rs.Spec.Replicas != nil {
		wanted = *rs.Spec.Replicas
	}
	replaced := int32(len(j.fresh)) >= wanted
	byCode := map[pipeline.Code]*Cause{}
	var order []pipeline.Code
	for _, pod := range j.finished {
		c := finished(pod)
		if byCode[c.Code] == nil {
			c.Pod = pod.Name
			byCode[c.Code] = c
			order = append(order, c.Code)
		}
		byCode[c.Code].Pods++
	}
	var all []*Cause
	for _, code := range order {
		if c := byCode[code]; !replaced || c.Pods >= 3 {
			all = append(all, c)
		}
	}
	return all
}

// finished describes why a pod has ended as a whole. The reasons are those of the
// kubelet's admission (pkg/kubelet/lifecycle/predicate.go), eviction and shutdown
// managers.
func finished(pod *corev1.Pod) *Cause {
	reason := pod.Status.Reason
	if c := condition(pod, corev1.DisruptionTarget); reason == "" && c != nil {
		reason = c.Reason
	}
	why := termtext.Line(strings.Trim(reason+": "+pod.Status.Message, ": "))
	node := nodeOf(pod)
	switch {
	case strings.HasPrefix(reason, "OutOf"):
		return transient(CodeNodeFull, fmt.Sprintf("%s refused pod %s: it has no room for it", node, pod.Name), why,
			"lower the pod's requests, or let the scheduler choose the node (no spec.nodeName)")
	case reason == "NodeShutdown" || reason == "TerminationByKubelet" || reason == "Terminated" || reason == "Shutdown":
		return transient(
			CodeNodeShutdown,
			fmt.Sprintf("%s is shutting down and ended pod %s", node, pod.Name),
			why,
			"wait for the node, or for another one",
		)
	case reason == "DeadlineExceeded":
		return transient(CodePodDeadline, fmt.Sprintf("pod %s was ended because it ran for longer than activeDeadlineSeconds", pod.Name), why,
			"leave activeDeadlineSeconds out of the pod template: a worker has no deadline")
	case reason == "Preempting" || reason == "Preempted" || reason == "PreemptionByScheduler":
		return transient(
			CodePreempted,
			fmt.Sprintf("pod %s had to make room for one of a higher priority", pod.Name),
			why,
			"give it a priorityClassName, or add a node",
		)
	case reason == "Evicted":
		return transient(
			CodeEvicted,
			fmt.Sprintf("%s evicted pod %s", node, pod.Name),
			why,
			"free resources on the node, or lower what the pod uses",
		)
	case pod.Status.Phase == corev1.PodSucceeded:
		return transient(CodeExits, fmt.Sprintf("pod %s does not keep running", pod.Name), "all of its containers ended with exit code 0",
			"its command must keep running as long as the worker should")
	}
	return transient(CodeNodeRefused, fmt.Sprintf("%s did not keep pod %s", node, pod.Name), why, "follow the message")
}

// nodeOf names a pod's node. A pod that never got one, or that a test or a controller marked
// as ended, has none.
func nodeOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName == "" {
		return "the cluster"
	}
	return "node " + pod.Spec.NodeName
}

// ofOldPods reports a pod on a node that does not answer: if the controller replaces pods
// one by one, it blocks all others.
func (j *judgement) ofOldPods() *Cause {
	d := j.Workload.Deployment
	if d != nil && d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return nil
	}
	for _, pod := range append(slices.Clone(j.old), j.ending...) {
		c := lost(pod)
		overdue := pod.DeletionTimestamp != nil && j.Now.Sub(pod.DeletionTimestamp.Time) > time.Minute
		if c == nil && !overdue {
			continue
		}
		if c == nil {
			c = transient(CodeNodeLost, "", "it should have ended "+j.Now.Sub(pod.DeletionTimestamp.Time).Round(time.Second).String()+" ago", "")
		}
		c.What = fmt.Sprintf("%s waits for pod %s, which %s does not end", j.Workload.Ref(), pod.Name, nodeOf(pod))
		c.Fix = fmt.Sprintf("repair or delete the node (`kubectl delete node %s`)", pod.Spec.NodeName)
		if pod.Spec.NodeName == "" {
			c.Fix = fmt.Sprintf("see who holds it (metadata.finalizers): `kubectl get pod %s -o yaml`", pod.Name)
		}
		if j.Workload.DaemonSet != nil {
			c.Fix += ", or raise updateStrategy.rollingUpdate.maxUnavailable"
		}
		c.Pod, c.Pods = pod.Name, 1
		return c
	}
	return nil
}

// container is one container of a pod with its status.
type container struct {
	spec    *corev1.Container
	status  *corev1.ContainerStatus
	init    bool // runs once and ends
	sidecar bool // an init container that keeps running
}

// kind returns what people call it.
func (c container) kind() string {
	switch {
	case c.init:
		return "init container"
	case c.sidecar:
		return "sidecar"
	}
	return "container"
}

// containersOf pairs specs with statuses, init containers first.
func containersOf(pod *corev1.Pod) []container {
	var all []container
	pair := func(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) {
		for i := range specs {
			spec := &specs[i]
			sidecar := init && spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
			for k := range statuses {
				if statuses[k].Name == spec.Name {
					all = append(all, container{spec: spec, status: &statuses[k], init: init && !sidecar, sidecar: sidecar})
				}
			}
		}
	}
	pair(pod.Spec.InitContainers, pod.Status.InitContainerStatuses, true)
	pair(pod.Spec.Containers, pod.Status.ContainerStatuses, false)
	return all
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
