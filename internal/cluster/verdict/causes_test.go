package verdict_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func set(p *corev1.Pod, kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == kind {
			c.Status, c.Reason, c.Message = status, reason, message
			return
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: status, Reason: reason, Message: message})
}

// over makes a pod end as a whole.
func over(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: message}
	}
}

func initContainer(c corev1.Container, s corev1.ContainerStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		s.Name = c.Name
		p.Spec.InitContainers, p.Status.InitContainerStatuses = []corev1.Container{c}, []corev1.ContainerStatus{s}
		p.Status.Phase = corev1.PodPending
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
	}
}

func runningFor(d time.Duration) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(t0.Add(-d))}}}
}

// beside returns a world in which the old pod runs and the new one cannot be scheduled.
func beside(says string, both func(*corev1.PodTemplateSpec)) func() *world {
	return func() *world {
		w := newWorld(1)
		for _, t := range []*corev1.PodTemplateSpec{&w.d.Spec.Template, &w.old.Spec.Template, &w.new.Spec.Template} {
			both(t)
		}
		w.pod("o", w.old, ready)
		w.pod("n", w.new, unschedulable(says), func(p *corev1.Pod) { p.Spec.NodeName = "" })
		w.status(2, 1, 1)
		return w
	}
}

// Each row has a cause, what its message must name, and whether it gives the rollout a
// deadline.
func TestCausesAreNamed(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	port := func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 3111, HostPort: 18080}}
	}
	memory := func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("600Mi")}
	}
	claim := func(t *corev1.PodTemplateSpec) {
		t.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	}
	alone := func(t *corev1.PodTemplateSpec) {
		t.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "w"}}, TopologyKey: "kubernetes.io/hostname"}}}}
	}
	nothing := func(*corev1.PodTemplateSpec) {}
	withEvent := func(build func() *world, reason, message string) func() *world {
		return func() *world {
			w := build()
			w.event("n", reason, message)
			if of := w.pods[0].Spec.InitContainers; len(of) > 0 {
				w.events[0].InvolvedObject.FieldPath = "spec.initContainers{" + of[0].Name + "}"
			}
			return w
		}
	}
	collisions := int32(3)
	const noPorts = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
	tests := []struct {
		name  string
		build func() *world
		state verdict.State
		code  pipeline.Code
		names []string
		until bool // whether it fails the rollout before the timeout
	}{
		{"scheduling gate", one(func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/admission"}}
			p.Status = corev1.PodStatus{Phase: corev1.PodPending}
			set(p, corev1.PodScheduled, corev1.ConditionFalse, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
		}), verdict.Failing, verdict.CodeSchedulingGate, []string{"example.com/admission"}, false},
		{"readiness gate", one(func(p *corev1.Pod) {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/pier-open"}}
			p.Status.ContainerStatuses[0].Ready = true
			set(p, corev1.ContainersReady, corev1.ConditionTrue, "", "")
			set(p, corev1.PodReady, corev1.ConditionFalse, "ReadinessGatesNotReady", `corresponding condition of pod readiness gate "example.com/pier-open" does not exist.`)
		}), verdict.Failing, verdict.CodeReadinessGate, []string{"example.com/pier-open", "does not exist"}, true},
		{"readiness gate whose controller says why", one(func(p *corev1.Pod) {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "elb"}, {ConditionType: "other"}}
			set(p, corev1.ContainersReady, corev1.ConditionTrue, "", "")
			set(p, "elb", corev1.ConditionFalse, "Target.NotRegistered", "target is not in the group")
			set(p, "other", corev1.ConditionTrue, "", "")
			set(p, corev1.PodReady, corev1.ConditionFalse, "ReadinessGatesNotReady", "x")
		}), verdict.Failing, verdict.CodeReadinessGate, []string{"elb", "target is not in the group"}, true},
		{"init container that never ends", one(initContainer(corev1.Container{Name: "wait"}, runningFor(20*time.Second))),
			verdict.Failing, verdict.CodeInitRunning, []string{"init container wait"}, false},
		{"native sidecar whose startup probe fails", withEvent(one(initContainer(
			corev1.Container{Name: "otel", RestartPolicy: &always, StartupProbe: &corev1.Probe{PeriodSeconds: 10, FailureThreshold: 30}}, runningFor(20*time.Second))),
			"Unhealthy", "Startup probe failed: connection refused"),
			verdict.Failing, verdict.CodeNotStarted, []string{"sidecar otel", "connection refused"}, true},
		{"native sidecar whose readiness probe fails", withEvent(one(initContainer(
			corev1.Container{Name: "otel", RestartPolicy: &always, ReadinessProbe: &corev1.Probe{}}, func() corev1.ContainerStatus {
				yes := true
				s := runningFor(20 * time.Second)
				s.Started = &yes
				return s
			}())), "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
			verdict.Failing, verdict.CodeNotReady, []string{"sidecar otel", "503"}, true},
		{"startup probe of the worker fails", withEvent(one(func(p *corev1.Pod) {
			p.Spec.Containers[0].StartupProbe = &corev1.Probe{PeriodSeconds: 10, FailureThreshold: 30}
		}), "Unhealthy", "Startup probe failed: no such page"), verdict.Failing, verdict.CodeNotStarted, []string{"container c", "no such page"}, true},
		{"postStart hook failed once", withEvent(one(ended(0, 0, "Completed", "")), "FailedPostStartHook", "PostStartHook failed"),
			verdict.Failing, verdict.CodePostStart, []string{"container c", "postStart"}, true},
		{"postStart hook failed twice", withEvent(one(ended(1, 137, "Error", "")), "FailedPostStartHook", "PostStartHook failed"),
			verdict.Failed, verdict.CodePostStart, []string{"postStart", "2 times"}, true},
		{"postStart hook does not return", one(func(p *corev1.Pod) {
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{}}
			p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(t0.Add(-time.Minute))
			waiting("ContainerCreating", "")(p)
		}), verdict.Failing, verdict.CodeHookRunning, []string{"container c", "postStart"}, false},
		{"network of the node", withEvent(one(waiting("ContainerCreating", "")), "NetworkNotReady",
			"network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"),
			verdict.Failing, verdict.CodeNetworkNotReady, []string{"node n1", "cni plugin"}, true},

		{"OutOfcpu", one(over("OutOfcpu", "Node didn't have enough resource: cpu, requested: 1, used: 2, capacity: 2")), verdict.Failing, verdict.CodeNodeFull, []string{"node n1", "OutOfcpu"}, true},
		{"OutOfmemory", one(over("OutOfmemory", "x")), verdict.Failing, verdict.CodeNodeFull, []string{"OutOfmemory"}, true},
		{"OutOfpods", one(over("OutOfpods", "x")), verdict.Failing, verdict.CodeNodeFull, []string{"OutOfpods"}, true},
		{"OutOf an extended resource", one(over("OutOfnvidia.com/gpu", "x")), verdict.Failing, verdict.CodeNodeFull, []string{"gpu"}, true},
		{"UnexpectedAdmissionError", one(over("UnexpectedAdmissionError", "Allocate failed due to no healthy devices")), verdict.Failing, verdict.CodeNodeRefused, []string{"UnexpectedAdmissionError", "devices"}, true},
		{"NodeAffinity", one(over("NodeAffinity", "Predicate NodeAffinity failed")), verdict.Failing, verdict.CodeNodeRefused, []string{"NodeAffinity"}, true},
		{"not admitted during a shutdown", one(over("NodeShutdown", "Pod was rejected as the node is shutting down.")), verdict.Failing, verdict.CodeNodeShutdown, []string{"node n1"}, true},
		{"ended by a shutdown", one(over("Terminated", "Pod was terminated in response to imminent node shutdown.")), verdict.Failing, verdict.CodeNodeShutdown, []string{"shutdown"}, true},
		{"DeadlineExceeded", one(over("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")), verdict.Failing, verdict.CodePodDeadline, []string{"activeDeadlineSeconds"}, true},
		{"evicted", one(over("Evicted", "The node was low on resource: memory.")), verdict.Failing, verdict.CodeEvicted, []string{"low on resource"}, true},
		{"preempted by the kubelet", one(over("Preempting", "Preempted in order to admit critical pod")), verdict.Failing, verdict.CodePreempted, []string{"critical pod"}, true},

		{"host port of somebody else", one(unschedulable(noPorts)), verdict.Failing, verdict.CodeHostPort, []string{"host port"}, true},
		{"unbound claim", one(unschedulable("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: not helpful")), verdict.Failing, verdict.CodeClaimUnbound, []string{"not bound"}, true},
		{"claim in use elsewhere", one(unschedulable("0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.")), verdict.Failing, verdict.CodeClaimInUse, []string{"ReadWriteOncePod"}, true},
		{"taint", one(unschedulable("0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {dedicated: gpu}.")), verdict.Failing, verdict.CodeTaint, []string{"dedicated: gpu"}, true},
		{"taint on some, no room on others", one(unschedulable("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {dedicated: gpu}.")), verdict.Failing, verdict.CodeUnschedulable, []string{"Insufficient cpu"}, true},

		{"own old pod has the host port", beside(noPorts, port), verdict.Failing, verdict.CodeSurgeBlocked, []string{"pod o", "18080/TCP", "Recreate"}, true},
		{"own old pod has the port of the node's network", beside(noPorts, func(t *corev1.PodTemplateSpec) {
			t.Spec.HostNetwork = true
			t.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 3111}}
		}), verdict.Failing, verdict.CodeSurgeBlocked, []string{"3111/TCP"}, true},
		{"own old pod has the claim", beside("0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.", claim),
			verdict.Failing, verdict.CodeSurgeBlocked, []string{"pod o", "claim", "maxSurge"}, true},
		{"own old pod has the memory", beside("0/1 nodes are available: 1 Insufficient memory.", memory), verdict.Failing, verdict.CodeSurgeBlocked, []string{"pod o", "600Mi memory"}, true},
		{"own old pod is repelled", beside("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.", alone), verdict.Failing, verdict.CodeSurgeBlocked, []string{"anti-affinity"}, true},
		{"memory that nobody has reserved", beside("0/1 nodes are available: 1 Insufficient memory.", nothing), verdict.Failing, verdict.CodeUnschedulable, []string{"Insufficient memory"}, true},
		{"an old pod may go first: it will make room", func() *world {
			w := beside(noPorts, port)()
			one := intstr.FromInt32(1)
			w.d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &one}
			return w
		}, verdict.Failing, verdict.CodeHostPort, nil, true},

		{"Multi-Attach with the own old pod", func() *world {
			w := beside("", claim)()
			w.pods[1].Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}}}
			w.pods[1].Spec.NodeName = "n2"
			w.event("n", "FailedAttachVolume", `Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) o`)
			return w
		}, verdict.Failing, verdict.CodeMultiAttach, []string{"pod o", "node n1", "Recreate"}, true},
		{"Multi-Attach with a node that is gone", withEvent(one(waiting("ContainerCreating", "")), "FailedAttachVolume",
			`Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can't be attached to another`),
			verdict.Failing, verdict.CodeMultiAttach, []string{"another node"}, true},

		{"node that does not answer, as it is marked today", one(func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].Ready = true
			set(p, corev1.ContainersReady, corev1.ConditionTrue, "", "")
			set(p, corev1.PodReady, corev1.ConditionFalse, "", "")
		}), verdict.Failing, verdict.CodeNodeLost, []string{"node n1"}, true},
		{"namespace is being deleted", func() *world {
			w := newWorld(1)
			w.new.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate",
				Message: `pods "w-1" is forbidden: unable to create new content in namespace ns because it is being terminated`}}
			return w
		}, verdict.Failed, verdict.CodeNamespaceEnding, []string{"namespace"}, true},
		{"ReplicaSets keep multiplying", func() *world {
			w := newWorld(1)
			w.new.Spec.Template.Labels["mutated"] = "by-a-webhook"
			w.d.Status.CollisionCount = &collisions
			return w
		}, verdict.Failing, verdict.CodeMultiplying, []string{"3 collisions", "webhook"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, _ := verdict.Judge(tt.build().snapshot(), verdict.Policy{}, verdict.Memory{})
			if v.State != tt.state || v.Cause == nil || v.Cause.Code != tt.code {
				t.Fatalf("%s %+v, want %s %s", v.State, v.Cause, tt.state, tt.code)
			}
			text := v.Cause.What + " " + v.Cause.Why + " " + v.Cause.Fix
			for _, name := range tt.names {
				if !strings.Contains(text, name) {
					t.Errorf("%q does not name %q", text, name)
				}
			}
			if v.Cause.Fix == "" {
				t.Error("it does not say what to do")
			}
			if tt.until == v.Deadline.IsZero() {
				t.Errorf("deadline %s", v.Deadline)
			}
		})
	}
}

