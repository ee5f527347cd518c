// Package verdict judges a rollout from what the API says: a pure function
// from one Snapshot to one Verdict, which knows no clock, no network and no
// terminal, so that every way to fail is a row of a table in its test.
//
// # Order of reading
//
// The controller's observedGeneration first (before it has caught up, nothing
// in status speaks of this rollout), then whether it is complete, then what
// stands in the way. Only pods of the new revision are judged: the ReplicaSet
// whose template equals the Deployment's, not the youngest one (going back
// reuses an old one). Pods of the old revision that take their time to end are
// reported in Old, and are no failure.
//
// # Causes
//
// Terminal at once, as nothing but another manifest, image or cluster setting
// helps:
//
//	image-not-found       the tag or digest is not there, or the repository is not
//	image-denied          401, 403, denied: no pull rights
//	image-platform        no match for platform in the index
//	image-name            InvalidImageName
//	image-never           ErrImageNeverPull
//	exec-format           built for another architecture: seen in the log alone
//	command-not-found     the container's command is not in the image
//	run-as-root           runAsNonRoot, and the image is root's
//	pod-security          PodSecurity refuses the pods
//	admission-denied      an admission webhook or policy refuses the pods
//	pod-invalid           the API server refuses the pods as invalid
//	crash-loop            ended with an error as often as Policy.Restarts allows, and once more
//	oom-killed            the same, killed for memory
//	exits                 the same, with exit code 0: it does not keep running
//	liveness, startup     the same, killed by a probe
//	paused, on-delete     nothing will roll out by itself
//	progress-deadline     the controller gave up (progressDeadlineSeconds)
//
// Transient: the verdict is Failing until the cause's grace has passed without
// anything moving, then Failed:
//
//	image-network         registry away: refused, timeout, no such host, 5xx    60 s
//	image-pull            a reason to fail a pull that is not known here        30 s
//	config-missing        Secret, ConfigMap or key not there (yet)              10 s
//	config                another CreateContainerConfigError                    20 s
//	container-create      CreateContainerError                                  30 s
//	container-run         RunContainerError other than a missing command       20 s
//	crash, oom, …         ended once: may come up yet                           20 s
//	not-ready             runs, readiness probe fails                           60 s + initialDelaySeconds
//	unschedulable         no node fits: an autoscaler may help                  60 s
//	claim-missing         PersistentVolumeClaim not there                       10 s
//	volume                FailedMount, FailedAttachVolume                       60 s
//	sandbox               no network for the pod                                60 s
//	quota                 the quota leaves no room for the pods                 30 s
//	service-account       the ServiceAccount is not there (yet)                 10 s
//	pods-refused          pods cannot be created for another reason             30 s
//	node-lost             the node does not answer                              60 s
//	evicted               the node threw the pod out                            60 s
//
// Something moves when the new revision reaches a count of pods created,
// scheduled, started, ready or available that it had not reached before: high
// water marks, so that a pod that crashes and comes back does not buy time for
// ever.
//
// # To add a cause
//
// Return it from the function in cause_*.go that looks at the place where it
// shows, give it a row above, in graces, and in the test.
package verdict

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// State is how a rollout stands.
type State string

// The states. Complete and Failed are final.
const (
	Progressing State = "progressing"
	Failing     State = "failing" // a transient cause; see Verdict.Deadline
	Complete    State = "complete"
	Failed      State = "failed"
)

// Snapshot is what the API says at one moment.
type Snapshot struct {
	Workload    *workload.Workload
	ReplicaSets []*appsv1.ReplicaSet         // of a Deployment, owned by it
	Revisions   []*appsv1.ControllerRevision // of the other two
	Pods        []*corev1.Pod                // all that match the selector
	Events      []*corev1.Event              // of the workload, its ReplicaSets and pods
	// Logs are ends of logs, where somebody read them: the only place where a
	// wrong architecture shows.
	Logs map[Container]string
	// PodsUnknown says that pods could not be listed (no right to): Pods being
	// empty then says nothing.
	PodsUnknown bool
	Now         time.Time
}

// Container names one container of one pod.
type Container struct{ Pod, Name string }

// Policy says how patient to be.
type Policy struct {
	// Grace multiplies every grace period; 1 when zero.
	Grace float64
	// Restarts that are allowed before a crash is a crash loop; 1 when zero,
	// none when negative.
	Restarts int32
	// Settle is how long a container without a readiness probe must have run
	// before the rollout counts as complete: such a pod is ready the moment it
	// starts, also when it crashes a second later. 3 s when zero.
	Settle time.Duration
	// Held says that a Deployment's new pods are kept from counting as
	// available (see package handover): complete is then that all of them are
	// Ready, with the old ones still there.
	Held bool
	// GaveUp is when the controller gave up on what was there before: its
	// condition stands until something moves, and says nothing of this rollout.
	GaveUp time.Time
}

// Cause is why a rollout does not get on.
type Cause struct {
	Code pipeline.Code `json:"code"`
	What string        `json:"what"` // one line, naming the thing
	Why  string        `json:"why"`  // in the words of the kubelet, scheduler or API server
	Fix  string        `json:"fix"`
	// Pod and Container are where it shows; empty for causes of the workload.
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	Terminal  bool   `json:"terminal"`
	// Pods is how many pods show the same cause.
	Pods int `json:"pods,omitempty"`

	grace time.Duration // of a transient cause, before Policy.Grace
}

// Finding is the cause as an error for a person.
func (c *Cause) Finding() *pipeline.Finding {
	return &pipeline.Finding{Code: c.Code, Severity: pipeline.Error, What: c.What, Why: c.Why, Fix: c.Fix}
}

// Pod is one pod of the new revision, a row of the table that a person sees.
type Pod struct {
	Name     string        `json:"name"`
	UID      string        `json:"uid"`
	Node     string        `json:"node"`
	Ready    bool          `json:"ready"`
	State    string        `json:"state"` // one word or reason: Running, ImagePullBackOff
	Restarts int32         `json:"restarts"`
	Age      time.Duration `json:"age"`
	ImageID  string        `json:"imageID,omitempty"` // of the first container
}

// Ending is a pod of an old revision that has been told to end.
type Ending struct {
	Name  string        `json:"name"`
	Since time.Duration `json:"since"` // since it was told
	// Left is what remains of its grace period; negative when overdue.
	Left time.Duration `json:"left"`
}

// Verdict is how the rollout stands and why.
type Verdict struct {
	State State  `json:"state"`
	Cause *Cause `json:"cause,omitempty"` // set when Failing or Failed
	// Since is when the cause was first seen without anything moving after it.
	Since time.Time `json:"since,omitzero"`
	// Deadline is when Failing turns into Failed.
	Deadline time.Time `json:"deadline,omitzero"`
	// Again is when the same Snapshot must be judged again because time alone
	// changes the verdict; zero when only news can.
	Again time.Time `json:"-"`
	// Waiting says in a line what is waited for while Progressing.
	Waiting string `json:"waiting,omitempty"`

	Revision string   `json:"revision,omitempty"` // name of the new ReplicaSet or ControllerRevision
	Wanted   int32    `json:"wanted"`
	Updated  int32    `json:"updated"`
	Ready    int32    `json:"ready"`
	Pods     []Pod    `json:"pods,omitempty"`
	Old      []string `json:"old,omitempty"`    // pods of old revisions that run on
	Ending   []Ending `json:"ending,omitempty"` // those that are ending
}
