package verdict_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a Deployment of n replicas with an old and a new ReplicaSet.
type world struct {
	d        *appsv1.Deployment
	old, new *appsv1.ReplicaSet
	pods     []*corev1.Pod
	events   []*corev1.Event
	logs     map[verdict.Container]string
	now      time.Time
}

func owner(uid types.UID, kind string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{UID: uid, Kind: kind, Controller: &yes}}
}

func newWorld(n int32) *world {
	probe := &corev1.Probe{PeriodSeconds: 10, FailureThreshold: 3}
	template := func(image, hash string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "w", "pod-template-hash": hash}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image, ReadinessProbe: probe}}}}
	}
	rs := func(name, image string, age time.Duration) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: owner("d", "Deployment"), CreationTimestamp: metav1.NewTime(t0.Add(-age))},
			Spec: appsv1.ReplicaSetSpec{Template: template(image, name)}}
	}
	w := &world{old: rs("w-old", "x:1", time.Hour), new: rs("w-new", "x:2", 0), now: t0, logs: map[verdict.Container]string{}}
	w.d = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "d", Generation: 2},
		Spec:   appsv1.DeploymentSpec{Replicas: &n, Template: template("x:2", "")},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2}}
	delete(w.d.Spec.Template.Labels, "pod-template-hash")
	return w
}

// pod adds a pod of a ReplicaSet, altered by change.
func (w *world) pod(name string, rs *appsv1.ReplicaSet, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: owner(rs.UID, "ReplicaSet"), CreationTimestamp: metav1.NewTime(t0)},
		Spec: *rs.Spec.Template.Spec.DeepCopy(),
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionFalse}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(t0)}}}}}}
	p.Spec.NodeName = "n1"
	for _, c := range change {
		c(p)
	}
	w.pods = append(w.pods, p)
	return p
}

func ready(p *corev1.Pod) {
	p.Status.Conditions[1].Status = corev1.ConditionTrue
	p.Status.ContainerStatuses[0].Ready = true
}

func ending(p *corev1.Pod) {
	at, grace := metav1.NewTime(t0.Add(20*time.Second)), int64(30)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, &grace
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodPending
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
}

func ended(restarts int32, code int32, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		end := &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}
		s := &p.Status.ContainerStatuses[0]
		s.RestartCount, s.State = restarts, corev1.ContainerState{Terminated: end}
		if restarts > 0 {
			s.LastTerminationState.Terminated = end
		}
	}
}

// again is a container that ended and runs once more.
func again(restarts int32, code int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		s := &p.Status.ContainerStatuses[0]
		s.RestartCount, s.LastTerminationState.Terminated = restarts, &corev1.ContainerStateTerminated{ExitCode: code}
	}
}

func unschedulable(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}, {Type: corev1.PodReady, Status: corev1.ConditionFalse}}}
	}
}

func (w *world) event(uid, reason, message string) {
	w.events = append(w.events, &corev1.Event{InvolvedObject: corev1.ObjectReference{UID: types.UID(uid), FieldPath: "spec.containers{c}"}, Reason: reason, Message: message, LastTimestamp: metav1.NewTime(w.now)})
}

func (w *world) status(replicas, updated, available int32) {
	w.d.Status.Replicas, w.d.Status.UpdatedReplicas, w.d.Status.AvailableReplicas = replicas, updated, available
}

func (w *world) snapshot() verdict.Snapshot {
	return verdict.Snapshot{Workload: &workload.Workload{Deployment: w.d}, ReplicaSets: []*appsv1.ReplicaSet{w.old, w.new}, Pods: w.pods, Events: w.events, Logs: w.logs, Now: w.now}
}