// A restart, or a controller that reacts once, is not a conflict.
func TestContested(t *testing.T) {
	for changes, want := range map[int]verdict.State{0: verdict.Progressing, 2: verdict.Progressing, 3: verdict.Failed} {
		s := newWorld(1).snapshot()
		s.TemplateChanges, s.ChangedBy = changes, `field manager "operator"`
		v, _ := verdict.Judge(s, verdict.Policy{}, verdict.Memory{})
		if v.State != want || want == verdict.Failed && (v.Cause.Code != verdict.CodeContested || !strings.Contains(v.Cause.Why, "operator")) {
			t.Errorf("%d changes: %s %+v", changes, v.State, v.Cause)
		}
	}
}

// A pod that ended as a whole and was replaced says nothing about the new revision, unless
// its replacements end in the same way.
func TestFinishedPods(t *testing.T) {
	reasons := []string{"DeadlineExceeded", "Evicted", "Terminated", "NodeShutdown", "OutOfcpu", "UnexpectedAdmissionError", ""}
	for _, reason := range reasons {
		w := newWorld(1)
		w.pod("gone", w.new, over(reason, "x"), func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0, Reason: "Completed"}}}}
		})
		w.pod("replacement", w.new)
		w.status(1, 1, 0)
		v, m := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
		if v.State != verdict.Progressing || len(v.Pods) != 1 || v.Pods[0].Name != "replacement" {
			t.Errorf("%s, replaced: %s %+v, pods %v", reason, v.State, v.Cause, v.Pods)
		}
		ready(w.pods[1])
		w.status(1, 1, 1)
		w.now = t0.Add(time.Minute)
		if v, _ = verdict.Judge(w.snapshot(), verdict.Policy{}, m); v.State != verdict.Complete || len(v.Pods) != 1 {
			t.Errorf("%s, its replacement is ready: %s %+v", reason, v.State, v.Cause)
		}
	}
	w := newWorld(1)
	for _, name := range []string{"a", "b", "c"} {
		w.pod(name, w.new, over("OutOfcpu", "x"))
	}
	w.pod("d", w.new, waiting("ContainerCreating", ""))
	v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	if v.State != verdict.Failing || v.Cause.Code != verdict.CodeNodeFull || v.Cause.Pods != 3 {
		t.Errorf("one after another: %s %+v", v.State, v.Cause)
	}
}

