package verdict_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// recording is the whole state of one Deployment in a real 1.35 cluster (kubelet,
// containerd 1.6, runc), as kubectl printed it.
type recording struct {
	Deployment   *appsv1.Deployment   `json:"deployment"`
	ReplicaSets  []*appsv1.ReplicaSet `json:"replicaSets"`
	Pods         []*corev1.Pod        `json:"pods"`
	Events       []*corev1.Event      `json:"events"`
	Logs         string               `json:"logs"`
	PreviousLogs string               `json:"previousLogs"`
}

func load(t *testing.T, name string) recording {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recordings", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// snapshot returns what a watch would provide at the moment of the recording.
func (r recording) snapshot() verdict.Snapshot {
	s := verdict.Snapshot{
		Workload: &workload.Workload{Deployment: r.Deployment}, ReplicaSets: r.ReplicaSets, Pods: r.Pods, Events: r.Events,
		Logs: map[verdict.Container]string{}, Now: r.now(),
	}
	for _, p := range r.Pods {
		for _, c := range p.Spec.Containers {
			s.Logs[verdict.Container{Pod: p.Name, Name: c.Name}] = r.Logs
		}
	}
	return s
}

// now returns the latest time in the recording.
func (r recording) now() time.Time {
	var latest time.Time
	for _, e := range r.Events {
		if at := verdict.EventTime(e); at.After(latest) {
			latest = at
		}
	}
	return latest
}

func TestRecordings(t *testing.T) {
	tests := []struct {
		name  string
		state verdict.State // in the first judgement
		code  string
		// grace is when a transient cause becomes a failure; 0 for terminal.
		grace time.Duration
		what  string // a substring of What; likewise why
		why   string
	}{
		{name: "ok", state: verdict.Complete},
		{name: "notag", state: verdict.Failed, code: "image-not-found", what: "system-bus-worker:nope does not exist", why: "not found"},
		{name: "noauth", state: verdict.Failed, code: "image-denied", why: "403 Forbidden"},
		{name: "noreg", state: verdict.Failing, code: "image-network", grace: 60 * time.Second, why: "connection refused"},
		{name: "badname", state: verdict.Failed, code: "image-name", what: `"UPPER:bad:x"`, why: "must be lowercase"},
		{name: "badarch", state: verdict.Failed, code: "exec-format", what: "another architecture than node node1", why: "exec /worker: exec format error"},
		{name: "crash", state: verdict.Failed, code: "crash-loop", what: "container c", why: "exit code 1, 4 times"},
		{name: "oom", state: verdict.Failed, code: "oom-killed", why: "OOMKilled 4 times"},
		{name: "live", state: verdict.Failed, code: "liveness", why: "statuscode: 500"},
		{name: "nocmd", state: verdict.Failed, code: "command-not-found", why: `exec: "/nope"`},
		{name: "nosecret", state: verdict.Failing, code: "config-missing", grace: 10 * time.Second, why: `secret "nope" not found`},
		{name: "nonroot", state: verdict.Failed, code: "run-as-root", why: "image will run as root"},
		{name: "psa", state: verdict.Failed, code: "pod-security", why: "allowPrivilegeEscalation"},
		{name: "pvc", state: verdict.Failing, code: "claim-missing", grace: 10 * time.Second, why: `persistentvolumeclaim "none" not found`},
		{name: "sel", state: verdict.Failing, code: "unschedulable", grace: 60 * time.Second, why: "didn't match Pod's node affinity/selector"},
		{name: "unsched", state: verdict.Failing, code: "unschedulable", grace: 60 * time.Second, why: "Insufficient cpu"},
		{name: "notready", state: verdict.Failing, code: "not-ready", grace: 60 * time.Second, why: "connection refused"},
		{name: "sick", state: verdict.Failing, code: "not-ready", grace: 60 * time.Second, why: "statuscode: 500"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		seen[tt.name] = true
		t.Run(tt.name, func(t *testing.T) {
			s := load(t, tt.name).snapshot()
			v, m := verdict.Judge(s, verdict.Policy{Settle: -1}, verdict.Memory{})
			if v.State != tt.state {
				t.Fatalf("state %s (%+v), want %s", v.State, v.Cause, tt.state)
			}
			if tt.code == "" {
				if v.Cause != nil {
					t.Fatalf("cause %+v of a rollout that is complete", v.Cause)
				}
				return
			}
			c := v.Cause
			if string(c.Code) != tt.code || !strings.Contains(c.What, tt.what) || !strings.Contains(c.Why, tt.why) || c.Fix == "" {
				t.Fatalf("cause %+v, want %s with %q, %q and a fix", c, tt.code, tt.what, tt.why)
			}
			if c.Terminal != (tt.grace == 0) {
				t.Fatalf("terminal is %v", c.Terminal)
			}
			if strings.ContainsAny(c.What+c.Why+c.Fix, "\n\r\t") {
				t.Errorf("not on one line: %+v", c)
			}
			if tt.grace == 0 {
				return
			}
			if want := s.Now.Add(tt.grace); !v.Deadline.Equal(want) || !v.Again.Equal(want) {
				t.Fatalf("deadline %s, again %s, want %s", v.Deadline, v.Again, want)
			}
			s.Now = s.Now.Add(tt.grace - time.Second)
			if v, m = verdict.Judge(s, verdict.Policy{}, m); v.State != verdict.Failing {
				t.Fatalf("%s a second before the deadline", v.State)
			}
			s.Now = s.Now.Add(time.Second)
			if v, _ = verdict.Judge(s, verdict.Policy{}, m); v.State != verdict.Failed || string(v.Cause.Code) != tt.code {
				t.Fatalf("%s %+v at the deadline", v.State, v.Cause)
			}
		})
	}
	files, err := filepath.Glob("testdata/recordings/*.json")
	if err != nil || len(files) != len(seen) {
		t.Fatalf("%d recordings, %d tested (%v)", len(files), len(seen), err)
	}
}

// Without its log, a wrong architecture looks like any other crash loop.
func TestWrongArchitectureWithoutLog(t *testing.T) {
	s := load(t, "badarch").snapshot()
	s.Logs = nil
	v, _ := verdict.Judge(s, verdict.Policy{}, verdict.Memory{})
	if v.State != verdict.Failed || v.Cause.Code != "crash-loop" {
		t.Fatalf("%s %+v", v.State, v.Cause)
	}
}