func TestStates(t *testing.T) {
	tests := []struct {
		name  string
		build func() *world
		want  string // state [code] [waiting]
	}{
		{"generation not seen: status is of yesterday", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, ready)
			w.d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
			return w
		}, "progressing the controller to see generation 2"},
		{"no pod yet", func() *world { return newWorld(2) }, "progressing new pods to be made: 0 of 2"},
		{"new pod comes up beside the old", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, ready)
			w.pod("n", w.new)
			w.status(2, 1, 1)
			return w
		}, "progressing old pods to be told to end: 1 left; new pods ready: 0 of 1"},
		{"old pod ends slowly: complete", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, ready, ending)
			w.pod("n", w.new, ready)
			w.status(1, 1, 1)
			return w
		}, "complete"},
		{"pod not heard of yet", func() *world {
			w := newWorld(1)
			w.pod("n", w.new)
			w.status(1, 1, 1)
			return w
		}, "progressing news of the new pods"},
		{"scaled to nothing", func() *world { return newWorld(0) }, "complete"},
		{"old pods' troubles are nobody's", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, waiting("ImagePullBackOff", "x: not found"))
			w.pod("n", w.new)
			w.status(2, 1, 0)
			return w
		}, "progressing old pods to be told to end: 1 left; new pods ready: 0 of 1"},
		{"a reused ReplicaSet is the new one, however old", func() *world {
			w := newWorld(1)
			w.d.Spec.Template.Spec.Containers[0].Image = "x:1"
			w.pod("n", w.new, ready)
			w.pod("o", w.old, waiting("ErrImagePull", "x:1: not found"))
			w.status(2, 1, 1)
			return w
		}, "failed image-not-found"},
		{"paused", func() *world { w := newWorld(1); w.d.Spec.Paused = true; return w }, "failed paused"},
		{"deadline, and nothing known", func() *world {
			w := newWorld(1)
			w.pod("n", w.new)
			w.status(1, 1, 0)
			w.d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
			return w
		}, "failed progress-deadline"},
		{"deadline, and the cause is known", func() *world {
			w := newWorld(1)
			w.pod("n", w.new, unschedulable("0/1 nodes are available: 1 Insufficient cpu."))
			w.d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
			return w
		}, "failed unschedulable"},
		{"crashed once, gone", one(ended(0, 1, "Error", "")), "failing crash-loop"},
		{"crashed once, up again", one(again(1, 1)), "progressing new pods to become available: 0 of 1"},
		{"crashed twice", one(ended(1, 1, "Error", "")), "failed crash-loop"},
		{"crashed twice, up again and not ready", one(again(2, 1)), "failed crash-loop"},
		{"crashed twice, up again and ready", one(again(2, 1), ready), "progressing new pods to become available: 0 of 1"},
		{"in back-off", one(ended(2, 1, "Error", ""), func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}), "failed crash-loop"},
		{"ended well, which a worker must not", one(ended(1, 0, "Completed", "")), "failed exits"},
		{"out of memory", one(ended(1, 137, "OOMKilled", "")), "failed oom-killed"},
		{"format error in the termination message", one(ended(0, 1, "Error", "exec /worker: exec format error")), "failed exec-format"},
		{"format error of runc", one(waiting("RunContainerError", "runc create failed: unable to start container process: exec /worker: exec format error")), "failed exec-format"},
		{"StartError of a missing command", one(ended(0, 128, "StartError", `runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory`)), "failed command-not-found"},
		{"a mount that fails at start is no missing command", one(waiting("RunContainerError", "error mounting /data: no such file or directory")), "failing container-run"},
		{"no command", one(waiting("CreateContainerError", "Error response from daemon: no command specified")), "failed command-not-found"},
		{"name still reserved", one(waiting("CreateContainerError", "failed to reserve container name")), "failing container-create"},
		{"secret cache not filled", one(waiting("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition")), "failing config"},
		{"key not in Secret", one(waiting("CreateContainerConfigError", "couldn't find key K in Secret ns/s")), "failing config-missing"},
		{"named user", one(waiting("CreateContainerConfigError", "container has runAsNonRoot and image has non-numeric user (bun), cannot verify user is non-root")), "failed run-as-root"},
		{"never pulled", one(waiting("ErrImageNeverPull", "Container image is not present with pull policy of Never")), "failed image-never"},
		{"creating", one(waiting("ContainerCreating", "")), "progressing new pods to become available: 0 of 1"},
		{"no node, for now", one(unschedulable("0/3 nodes are available: 3 Insufficient memory.")), "failing unschedulable"},
		{"node lost", one(func(p *corev1.Pod) {
			p.Status.Conditions[1].Status = corev1.ConditionUnknown
			p.Status.Conditions[1].Reason = "NodeStatusUnknown"
		}), "failing node-lost"},
		{"evicted", one(func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}
		}), "failing evicted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, _ := verdict.Judge(tt.build().snapshot(), verdict.Policy{}, verdict.Memory{})
			got := string(v.State)
			switch {
			case v.Cause != nil:
				got += " " + v.Cause.Code
			case v.Waiting != "":
				got += " " + v.Waiting
			}
			if got != tt.want {
				t.Errorf("%s, want %s (%+v)", got, tt.want, v.Cause)
			}
		})
	}
}