// A rollout is not complete until a container that has crashed has proven that it keeps
// running, whatever the counts say.
func TestOpenCrash(t *testing.T) {
	sidecar := func(s corev1.ContainerStatus) *world {
		w := newWorld(1)
		w.pod("n", w.new, ready, func(p *corev1.Pod) {
			s.Name = "relay"
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "relay", ReadinessProbe: &corev1.Probe{}})
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, s)
		})
		w.status(1, 1, 1)
		w.logs[verdict.Container{Pod: "n", Name: "relay"}] = "starting\nbroker not found\n"
		return w
	}
	crash := &corev1.ContainerStateTerminated{ExitCode: 7, Reason: "Error", StartedAt: metav1.NewTime(t0.Add(-3 * time.Second)), FinishedAt: metav1.NewTime(t0)}
	down := corev1.ContainerStatus{RestartCount: 0, State: corev1.ContainerState{Terminated: crash}}
	w := sidecar(down)
	v, m := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	if v.State != verdict.Failing || v.Cause.Code != verdict.CodeCrashLoop || v.Cause.Container != "relay" || !strings.Contains(v.Cause.Why, "broker not found") {
		t.Fatalf("down: %s %+v", v.State, v.Cause)
	}
	up := corev1.ContainerStatus{RestartCount: 1, Ready: true, LastTerminationState: corev1.ContainerState{Terminated: crash},
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(t0.Add(time.Second))}}}
	w = sidecar(up)
	for after, want := range map[time.Duration]verdict.State{2 * time.Second: verdict.Progressing, 9 * time.Second: verdict.Progressing, 12 * time.Second: verdict.Complete} {
		w.now = t0.Add(after)
		start := m
		v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, start)
		if want == verdict.Complete { // it was complete by its counts since 2 s
			w.now = t0.Add(2 * time.Second)
			_, n := verdict.Judge(w.snapshot(), verdict.Policy{}, start)
			w.now = t0.Add(after)
			v, _ = verdict.Judge(w.snapshot(), verdict.Policy{}, n)
		}
		if v.State != want || want == verdict.Progressing && (!v.Settling || v.Again.IsZero()) {
			t.Errorf("up again for %s: %s, settling %t", after, v.State, v.Settling)
		}
	}
	// A container that restarted long ago has proven that it keeps running.
	up.State.Running.StartedAt = metav1.NewTime(t0.Add(-time.Hour))
	if v, _ = verdict.Judge(sidecar(up).snapshot(), verdict.Policy{}, verdict.Memory{}); v.State != verdict.Complete {
		t.Errorf("restarted long ago: %s %+v", v.State, v.Cause)
	}
	// The longer it ran before it crashed, the longer it has to run now.
	crash.StartedAt = metav1.NewTime(t0.Add(-25 * time.Second))
	up.State.Running.StartedAt = metav1.NewTime(t0)
	w = sidecar(up)
	if v, _ = verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); !v.Again.Equal(t0.Add(50 * time.Second)) {
		t.Errorf("judged again at %s", v.Again.Sub(t0))
	}
}

