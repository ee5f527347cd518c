package verdict

import (
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Judge says how the rollout stands. m is what the judgement before gave back,
// the zero Memory for the first one; the Memory given back belongs to the next.
// Neither s nor what it points to is altered.
func Judge(s Snapshot, p Policy, m Memory) (Verdict, Memory) {
	j := &judgement{Snapshot: s, policy: p.withDefaults(), about: map[types.UID][]*corev1.Event{}}
	for _, e := range s.Events {
		j.about[e.InvolvedObject.UID] = append(j.about[e.InvolvedObject.UID], e)
	}
	j.newRevision()
	j.sortPods()
	v := j.describe()
	m = m.moved(j.marks(), s.Now)

	if seen, now := Observed(s.Workload); seen < now {
		v.State, v.Waiting = Progressing, fmt.Sprintf("the controller to see generation %d", now)
		return v, m
	}
	complete, waiting := j.complete()
	if complete {
		return j.settle(v, m)
	}
	m.complete = time.Time{}
	v.State, v.Waiting = Progressing, waiting

	causes := j.causes()
	if gaveUp := j.deadlineExceeded(); gaveUp != nil {
		// What stands in the way says more than that time is up.
		gaveUp.Terminal = true
		if len(causes) > 0 {
			c := causes[0]
			c.Terminal = true
			gaveUp = &c
		}
		causes = []Cause{*gaveUp}
	}
	m = m.remember(causes, s.Now)
	return j.conclude(v, m, causes), m
}

func (p Policy) withDefaults() Policy {
	if p.Grace == 0 {
		p.Grace = 1
	}
	switch {
	case p.Restarts == 0:
		p.Restarts = 1
	case p.Restarts < 0:
		p.Restarts = 0
	}
	if p.Settle == 0 {
		p.Settle = 3 * time.Second
	}
	return p
}

// judgement is one call of Judge: the snapshot, sorted.
type judgement struct {
	Snapshot
	policy Policy

	replicaSet *appsv1.ReplicaSet // the new one; nil for the other kinds
	revision   string             // its name, or the ControllerRevision's
	fresh      []*corev1.Pod      // of the new revision, not ending
	old        []*corev1.Pod      // of others, not ending
	ending     []*corev1.Pod      // of others, ending

	about map[types.UID][]*corev1.Event // Events by whom they are about
}

// conclude picks the cause that ends the rollout first.
func (j *judgement) conclude(v Verdict, m Memory, causes []Cause) Verdict {
	for i := range causes {
		c := causes[i]
		since := m.seen[c.Code].first
		if c.Terminal {
			v.State, v.Cause, v.Since, v.Deadline, v.Again = Failed, &c, since, since, time.Time{}
			return v
		}
		deadline := since.Add(time.Duration(math.Round(float64(c.grace) * j.policy.Grace)))
		if v.Cause == nil || deadline.Before(v.Deadline) {
			v.State, v.Cause, v.Since, v.Deadline, v.Again = Failing, &c, since, deadline, deadline
		}
	}
	if v.Cause != nil && !j.Now.Before(v.Deadline) {
		v.State, v.Again = Failed, time.Time{}
	}
	return v
}

// settle holds completeness back for pods that are ready merely because
// nobody asks them.
func (j *judgement) settle(v Verdict, m Memory) (Verdict, Memory) {
	if m.complete.IsZero() {
		m.complete = j.Now
	}
	v.State = Complete
	if !j.mustSettle() {
		return v, m
	}
	if end := m.complete.Add(j.policy.Settle); j.Now.Before(end) {
		v.State, v.Waiting, v.Again = Progressing, "new pods without a readiness probe to prove that they keep running", end
	}
	return v, m
}

// mustSettle tells whether a container without a readiness probe started only
// now. Half a minute leaves room for a node whose clock is off.
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
