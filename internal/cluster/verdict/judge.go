package verdict

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Judge judges the state of the rollout. m is the Memory that the previous judgement
// returned, or the zero Memory for the first one; the returned Memory is for the next. s
// and what it points to are not modified.
func Judge(s Snapshot, p Policy, m Memory) (Verdict, Memory) {
	j := newJudgement(s, p)
	v := j.describe()
	m = m.moved(j.marks(), s.Now)

	if seen, now := Observed(s.Workload); seen < now {
		v.State, v.Waiting = Progressing, fmt.Sprintf("the controller to see generation %d", now)
		return v, m
	}
	complete, waiting := j.complete()
	if complete && !slices.ContainsFunc(j.fresh, down) {
		return j.settle(v, m)
	}
	m.complete = time.Time{}
	v.State, v.Waiting = Progressing, waiting

	causes := j.causes()
	if gaveUp := j.deadlineExceeded(); gaveUp != nil {
		// The cause that blocks the rollout is more informative than the timeout.
		gaveUp.Terminal = true
		if len(causes) > 0 {
			c := causes[0]
			c.Terminal = true
			gaveUp = &c
		} else if lacks := j.lacking(); lacks != "" {
			gaveUp.Why = lacks
		}
		causes = []Cause{*gaveUp}
	}
	m = m.remember(causes, s.Now)
	return j.conclude(v, m, causes), m
}

func newJudgement(s Snapshot, p Policy) *judgement {
	j := &judgement{Snapshot: s, policy: p.withDefaults(), about: map[types.UID][]*corev1.Event{}}
	for _, e := range s.Events {
		j.about[e.InvolvedObject.UID] = append(j.about[e.InvolvedObject.UID], e)
	}
	j.newRevision()
	j.sortPods()
	return j
}

func (p Policy) withDefaults() Policy {
	if p.Grace == 0 {
		p.Grace = 1
	}
	switch {
	case p.Restarts == 0:
		p.Restarts = 2
	case p.Restarts < 0:
		p.Restarts = 0
	}
	if p.Settle == 0 {
		p.Settle = 5 * time.Second
	}
	return p
}

// judgement is one call of Judge: the snapshot, sorted.
type judgement struct {
	Snapshot
	policy Policy

	replicaSet *appsv1.ReplicaSet // the new one; nil for the other kinds
	revision   string             // its name, or the ControllerRevision's
	fresh      []*corev1.Pod      // of the new revision, neither terminating nor finished
	finished   []*corev1.Pod      // of the new revision, Failed or Succeeded
	old        []*corev1.Pod      // of other revisions, not terminating
	ending     []*corev1.Pod      // of other revisions, terminating

	about map[types.UID][]*corev1.Event // Events by the object they are about
	// overdue: the time is up, so probes and init containers get no more of it.
	overdue bool
}

// conclude picks the cause that fails the rollout first. A cause without a grace period
// comes last, because it fails the rollout only at the timeout.
func (j *judgement) conclude(v Verdict, m Memory, causes []Cause) Verdict {
	for i := range causes {
		c := causes[i]
		since := m.seen[c.Code].first
		if c.Terminal {
			v.State, v.Cause, v.Since, v.Deadline, v.Again = Failed, &c, since, since, time.Time{}
			return v
		}
		if c.grace == 0 {
			if v.Cause == nil {
				v.State, v.Cause, v.Since = Failing, &c, since
			}
			continue
		}
		deadline := since.Add(time.Duration(math.Round(float64(c.grace) * j.policy.Grace)))
		if v.Cause == nil || v.Deadline.IsZero() || deadline.Before(v.Deadline) {
			v.State, v.Cause, v.Since, v.Deadline, v.Again = Failing, &c, since, deadline, deadline
		}
	}
	if v.Cause != nil && !v.Deadline.IsZero() && !j.Now.Before(v.Deadline) {
		v.State, v.Again = Failed, time.Time{}
	}
	if v.State == Progressing && v.Again.IsZero() {
		v.Again = j.namedAt()
	}
	return v
}

// namedAt returns when a cause that no report announces will show merely because time has
// passed.
func (j *judgement) namedAt() (at time.Time) {
	for _, pod := range j.fresh {
		for _, c := range containersOf(pod) {
			if c.init && c.status.State.Running != nil {
				if t := c.status.State.Running.StartedAt.Add(initPatience); t.After(j.Now) && (at.IsZero() || t.Before(at)) {
					at = t
				}
			}
		}
	}
	return at
}

// down reports whether a container should be running but is not. The pod's condition and
// the workload's counts may not show that yet.
func down(pod *corev1.Pod) bool {
	return slices.ContainsFunc(containersOf(pod), func(c container) bool {
		s := c.status
		return !c.init && (s.State.Terminated != nil || s.State.Waiting != nil && s.State.Waiting.Reason == crashLoopBackOff)
	})
}

// settle delays completion for pods that are ready only because nobody probes
// them, and for containers that have crashed and are running again.
func (j *judgement) settle(v Verdict, m Memory) (Verdict, Memory) {
	if m.complete.IsZero() {
		m.complete = j.Now
	}
	v.State = Complete
	waitFor := func(end time.Time, what string) {
		if j.Now.Before(end) && end.After(v.Again) {
			v.State, v.Settling, v.Waiting, v.Again = Progressing, true, what, end
		}
	}
	if j.mustSettle() {
		waitFor(m.complete.Add(j.policy.Settle), "new pods without a readiness probe to prove that they keep running")
	}
	if j.policy.Settle > 0 {
		for _, pod := range j.fresh {
			for _, c := range containersOf(pod) {
				if end, ok := j.provenAt(c, m); ok {
					waitFor(end, fmt.Sprintf("%s %s of pod %s, which has ended before, to prove that it keeps running", c.kind(), c.spec.Name, pod.Name))
				}
			}
		}
	}
	return v, m
}

// Limits of how long a container that has crashed must run before it counts as
// running: twice as long as it ran before its last end.
const (
	provenMin = 10 * time.Second
	provenMax = time.Minute
)

// provenAt returns when a container that has ended before will have run for long enough;
// false if it has never ended.
func (j *judgement) provenAt(c container, m Memory) (time.Time, bool) {
	times, last := ends(c.status)
	if c.init || times == 0 || c.status.State.Running == nil {
		return time.Time{}, false
	}
	proof := provenMin
	if last != nil && !last.StartedAt.IsZero() {
		proof = min(max(provenMin, 2*last.FinishedAt.Sub(last.StartedAt.Time)), provenMax)
	}
	started := c.status.State.Running.StartedAt.Time
	if started.After(m.complete) {
		started = m.complete // a node whose clock is ahead
	}
	return started.Add(proof), true
}

// mustSettle reports whether a container without a probe has only just started.
// Half a minute allows for a node whose clock is off.
func (j *judgement) mustSettle() bool {
	for _, pod := range j.fresh {
		for _, c := range pod.Spec.Containers {
			if c.ReadinessProbe != nil || c.StartupProbe != nil {
				continue
			}
			s := status(pod, c.Name)
			if s == nil || s.State.Running == nil || j.Now.Sub(s.State.Running.StartedAt.Time) < 30*time.Second {
				return true
			}
		}
	}
	return false
}

func status(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == container {
			return s
		}
	}
	return nil
}