// A worker that crashes twice until its database is up succeeds if it then keeps running,
// however long the back-off was.
func TestDatabaseIsLate(t *testing.T) {
	w := newWorld(1)
	w.pod("n", w.new)
	w.status(1, 1, 0)
	var s series
	step := func(at time.Duration, change func(*corev1.Pod)) verdict.Verdict {
		w.now = t0.Add(at)
		w.pods = nil
		w.pod("n", w.new, change)
		return s.judge(w)
	}
	for _, at := range []struct {
		after  time.Duration
		change func(*corev1.Pod)
		want   verdict.State
	}{
		{0, ended(0, 1, "Error", ""), verdict.Failing},
		{time.Second, again(1), verdict.Progressing},
		{2 * time.Second, ended(1, 1, "Error", ""), verdict.Failing},
		{3 * time.Second, func(p *corev1.Pod) { ended(1, 1, "Error", "")(p); backOff(p) }, verdict.Failing},
		{13 * time.Second, again(2), verdict.Progressing},
	} {
		if v := step(at.after, at.change); v.State != at.want {
			t.Fatalf("after %s: %s %+v, want %s", at.after, v.State, v.Cause, at.want)
		}
	}
	w.status(1, 1, 1)
	step(14*time.Second, func(p *corev1.Pod) { again(2)(p); ready(p) })
	if v := step(30*time.Second, func(p *corev1.Pod) { again(2)(p); ready(p) }); v.State != verdict.Complete {
		t.Fatalf("%s %+v %s", v.State, v.Cause, v.Waiting)
	}
	// The third crash is one too many, and the setting that allows it is named.
	if v := step(31*time.Second, ended(2, 1, "Error", "")); v.State != verdict.Failed || !strings.Contains(v.Cause.Fix, "deploy.restarts") {
		t.Fatalf("%s %+v", v.State, v.Cause)
	}
}

