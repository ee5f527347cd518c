// Package verdict judges a rollout from what the API reports. Judge is a pure function
// from a Snapshot (and the Memory of the previous judgement) to a Verdict. It uses no
// clock, network or terminal, so every way to fail is a row in a table test.
//
// # Order of reading
//
// The controller's observedGeneration comes first (before it has caught up,
// nothing in status is about this rollout), then whether the rollout is
// complete, then what blocks it. Only pods of the new revision are judged: the
// ReplicaSet whose template equals the Deployment's, not the youngest one
// (going back reuses an old one). A pod of the new revision that is finished
// (Failed or Succeeded) and has a replacement is not judged either. Pods of the
// old revision that take long to terminate are reported in Old and Ending; they
// are not failures.
//
// # Complete
//
// The workload's counts decide, by the rule of `kubectl rollout status`. Two
// things delay the verdict afterwards: a container without a probe has to run
// for Policy.Settle, because it is ready the moment it starts, and a container
// that has crashed has to run for longer than before its last crash. So a
// rollout never succeeds while it is unclear whether a container still crashes.
//
// # Causes
//
// Terminal at once, because only another manifest, image or cluster setting
// helps:
//
//	image-not-found       the tag, the digest or the repository does not exist
//	image-denied          401, 403, denied: no permission to pull
//	image-platform        no match for platform in the index
//	image-name            InvalidImageName
//	image-never           ErrImageNeverPull
//	exec-format           built for another architecture: only the log shows it
//	command-not-found     the container's command is not in the image
//	run-as-root           runAsNonRoot, and the image's user is root
//	pod-security          PodSecurity refuses the pods
//	admission-denied      an admission webhook or policy refuses the pods
//	pod-invalid           the API server refuses the pods as invalid
//	namespace-terminating the namespace is being deleted
//	being-deleted         the workload is being deleted
//	crash-loop            ended with an error more often than Policy.Restarts allows
//	oom-killed            the same, killed for memory
//	exits                 the same, with exit code 0: it does not keep running
//	liveness, startup     the same, killed by a probe
//	post-start            the same, killed because its postStart hook failed
//	paused, on-delete     nothing will roll out by itself
//	template-contested    somebody changes the template again and again
//	progress-deadline     the controller gave up (progressDeadlineSeconds)
//
// Transient: the verdict is Failing until the cause's grace period has passed
// without any progress, then Failed. The table graces contains these periods. A
// cause without one (an init container that is still running, a scheduling gate
// that another program will open) never fails a rollout by itself: it is
// reported as soon as it shows, and a timeout gives it as the reason.
//
// Progress means that the new revision reaches a count of pods created,
// scheduled, started, ready or available that it had not reached before. Only
// new maximums count, so a pod that crashes and comes back does not gain time
// forever.
//
// # Adding a cause
//
// Add its code to codes.go, with a row in graces if it is transient. Return it
// from the function in cause_*.go that looks at the place where it shows. Add a
// row to the test and a page to package explain.
package verdict