// one is a world with a single new pod that is as change makes it.
func one(change ...func(*corev1.Pod)) func() *world {
	return func() *world {
		w := newWorld(1)
		w.pod("n", w.new, change...)
		w.status(1, 1, 0)
		return w
	}
}

// The one reason that a failed pull has, told apart by the runtime's text.
func TestPullMessages(t *testing.T) {
	tests := map[string]string{
		`rpc error: code = NotFound desc = failed to pull and unpack image "x:2": failed to resolve reference "x:2": x:2: not found`:                                                              "image-not-found",
		`Error response from daemon: manifest for x:2 not found: manifest unknown: manifest unknown`:                                                                                              "image-not-found",
		`Back-off pulling image "x:2": ErrImagePull: reading manifest 2 in ghcr.io/o/x: manifest unknown`:                                                                                         "image-not-found",
		`failed to pull and unpack image "ghcr.io/o/x:2": failed to resolve reference "ghcr.io/o/x:2": failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized`: "image-denied",
		`pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`:                                                   "image-denied",
		`failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://ghcr.io/token: 403 Forbidden`:                                                            "image-denied",
		`failed to resolve reference: unexpected status from HEAD request to https://ghcr.io/v2/o/x/manifests/2: 503 Service Unavailable`:                                                         "image-network",
		`failed to do request: Head "https://ghcr.io/v2/": dial tcp: lookup ghcr.io: no such host`:                                                                                                "image-network",
		`failed to do request: Head "https://ghcr.io/v2/": dial tcp 140.82.121.34:443: i/o timeout`:                                                                                               "image-network",
		`failed to copy: httpReadSeeker: failed open: failed to do request: context deadline exceeded`:                                                                                            "image-network",
		`toomanyrequests: You have reached your pull rate limit`:                                                                                                                                  "image-network",
		`pull QPS exceeded`: "image-network",
		`failed to pull and unpack image "x:2": no match for platform in manifest: not found`:                                   "image-platform",
		`no matching manifest for linux/arm64/v8 in the manifest list entries`:                                                  "image-platform",
		`tls: failed to verify certificate: x509: certificate signed by unknown authority`:                                      "image-pull",
		`failed to extract layer: write /var/lib/containerd/x: no space left on device`:                                         "image-pull",
		`failed to resolve reference "127.0.0.1:5000/x:404": failed to do request: dial tcp 127.0.0.1:5000: connection refused`: "image-network",
	}
	for message, want := range tests {
		for _, reason := range []string{"ErrImagePull", "ImagePullBackOff"} {
			v, _ := verdict.Judge(one(waiting(reason, message))().snapshot(), verdict.Policy{}, verdict.Memory{})
			if v.Cause == nil || v.Cause.Code != want {
				t.Errorf("%s: %+v, want %s", message, v.Cause, want)
			}
		}
	}
	// An older kubelet in back-off has forgotten why; its event has not.
	w := one(waiting("ImagePullBackOff", `Back-off pulling image "x:2"`))()
	w.event("n", "Failed", `Failed to pull image "x:2": rpc error: x:2: not found`)
	if v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); v.Cause == nil || v.Cause.Code != "image-not-found" {
		t.Errorf("%+v", v.Cause)
	}
}