// The controller waits for the pod on the dead node before it replaces any other one.
func TestDeadNodeBlocksADaemonSet(t *testing.T) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "ds", Generation: 2},
		Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 0, NumberAvailable: 1}}
	r := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "w-new", OwnerReferences: owner("ds", "DaemonSet")}, Revision: 2}
	w := newWorld(1)
	mine := func(p *corev1.Pod) {
		p.OwnerReferences, p.Labels = owner("ds", "DaemonSet"), map[string]string{"controller-revision-hash": "old"}
	}
	dead := func(p *corev1.Pod) {
		p.Spec.NodeName = "dead"
		p.Status.ContainerStatuses[0].Ready = true
		set(p, corev1.ContainersReady, corev1.ConditionTrue, "", "")
		set(p, corev1.PodReady, corev1.ConditionFalse, "", "")
	}
	tests := map[string][]func(*corev1.Pod){
		"runs on a dead node": {mine, dead},
		"cannot be ended": {mine, func(p *corev1.Pod) {
			p.Spec.NodeName = "dead"
			at := metav1.NewTime(t0.Add(-5 * time.Minute))
			p.DeletionTimestamp = &at
		}},
	}
	for name, change := range tests {
		w.pods = nil
		w.pod("o1", w.old, mine, ready)
		w.pod("o2", w.old, change...)
		s := verdict.Snapshot{Workload: &workload.Workload{DaemonSet: ds}, Revisions: []*appsv1.ControllerRevision{r}, Pods: w.pods, Now: t0}
		v, _ := verdict.Judge(s, verdict.Policy{}, verdict.Memory{})
		if v.State != verdict.Failing || v.Cause.Code != verdict.CodeNodeLost || !strings.Contains(v.Cause.What, "node dead") || !strings.Contains(v.Cause.Fix, "maxUnavailable") {
			t.Errorf("%s: %s %+v", name, v.State, v.Cause)
		}
	}
}