import (
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// State is the state of a rollout.
type State string

// The states. Complete and Failed are final.
const (
	Progressing State = "progressing"
	Failing     State = "failing" // a transient cause; see Verdict.Deadline
	Complete    State = "complete"
	Failed      State = "failed"
)

// Snapshot is what the API reports at one moment.
type Snapshot struct {
	Workload    *workload.Workload
	ReplicaSets []*appsv1.ReplicaSet         // of a Deployment, owned by it
	Revisions   []*appsv1.ControllerRevision // of the other two
	Pods        []*corev1.Pod                // all that match the selector
	Events      []*corev1.Event              // about the workload, its ReplicaSets and pods
	// Logs are the ends of logs, as far as they were read. A wrong architecture shows
	// only there.
	Logs map[Container]string
	// PodsUnknown means that pods could not be listed (for lack of permission). An
	// empty Pods then says nothing, and the workload's counts decide.
	PodsUnknown bool
	// TemplateChanges is how often somebody else has changed the pod template since
	// the rollout began, and ChangedBy is who did it last.
	TemplateChanges int
	ChangedBy       string
	Now             time.Time
}

// Container names one container of one pod.
type Container struct{ Pod, Name string }

// Policy says how long to wait for what.
type Policy struct {
	// Grace multiplies every grace period; 0 means 1.
	Grace float64
	// Restarts is how many restarts are allowed before an exit with an error
	// counts as a crash loop; 0 means 2, a negative number none. Two let a
	// worker find its database on the third try, after the kubelet's first
	// back-off of 10 s. If another start does not help (out of memory, exit
	// code 0, a probe), one less is allowed.
	Restarts int32
	// Settle is how long a container without a readiness probe must have run
	// before the rollout counts as complete: such a pod is ready the moment it
	// starts, even if it crashes a second later. 0 means 5 s, a negative number
	// none.
	Settle time.Duration
	// Held means that a Deployment's new pods are prevented from counting as
	// available (see package handover): then complete means that all of them
	// are Ready while the old ones still exist.
	Held bool
	// GaveUp is when the controller gave up on the previous rollout. That condition
	// stays until there is progress, and does not refer to this rollout.
	GaveUp time.Time
}

// Restarts converts a number of restarts, where 0 means none, to Policy's form.
func Restarts(n int) int32 {
	if n <= 0 {
		return -1
	}
	return int32(min(n, math.MaxInt32))
}

// Cause is a reason why a rollout makes no progress.
type Cause struct {
	Code pipeline.Code `json:"code"`
	What string        `json:"what"` // one line that names the object
	Why  string        `json:"why"`  // in the words of the kubelet, scheduler or API server
	Fix  string        `json:"fix"`
	// Pod and Container say where the cause shows; empty for causes of the workload.
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	Terminal  bool   `json:"terminal"`
	// Pods is how many pods show the same cause.
	Pods int `json:"pods,omitempty"`

	// grace is that of a transient cause, before Policy.Grace; 0 if it has none
	grace time.Duration
}

// Finding returns the cause as an error for a person.
func (c *Cause) Finding() *pipeline.Finding {
	return &pipeline.Finding{Code: c.Code, Severity: pipeline.Error, What: c.What, Why: c.Why, Fix: c.Fix}
}

// Pod is one pod of the new revision: a row of the table that people see.
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

// Ending is a pod of an old revision that is terminating.
type Ending struct {
	Name  string        `json:"name"`
	Since time.Duration `json:"since"` // since its deletion was requested
	// Left is the rest of its grace period; negative if that is over.
	Left time.Duration `json:"left"`
}

// Verdict is the state of the rollout and the reason for it.
type Verdict struct {
	State State  `json:"state"`
	Cause *Cause `json:"cause,omitempty"` // set when Failing or Failed
	// Since is when the cause was first seen without any progress after it.
	Since time.Time `json:"since,omitzero"`
	// Deadline is when Failing turns into Failed; zero for a cause that only
	// fails the rollout at its timeout.
	Deadline time.Time `json:"deadline,omitzero"`
	// Again is when the same Snapshot must be judged again because time alone
	// changes the verdict; zero if only new reports can.
	Again time.Time `json:"-"`
	// Waiting says in one line what the rollout waits for while Progressing.
	Waiting string `json:"waiting,omitempty"`
	// Settling means that the counts are complete, and that only the time until Again
	// remains: a caller that runs out of time may wait for that.
	Settling bool `json:"-"`

	Revision string   `json:"revision,omitempty"` // name of the new ReplicaSet or ControllerRevision
	Wanted   int32    `json:"wanted"`
	Updated  int32    `json:"updated"`
	Ready    int32    `json:"ready"`
	Pods     []Pod    `json:"pods,omitempty"`
	Old      []string `json:"old,omitempty"`    // pods of old revisions that keep running
	Ending   []Ending `json:"ending,omitempty"` // pods of old revisions that are terminating
}

// ByStatus returns the verdict from the workload's own status, for users who may not
// read its pods.
func ByStatus(w *workload.Workload, now time.Time) Verdict {
	v, _ := Judge(Snapshot{Workload: w, PodsUnknown: true, Now: now}, Policy{Settle: -1}, Memory{})
	return v
}