func TestRefusedPods(t *testing.T) {
	tests := map[string]string{
		`pods "w-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`:                                  "failed pod-security",
		`pods "w-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1`:                             "failing quota",
		`pods "w-1" is forbidden: failed quota: q: must specify limits.memory for: c`:                                              "failed pod-invalid",
		`admission webhook "policy.example" denied the request: no latest tags`:                                                    "failed admission-denied",
		`pods "w-1" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression`:                "failing pods-refused",
		`Internal error occurred: failed calling webhook "w": Post "https://hook.ns.svc": connection refused`:                      "failing pods-refused",
		`pods "w-1" is forbidden: error looking up service account ns/robot: serviceaccount "robot" not found`:                     "failing service-account",
		`Pod "w-1" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit`: "failed pod-invalid",
		`pods "w-1" is forbidden: [maximum cpu usage per Container is 1, but limit is 2]`:                                          "failed admission-denied",
		`something else`: "failing pods-refused",
	}
	for message, want := range tests {
		w := newWorld(1)
		w.new.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: message}}
		v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
		got := string(v.State)
		if v.Cause != nil {
			got += " " + v.Cause.Code
		}
		if got != want {
			t.Errorf("%s: %s, want %s", message, got, want)
		}
		// The same on the old ReplicaSet is of no concern.
		w.old.Status, w.new.Status = w.new.Status, w.old.Status
		if v, _ = verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); v.State != verdict.Progressing {
			t.Errorf("%s on the old ReplicaSet: %s", message, v.State)
		}
	}
}

func TestEventsBeforeContainers(t *testing.T) {
	tests := map[string][2]string{
		"volume":         {"FailedMount", "Unable to attach or mount volumes: timed out"},
		"config-missing": {"FailedMount", `MountVolume.SetUp failed for volume "v" : secret "s" not found`},
		"sandbox":        {"FailedCreatePodSandBox", "plugin type=bridge failed"},
	}
	for want, e := range tests {
		w := one(waiting("ContainerCreating", ""))()
		w.event("n", e[0], e[1])
		v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
		if v.Cause == nil || v.Cause.Code != want || v.State != verdict.Failing {
			t.Errorf("%s: %s %+v", want, v.State, v.Cause)
		}
		// Once the container runs, it is history.
		w = one()()
		w.event("n", e[0], e[1])
		if v, _ = verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); v.Cause != nil {
			t.Errorf("%s: %+v of a container that runs", want, v.Cause)
		}
	}
}

// A failing readiness probe gets its own initial delay on top.
func TestReadinessDelay(t *testing.T) {
	w := one(func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe.InitialDelaySeconds = 25 })()
	w.event("n", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
	v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	if v.State != verdict.Failing || !v.Deadline.Equal(t0.Add(85*time.Second)) || !strings.Contains(v.Cause.Why, "503") {
		t.Errorf("%s %s %+v", v.State, v.Deadline.Sub(t0), v.Cause)
	}
	// Without events (no right to read them) only time tells.
	w.events = nil
	for after, want := range map[time.Duration]verdict.State{54 * time.Second: verdict.Progressing, 56 * time.Second: verdict.Failing} {
		w.now = t0.Add(after)
		if v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); v.State != want {
			t.Errorf("%s after %s, want %s", v.State, after, want)
		}
	}
}

// series judges one snapshot after another.
type series struct {
	m      verdict.Memory
	policy verdict.Policy
}

func (s *series) judge(w *world) verdict.Verdict {
	var v verdict.Verdict
	v, s.m = verdict.Judge(w.snapshot(), s.policy, s.m)
	return v
}

func TestGraceBeginsAnewWhenThingsMove(t *testing.T) {
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
	// What moves back and forth buys time once.
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

// A kubelet that tries again shows nothing for a moment: the cause goes on.
func TestCauseOutOfSightForAMoment(t *testing.T) {
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
	// For longer, it is a new one.
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
	// A terminal one ends it at once, whoever has it.
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
	// One log speaks for all pods of the image.
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

// A pod that nobody asks is ready the moment it starts, also when it crashes
// a second later.
func TestSettling(t *testing.T) {
	w := newWorld(1)
	for _, spec := range []*corev1.PodTemplateSpec{&w.d.Spec.Template, &w.new.Spec.Template} {
		spec.Spec.Containers[0].ReadinessProbe = nil
	}
	w.pod("n", w.new, ready)
	w.status(1, 1, 1)
	var s series
	if v := s.judge(w); v.State != verdict.Progressing || !v.Again.Equal(t0.Add(3*time.Second)) {
		t.Fatalf("%s %s", v.State, v.Again)
	}
	w.now = t0.Add(3 * time.Second)
	if v := s.judge(w); v.State != verdict.Complete {
		t.Fatal(v.State)
	}
	// What has run for long needs no settling: already live.
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
	w.pod("n", w.new, ended(1, 1, "Error", ""))
	w.status(1, 1, 0)
	if v := crashing.judge(w); v.State != verdict.Failed || v.Cause.Code != "crash-loop" {
		t.Fatalf("%s %+v", v.State, v.Cause)
	}
}

func TestDescription(t *testing.T) {
	w := newWorld(2)
	w.pod("o1", w.old, ready)
	w.pod("o2", w.old, ready, ending)
	w.pod("n2", w.new, waiting("ContainerCreating", ""))
	w.pod("n1", w.new, ready, func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].ImageID = "x@sha256:1"
		p.Status.ContainerStatuses[0].RestartCount = 2
	})
	w.pod("n0", w.new, ending) // scaled down again
	stranger := w.pod("stranger", w.new)
	stranger.OwnerReferences = owner("other", "ReplicaSet")
	w.status(3, 2, 2)
	v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	if v.Revision != "w-new" || v.Wanted != 2 || v.Updated != 2 || v.Ready != 1 || !slices.Equal(v.Old, []string{"o1"}) {
		t.Errorf("%+v", v)
	}
	if len(v.Ending) != 1 || v.Ending[0].Name != "o2" || v.Ending[0].Since != 10*time.Second || v.Ending[0].Left != 20*time.Second {
		t.Errorf("%+v", v.Ending)
	}
	if len(v.Pods) != 2 || v.Pods[0].Name != "n1" || v.Pods[0].ImageID != "x@sha256:1" || v.Pods[0].Restarts != 2 || !v.Pods[0].Ready || v.Pods[1].State != "ContainerCreating" {
		t.Errorf("%+v", v.Pods)
	}
}

func TestInitContainers(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	build := func(sidecar bool, status corev1.ContainerStatus) *world {
		w := one(waiting("PodInitializing", ""))()
		p := w.pods[0]
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
		if sidecar {
			p.Spec.InitContainers[0].RestartPolicy = &always
		}
		status.Name = "init"
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{status}
		return w
	}
	end := func(code, restarts int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{RestartCount: restarts, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}
	}
	tests := []struct {
		name string
		w    *world
		want string
	}{
		{"did its work", build(false, end(0, 0)), ""},
		{"fails", build(false, end(3, 1)), "crash-loop"},
		{"runs for long", build(false, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(t0.Add(-time.Hour))}}}), ""},
		{"a sidecar must not end", build(true, end(0, 1)), "exits"},
	}
	for _, tt := range tests {
		v, _ := verdict.Judge(tt.w.snapshot(), verdict.Policy{}, verdict.Memory{})
		got := ""
		if v.Cause != nil {
			got = v.Cause.Code
		}
		if got != tt.want || got != "" && v.Cause.Container != "init" {
			t.Errorf("%s: %+v", tt.name, v.Cause)
		}
	}
}

