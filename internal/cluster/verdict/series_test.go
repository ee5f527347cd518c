package verdict_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
)

type series struct {
	m      verdict.Memory
	policy verdict.Policy
}

func (s *series) judge(w *world) verdict.Verdict {
	var v verdict.Verdict
	v, s.m = verdict.Judge(w.snapshot(), s.policy, s.m)
	return v
}

func TestGraceRestartsOnProgress(t *testing.T) {
	w := newWorld(2)
	full := unschedulable("0/1 nodes are available: 1 Insufficient cpu.")
	w.pod("a", w.new, full)
	w.pod("b", w.new, full)
	var s series
	if v := s.judge(w); !v.Deadline.Equal(t0.Add(60 * time.Second)) {
		t.Fatal(v.Deadline)
	}
	w.now = t0.Add(50 * time.Second)
	w.pods = w.pods[1:]
	w.pod("a", w.new) // an autoscaler brought a node: a is placed
	v := s.judge(w)
	if v.State != verdict.Failing || !v.Deadline.Equal(t0.Add(110*time.Second)) {
		t.Fatalf("%s, deadline %s", v.State, v.Deadline.Sub(t0))
	}
	// A count that goes back and forth extends the deadline only once.
	w.now = t0.Add(80 * time.Second)
	w.pods[1].Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	s.judge(w)
	w.now = t0.Add(90 * time.Second)
	w.pods[1].Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	if v = s.judge(w); !v.Deadline.Equal(t0.Add(110 * time.Second)) {
		t.Fatalf("deadline %s", v.Deadline.Sub(t0))
	}
	w.now = t0.Add(110 * time.Second)
	if v = s.judge(w); v.State != verdict.Failed {
		t.Fatal(v.State)
	}
}

func TestCauseInvisibleForAMoment(t *testing.T) {
	const refused = `dial tcp 1.2.3.4:443: connect: connection refused`
	w := one(waiting("ErrImagePull", refused))()
	var s series
	s.judge(w)
	set := func(after time.Duration, change func(*corev1.Pod)) verdict.Verdict {
		w.now = t0.Add(after)
		change(w.pods[0])
		return s.judge(w)
	}
	set(20*time.Second, waiting("ContainerCreating", ""))
	if v := set(25*time.Second, waiting("ErrImagePull", refused)); !v.Since.Equal(t0) {
		t.Fatalf("since %s", v.Since.Sub(t0))
	}
	// If it is invisible for longer, it counts as a new one.
	set(30*time.Second, waiting("ContainerCreating", ""))
	if v := set(45*time.Second, waiting("ErrImagePull", refused)); !v.Since.Equal(t0.Add(45 * time.Second)) {
		t.Fatalf("since %s", v.Since.Sub(t0))
	}
}

func TestShortestDeadlineOfSeveralCauses(t *testing.T) {
	w := newWorld(3)
	w.pod("a", w.new, unschedulable("no"))
	w.pod("b", w.new, unschedulable("no"))
	w.pod("c", w.new, waiting("CreateContainerConfigError", `secret "s" not found`))
	v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	if v.Cause.Code != "config-missing" || !v.Again.Equal(t0.Add(10*time.Second)) {
		t.Fatalf("%+v %s", v.Cause, v.Again)
	}
	// A terminal cause fails the rollout at once, whichever pod has it.
	w.pod("d", w.new, waiting("InvalidImageName", "bad"))
	if v, _ = verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); v.State != verdict.Failed || v.Cause.Code != "image-name" {
		t.Fatalf("%+v", v.Cause)
	}
}

func TestCausesAreCounted(t *testing.T) {
	w := newWorld(3)
	for i := range 3 {
		w.pod(fmt.Sprint("p", i), w.new, ended(1, 1, "Error", ""))
	}
	w.logs[verdict.Container{Pod: "p2", Name: "c"}] = "starting\nexec /w: Exec format error\n"
	v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	// One log is representative of all pods with the image.
	if v.Cause.Code != "exec-format" || v.Cause.Pod != "p2" || v.Cause.Why != "exec /w: Exec format error" {
		t.Fatalf("%+v", v.Cause)
	}
	w.logs = nil
	if v, _ = verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); v.Cause.Pods != 3 || v.Cause.Container != "c" {
		t.Fatalf("%+v", v.Cause)
	}
}

func TestPolicy(t *testing.T) {
	v, _ := verdict.Judge(one(unschedulable("no"))().snapshot(), verdict.Policy{Grace: 0.5}, verdict.Memory{})
	if !v.Deadline.Equal(t0.Add(30 * time.Second)) {
		t.Error(v.Deadline)
	}
	for restarts, want := range map[int32]verdict.State{-1: verdict.Failed, 0: verdict.Failing, 3: verdict.Failing} {
		if v, _ := verdict.Judge(one(ended(0, 1, "Error", ""))().snapshot(), verdict.Policy{Restarts: restarts}, verdict.Memory{}); v.State != want {
			t.Errorf("%d restarts: %s", restarts, v.State)
		}
	}
}

func TestSettling(t *testing.T) {
	w := newWorld(1)
	for _, spec := range []*corev1.PodTemplateSpec{&w.d.Spec.Template, &w.new.Spec.Template} {
		spec.Spec.Containers[0].ReadinessProbe = nil
	}
	w.pod("n", w.new, ready)
	w.status(1, 1, 1)
	var s series
	if v := s.judge(w); v.State != verdict.Progressing || !v.Again.Equal(t0.Add(5*time.Second)) {
		t.Fatalf("%s %s", v.State, v.Again)
	}
	w.now = t0.Add(5 * time.Second)
	if v := s.judge(w); v.State != verdict.Complete {
		t.Fatal(v.State)
	}
	// A container that has run for a long time needs no settling.
	var fresh series
	w.now = t0.Add(time.Minute)
	if v := fresh.judge(w); v.State != verdict.Complete {
		t.Fatal(v.State)
	}
	// It crashes while settling.
	var crashing series
	w.now = t0
	crashing.judge(w)
	w.now = t0.Add(2 * time.Second)
	w.pods = nil
	w.pod("n", w.new, ended(2, 1, "Error", ""))
	w.status(1, 1, 0)
	if v := crashing.judge(w); v.State != verdict.Failed || v.Cause.Code != "crash-loop" {
		t.Fatalf("%s %+v", v.State, v.Cause)
	}
}

func TestJudgeDoesNotModifyItsInput(t *testing.T) {
	w := one(unschedulable("no"))()
	s := w.snapshot()
	before := w.pods[0].DeepCopy()
	_, m := verdict.Judge(s, verdict.Policy{}, verdict.Memory{})
	s.Now = t0.Add(30 * time.Second)
	a, _ := verdict.Judge(s, verdict.Policy{}, m)
	s.Now = t0.Add(61 * time.Second)
	b, _ := verdict.Judge(s, verdict.Policy{}, m)
	if a.State != verdict.Failing || b.State != verdict.Failed {
		t.Errorf("%s %s", a.State, b.State)
	}
	if !reflect.DeepEqual(before, w.pods[0]) {
		t.Error("the snapshot was altered")
	}
}

func BenchmarkJudgeThousandPods(b *testing.B) {
	w := newWorld(1000)
	for i := range 1000 {
		w.pod(fmt.Sprintf("p%04d", i), w.new, waiting("ContainerCreating", ""))
		w.event(fmt.Sprintf("p%04d", i), "Unhealthy", "Readiness probe failed: no")
	}
	s := w.snapshot()
	for b.Loop() {
		verdict.Judge(s, verdict.Policy{}, verdict.Memory{})
	}
}
