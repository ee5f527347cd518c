package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Lacking returns what the new revision still lacks, in one line: the first pod that is not
// available, and its reason as far as the API shows one. It is for a wait that is over,
// whether at the caller's timeout or because the controller gave up, so it names what Judge
// still tolerates: a probe that has not had all of its time, an init container that has only
// just started, a pod without any report. It is empty if nothing is known.
func Lacking(s Snapshot, p Policy) string {
	j := newJudgement(s, p)
	return j.lacking()
}

func (j *judgement) lacking() string {
	j.overdue = true
	if causes := j.causes(); len(causes) > 0 {
		c := causes[0]
		return strings.TrimSuffix(c.What+": "+c.Why, ": ")
	}
	for _, pod := range j.fresh {
		if text := j.lackingIn(pod); text != "" {
			return text
		}
	}
	if len(j.ending) > 0 {
		p := j.ending[0]
		return fmt.Sprintf("pod %s of the old version has been terminating for %s", p.Name, sinceDeletion(p, j.Now))
	}
	return ""
}

// lackingIn describes a pod for which no cause is known.
func (j *judgement) lackingIn(pod *corev1.Pod) string {
	if podutils.IsPodReady(pod) {
		since := condition(pod, corev1.PodReady).LastTransitionTime.Time
		if d := j.Workload.MinReadySeconds(); j.Now.Sub(since) < d {
			return fmt.Sprintf("pod %s has been Ready for %s, and minReadySeconds asks for %s", pod.Name, round(j.Now.Sub(since)), d)
		}
		return ""
	}
	if pod.Spec.NodeName == "" {
		why := "the scheduler has reported nothing about it"
		if c := condition(pod, corev1.PodScheduled); c != nil && c.Message != "" {
			why = termtext.Line(c.Message)
		}
		return fmt.Sprintf("pod %s has no node yet: %s", pod.Name, why)
	}
	for _, s := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		if w := s.State.Waiting; w != nil && w.Reason != "PodInitializing" {
			text := fmt.Sprintf("container %s of pod %s waits (%s)", s.Name, pod.Name, w.Reason)
			return strings.TrimSuffix(text+": "+termtext.Line(w.Message), ": ")
		}
	}
	if len(pod.Status.ContainerStatuses) == 0 {
		return fmt.Sprintf("node %s has reported nothing about pod %s", pod.Spec.NodeName, pod.Name)
	}
	why := "no container of it says why"
	if c := condition(pod, corev1.PodReady); c != nil && c.Message != "" {
		why = termtext.Line(c.Message)
	}
	return fmt.Sprintf("pod %s is not Ready: %s", pod.Name, why)
}

// sinceDeletion returns how long ago a pod's deletion was requested.
func sinceDeletion(pod *corev1.Pod, now time.Time) time.Duration {
	requested := pod.DeletionTimestamp.Time // when it will be killed: the request plus the grace period
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		requested = requested.Add(-time.Duration(*s) * time.Second)
	}
	return round(now.Sub(requested))
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }
