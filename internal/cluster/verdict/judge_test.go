package verdict_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
)

func TestStates(t *testing.T) {
	tests := []struct {
		name  string
		build func() *world
		want  string // state [code] [waiting]
	}{
		{"generation not observed: the status is outdated", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, ready)
			w.d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}
			return w
		}, "progressing the controller to see generation 2"},
		{"no pod yet", func() *world { return newWorld(2) }, "progressing new pods to be created: 0 of 2"},
		{"new pod comes up next to the old one", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, ready)
			w.pod("n", w.new)
			w.status(2, 1, 1)
			return w
		}, "progressing old pods to be stopped: 1 left; new pods ready: 0 of 1"},
		{"old pod ends slowly: complete", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, ready, ending)
			w.pod("n", w.new, ready)
			w.status(1, 1, 1)
			return w
		}, "complete"},
		{"pod not reported yet", func() *world {
			w := newWorld(1)
			w.pod("n", w.new)
			w.status(1, 1, 1)
			return w
		}, "progressing reports about the new pods"},
		{"scaled to nothing", func() *world { return newWorld(0) }, "complete"},
		{"problems of old pods do not count", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, waiting("ImagePullBackOff", "x: not found"))
			w.pod("n", w.new)
			w.status(2, 1, 0)
			return w
		}, "progressing old pods to be stopped: 1 left; new pods ready: 0 of 1"},
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
		{"crashed once, up again", one(again(1)), "progressing new pods to become available: 0 of 1"},
		{"crashed twice: its database may be up soon", one(ended(1, 1, "Error", "")), "failing crash-loop"},
		{"crashed three times", one(ended(2, 1, "Error", "")), "failed crash-loop"},
		{"crashed twice, up again and not ready yet", one(again(2)), "progressing new pods to become available: 0 of 1"},
		{"crashed three times, up again and not ready", one(again(3)), "failed crash-loop"},
		{"crashed twice, up again and ready", one(again(2), ready), "progressing new pods to become available: 0 of 1"},
		{"in back-off after one end", one(ended(0, 1, "Error", ""), backOff), "failing crash-loop"},
		{"in back-off after three ends, of which the third was not seen", one(ended(2, 1, "Error", ""), backOff), "failed crash-loop"},
		{"ended with exit code 0, which a worker must not", one(ended(1, 0, "Completed", "")), "failed exits"},
		{"out of memory", one(ended(1, 137, "OOMKilled", "")), "failed oom-killed"},
		{"format error in the termination message", one(ended(0, 1, "Error", "exec /worker: exec format error")), "failed exec-format"},
		{"format error of runc", one(waiting("RunContainerError", "runc create failed: unable to start container process: exec /worker: exec format error")), "failed exec-format"},
		{"StartError of a missing command", one(ended(0, 128, "StartError", `runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory`)), "failed command-not-found"},
		{"a mount that fails at start is not a missing command", one(waiting("RunContainerError", "error mounting /data: no such file or directory")), "failing container-run"},
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
				got += " " + string(v.Cause.Code)
			case v.Waiting != "":
				got += " " + v.Waiting
			}
			if got != tt.want {
				t.Errorf("%s, want %s (%+v)", got, tt.want, v.Cause)
			}
		})
	}
}

// A failed pull always has the same reason; only the runtime's text shows the cause.
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
			if v.Cause == nil || string(v.Cause.Code) != want {
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
		`pods "w-1" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression`:                "failed admission-denied",
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
			got += " " + string(v.Cause.Code)
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
		if v.Cause == nil || string(v.Cause.Code) != want || v.State != verdict.Failing {
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

// A failing readiness probe gets its own initial delay in addition.
func TestReadinessDelay(t *testing.T) {
	w := one(func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe.InitialDelaySeconds = 25 })()
	w.event("n", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
	v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	if v.State != verdict.Failing || !v.Deadline.Equal(t0.Add(85*time.Second)) || !strings.Contains(v.Cause.Why, "503") {
		t.Errorf("%s %s %+v", v.State, v.Deadline.Sub(t0), v.Cause)
	}
	// Without events (no right to read them) only time shows it.
	w.events = nil
	for after, want := range map[time.Duration]verdict.State{54 * time.Second: verdict.Progressing, 56 * time.Second: verdict.Failing} {
		w.now = t0.Add(after)
		if v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{}); v.State != want {
			t.Errorf("%s after %s, want %s", v.State, after, want)
		}
	}
}