func TestStatefulSet(t *testing.T) {
	three := int32(3)
	set := func(status appsv1.StatefulSetStatus, change ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "s", Generation: 2}, Spec: appsv1.StatefulSetSpec{Replicas: &three}, Status: status}
		s.Status.ObservedGeneration = 2
		for _, c := range change {
			c(s)
		}
		return s
	}
	pod := func(name, revision string, change ...func(*corev1.Pod)) *corev1.Pod {
		w := newWorld(1)
		p := w.pod(name, w.new, change...)
		p.OwnerReferences, p.Labels = owner("s", "StatefulSet"), map[string]string{"controller-revision-hash": revision}
		return p
	}
	partition := func(n int32) func(*appsv1.StatefulSet) {
		return func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &n}
		}
	}
	tests := []struct {
		name string
		s    *appsv1.StatefulSet
		pods []*corev1.Pod
		want string
	}{
		{"complete", set(appsv1.StatefulSetStatus{CurrentRevision: "w-2", UpdateRevision: "w-2", UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-2", ready), pod("w-1", "w-2", ready), pod("w-2", "w-2", ready)}, "complete"},
		{"one by one", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 3, AvailableReplicas: 3, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-1", ready), pod("w-1", "w-1", ready), pod("w-2", "w-2", ready)}, "progressing new pods to be made: 1 of 3"},
		{"the first new one fails", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 2, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-1", ready), pod("w-2", "w-2", waiting("ErrImagePull", "x:2: not found"))}, "failed image-not-found"},
		{"an old one's trouble", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 2, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-1", waiting("ErrImagePull", "x:1: not found"))}, "progressing new pods to be made: 1 of 3"},
		{"partition", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 3, AvailableReplicas: 3, Replicas: 3}, partition(2)),
			[]*corev1.Pod{pod("w-2", "w-2", ready)}, "complete"},
		{"by hand only", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", ReadyReplicas: 3, AvailableReplicas: 3}, func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
		}), nil, "failed on-delete"},
	}
	for _, tt := range tests {
		v, _ := verdict.Judge(verdict.Snapshot{Workload: &workload.Workload{StatefulSet: tt.s}, Pods: tt.pods, Now: t0}, verdict.Policy{}, verdict.Memory{})
		if got := outline(v); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	// No condition tells of refused pods; the event does, while pods are lacking.
	s := set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2"})
	e := &corev1.Event{InvolvedObject: corev1.ObjectReference{UID: "s"}, Reason: "FailedCreate", Message: `violates PodSecurity "restricted"`, LastTimestamp: metav1.NewTime(t0)}
	v, _ := verdict.Judge(verdict.Snapshot{Workload: &workload.Workload{StatefulSet: s}, Events: []*corev1.Event{e}, Now: t0}, verdict.Policy{}, verdict.Memory{})
	if got := outline(v); got != "failed pod-security" {
		t.Error(got)
	}
}

func outline(v verdict.Verdict) string {
	switch {
	case v.Cause != nil:
		return string(v.State) + " " + v.Cause.Code
	case v.Waiting != "":
		return string(v.State) + " " + v.Waiting
	}
	return string(v.State)
}

func TestDaemonSet(t *testing.T) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "ds", Generation: 2}, Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 1, NumberAvailable: 1}}
	revision := func(hash string, n int64) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "w-" + hash, OwnerReferences: owner("ds", "DaemonSet")}, Revision: n, Data: runtime.RawExtension{}}
	}
	pod := func(name, hash string, change ...func(*corev1.Pod)) *corev1.Pod {
		w := newWorld(1)
		p := w.pod(name, w.new, change...)
		p.OwnerReferences, p.Labels = owner("ds", "DaemonSet"), map[string]string{"controller-revision-hash": hash}
		return p
	}
	s := verdict.Snapshot{Workload: &workload.Workload{DaemonSet: ds}, Now: t0,
		// Going back gives the old revision the highest number.
		Revisions: []*appsv1.ControllerRevision{revision("aaa", 3), revision("bbb", 2)},
		Pods:      []*corev1.Pod{pod("p1", "aaa"), pod("p2", "bbb", ready)}}
	v, _ := verdict.Judge(s, verdict.Policy{}, verdict.Memory{})
	if outline(v) != "progressing new pods to be made: 1 of 2" || v.Revision != "w-aaa" || len(v.Pods) != 1 || v.Pods[0].Name != "p1" {
		t.Errorf("%s %+v", outline(v), v)
	}
	s.Pods[0] = pod("p1", "aaa", waiting("ErrImagePull", "x: not found"))
	if v, _ = verdict.Judge(s, verdict.Policy{}, verdict.Memory{}); outline(v) != "failed image-not-found" {
		t.Error(outline(v))
	}
	s.Pods = []*corev1.Pod{pod("p1", "aaa", ready), pod("p2", "aaa", ready)}
	ds.Status.UpdatedNumberScheduled, ds.Status.NumberAvailable = 2, 2
	if v, _ = verdict.Judge(s, verdict.Policy{}, verdict.Memory{}); outline(v) != "complete" {
		t.Error(outline(v))
	}
}

// What is judged is not altered, and the Memory of one judgement serves more
// than one next: a watch judges twice from the same.
func TestPure(t *testing.T) {
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

// A thousand pods are judged while they change; it must not take long.
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
