package verdict

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// describe fills in the fields that every verdict has, for people to read.
func (j *judgement) describe() Verdict {
	v := Verdict{Revision: j.revision, Wanted: j.Workload.Replicas(), Updated: int32(len(j.fresh)), Ready: j.readyNew()}
	if j.PodsUnknown {
		v.Updated, v.Ready = counts(j.Workload)
	}
	for _, pod := range j.fresh {
		v.Pods = append(v.Pods, row(pod, j.Now))
	}
	for _, pod := range j.old {
		v.Old = append(v.Old, pod.Name)
	}
	for _, pod := range j.ending {
		// deletionTimestamp is when the pod will be killed: the request plus the grace period.
		kill := pod.DeletionTimestamp.Time
		var grace time.Duration
		if s := pod.DeletionGracePeriodSeconds; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		v.Ending = append(v.Ending, Ending{Name: pod.Name, Since: j.Now.Sub(kill.Add(-grace)), Left: kill.Sub(j.Now)})
	}
	return v
}

// counts returns the workload's own counts, for users who may not read pods.
func counts(w *workload.Workload) (updated, ready int32) {
	switch {
	case w.Deployment != nil:
		return w.Deployment.Status.UpdatedReplicas, w.Deployment.Status.ReadyReplicas
	case w.StatefulSet != nil:
		return w.StatefulSet.Status.UpdatedReplicas, w.StatefulSet.Status.ReadyReplicas
	}
	return w.DaemonSet.Status.UpdatedNumberScheduled, w.DaemonSet.Status.NumberReady
}

func row(pod *corev1.Pod, now time.Time) Pod {
	p := Pod{
		Name: pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName, Ready: podutils.IsPodReady(pod),
		State: termtext.Line(podState(pod)), Age: now.Sub(pod.CreationTimestamp.Time),
	}
	for i, s := range pod.Status.ContainerStatuses {
		p.Restarts += s.RestartCount
		if i == 0 {
			p.ImageID = s.ImageID
		}
	}
	return p
}

// podState returns the word that kubectl would show in the STATUS column.
func podState(pod *corev1.Pod) string {
	if pod.Status.Reason != "" {
		return pod.Status.Reason
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range list {
			switch {
			case s.State.Waiting != nil && s.State.Waiting.Reason != "" && s.State.Waiting.Reason != "PodInitializing":
				return s.State.Waiting.Reason
			case s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
				if s.State.Terminated.Reason != "" {
					return s.State.Terminated.Reason
				}
				return "Error"
			}
		}
	}
	return string(pod.Status.Phase)
}

// marks counts pods by the stage they reached.
func (j *judgement) marks() marks {
	var m marks
	m[0] = int32(len(j.fresh))
	for _, pod := range j.fresh {
		if c := condition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue {
			m[1]++
		}
		started := len(pod.Status.ContainerStatuses) > 0
		for _, s := range pod.Status.ContainerStatuses {
			started = started && (s.State.Running != nil || s.RestartCount > 0 || s.State.Terminated != nil)
		}
		if started {
			m[2]++
		}
		if podutils.IsPodReady(pod) {
			m[3]++
		}
	}
	switch w := j.Workload; {
	case w.Deployment != nil:
		m[4] = w.Deployment.Status.AvailableReplicas
	case w.StatefulSet != nil:
		m[4] = w.StatefulSet.Status.AvailableReplicas
	default:
		m[4] = w.DaemonSet.Status.NumberAvailable
	}
	return m
}