// No grace period passes while nothing is watched.
func TestSkip(t *testing.T) {
	w := one(unschedulable("no"))()
	_, m := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	w.now = t0.Add(2 * time.Minute)
	if v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, m.Skip(110*time.Second)); v.State != verdict.Failing || !v.Deadline.Equal(t0.Add(170*time.Second)) {
		t.Errorf("%s, deadline %s", v.State, v.Deadline.Sub(t0))
	}
	if v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, m); v.State != verdict.Failed {
		t.Errorf("%s without", v.State)
	}
}

func TestCauseLine(t *testing.T) {
	tests := map[string]string{
		"":                               "",
		"\n \n":                          "",
		"starting\nbroker not found\n\n": "broker not found",
		"up\nerror: Cannot find package 'hono' from '/app/index.ts'\n\nBun v1.2.3 (Linux arm64)":                                                                                   "error: Cannot find package 'hono' from '/app/index.ts'",
		"node:internal/modules:1\n  throw err;\n  ^\n\nError: Cannot find module 'x'\n    at Module._resolve (node:1:2)\n    at f (node:3:4) {\n  code: 'X'\n}\n\nNode.js v22.1.0": "Error: Cannot find module 'x'",
		"TypeError [ERR_X]: bad\n    at a\n  [cause]: Error: connect ECONNREFUSED 127.0.0.1:5432\n      at b\n}":                                                                   "[cause]: Error: connect ECONNREFUSED 127.0.0.1:5432",
		"panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:3 +0x1d\nexit status 2":                                                   "panic: runtime error: index out of range",
		"Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\nKeyError: 'DATABASE_URL'":                                                                       "KeyError: 'DATABASE_URL'",
		"Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\nCaused by: java.net.ConnectException: refused\n\tat d\n\t... 12 more":             "Caused by: java.net.ConnectException: refused",
		`{"level":"info","msg":"a"}` + "\n" + `{"level":"error","msg":"no database"}` + "\n" + `{"level":"info","msg":"bye"}`:                                                      `{"level":"error","msg":"no database"}`,
		"2026-01-02 03:04:05.678 ERROR [main] boot: no database\n2026-01-02 03:04:05.679 INFO bye":                                                                                 "2026-01-02 03:04:05.678 ERROR [main] boot: no database",
		"/app/run: line 3: exec: bunx: not found": "/app/run: line 3: exec: bunx: not found",
		"\x1b[31merror\x1b[0m: colours":           "error: colours",
	}
	for log, want := range tests {
		if got := verdict.CauseLine(log); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}
