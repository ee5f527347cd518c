package watch

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/fieldowner"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// follower is one wait: its feeds, its state, and what it has reported.
type follower struct {
	Options
	kube kubernetes.Interface
	ref  workload.Ref
	news chan struct{} // of capacity 1; signals that something changed
	bad  chan trouble
	// stop ends the feeds and returns when they have ended.
	stop func()

	workloads   *feed[metav1.Object]
	replicaSets *feed[*appsv1.ReplicaSet]
	revisions   *feed[*appsv1.ControllerRevision]
	pods        *feed[*corev1.Pod]
	events      *feed[*corev1.Event]

	memory  verdict.Memory
	logs    map[verdict.Container]string
	read    map[string]bool // pod/container/restart whose log was read
	refused map[string]bool // kinds that we may not watch
	away    bool
	shown   shown
	// seen is the workload with its last known pod template, which somebody may
	// have changed since the apply.
	seen      *workload.Workload
	changes   int
	changedBy string
	// last is the latest cause, and lastAt is when it was last visible.
	last   *verdict.Cause
	lastAt time.Time
}

const defaultTimeout = 180 * time.Second

// answerWithin is how long to wait beyond the timeout for the state after a gap, or for a
// first state at all: without it nobody can say how far the rollout has got.
const answerWithin = 15 * time.Second

// follow judges the rollout until done returns true. It owns the feeds' goroutines, which
// have ended when it returns.
func follow(ctx context.Context, kube kubernetes.Interface, o Options, done func(verdict.Verdict) bool) (Result, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	o.Policy.GaveUp = gaveUp(o.Applied)
	f := &follower{
		Options: o, kube: kube, ref: o.Applied.Ref(), news: make(chan struct{}, 1), bad: make(chan trouble, 16), seen: o.Applied,
		logs: map[verdict.Container]string{}, read: map[string]bool{}, refused: map[string]bool{},
	}
	f.feed(ctx)
	defer func() { f.stop() }()

	began := time.Now()
	clock := stopwatch{left: o.Timeout, last: began.Round(0)}
	alarm := newAlarms(o.Timeout)
	defer alarm.stop()
	var result Result
	for {
		ticked, err := f.wait(ctx, alarm)
		if err != nil {
			return result, err
		}
		if gap := clock.lap(time.Now()); gap > 0 {
			f.Reporter.Notef("this process was suspended for %s; the state is read again, and that time does not count", gap.Round(time.Second))
			f.memory = f.memory.Skip(gap)
			f.stop()
			f.feed(ctx)
			continue
		}
		if ticked && clock.left > tick {
			continue // nothing is new, and there is time left
		}
		start := time.Now()
		known, err := f.update(ctx, &result)
		if err != nil {
			return result, err
		}
		result.Took = time.Since(began)
		v := result.Verdict
		switch {
		case known && done(v):
			return result, nil
		case known && v.State == verdict.Failed:
			return result, f.failed(v)
		case clock.left > 0 || known && v.Settling || !known && clock.left > -answerWithin:
		default:
			return result, f.timedOut(&result)
		}
		if !known {
			continue
		}
		if !v.Again.IsZero() {
			alarm.again.Reset(time.Until(v.Again) + time.Millisecond)
		}
		// A thousand pods cause thousands of reports. Those that arrive during one
		// judgement are judged together.
		if err := waiting.For(ctx, min(2*time.Since(start), 100*time.Millisecond)); err != nil {
			return result, fmt.Errorf("watching %s: %w", f.ref, err)
		}
	}
}

// alarms are the times at which the state is judged although nothing is new.
type alarms struct {
	ticks *time.Ticker // notices that the process was suspended
	end   *time.Timer  // the timeout
	again *time.Timer  // the time that the last verdict asked for
}

func newAlarms(timeout time.Duration) alarms {
	return alarms{ticks: time.NewTicker(tick), end: time.NewTimer(timeout), again: time.NewTimer(timeout)}
}

func (a alarms) stop() {
	a.ticks.Stop()
	a.end.Stop()
	a.again.Stop()
}

// wait waits for news or an alarm; ticked means that nothing but a tick came.
func (f *follower) wait(ctx context.Context, a alarms) (ticked bool, err error) {
	select {
	case <-ctx.Done():
		return false, fmt.Errorf("watching %s: %w", f.ref, context.Cause(ctx))
	case t := <-f.bad:
		return false, f.trouble(t)
	case <-f.news:
	case <-a.again.C:
	case <-a.end.C:
	case <-a.ticks.C:
		return true, nil
	}
	return false, nil
}

// feed starts the feeds; what they knew before is forgotten.
func (f *follower) feed(ctx context.Context) {
	feeding, cancel := context.WithCancel(ctx)
	wait := f.start(feeding, f.kube)
	f.stop = func() { cancel(); wait() }
}

// update judges what the feeds know; known is false as long as they do not know enough.
func (f *follower) update(ctx context.Context, r *Result) (known bool, err error) {
	snapshot, ok, err := f.snapshot()
	if err != nil || !ok {
		return false, err
	}
	r.Verdict = f.judge(ctx, &snapshot)
	r.Snapshot = snapshot
	if r.Verdict.Cause != nil {
		f.last, f.lastAt = r.Verdict.Cause, snapshot.Now
	}
	f.report(r.Verdict)
	if f.Seen != nil {
		f.Seen(*r)
	}
	return true, nil
}

// judge judges the state, and reads a crashed container's log if that can change the
// verdict: a wrong architecture shows nowhere else.
func (f *follower) judge(ctx context.Context, s *verdict.Snapshot) verdict.Verdict {
	before := f.memory
	v, after := verdict.Judge(*s, f.Policy, before)
	if f.readLog(ctx, s, v.Cause) {
		v, after = verdict.Judge(*s, f.Policy, before)
	}
	f.memory = after
	return v
}

// logReads limits how many logs one wait reads: the number of requests must not
// grow with the replicas, and pods of one revision crash alike.
const logReads = 6

func (f *follower) readLog(ctx context.Context, s *verdict.Snapshot, c *verdict.Cause) bool {
	if f.Log == nil || c == nil || c.Container == "" || len(f.read) >= logReads {
		return false
	}
	switch c.Code {
	case verdict.CodeCrashLoop, verdict.CodeExits, verdict.CodeInitRunning:
	default:
		return false
	}
	for _, pod := range s.Pods {
		if pod.Name != c.Pod {
			continue
		}
		for _, cs := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			key := fmt.Sprintf("%s/%s/%d", pod.UID, cs.Name, cs.RestartCount)
			if cs.Name != c.Container || f.read[key] {
				continue
			}
			f.read[key] = true
			which := verdict.Container{Pod: pod.Name, Name: cs.Name}
			short, cancel := context.WithTimeout(ctx, 3*time.Second)
			text, err := f.Log(short, which, cs.State.Running != nil && c.Code != verdict.CodeInitRunning)
			cancel()
			if err != nil {
				f.Reporter.Detailf("log of %s/%s: %v", which.Pod, which.Name, err)
				return false
			}
			f.logs[which] = text
			return true
		}
	}
	return false
}

// snapshot returns what the feeds know, once they know anything.
func (f *follower) snapshot() (verdict.Snapshot, bool, error) {
	if !f.workloads.synced.Load() || !f.known("pods", f.pods.synced.Load()) ||
		(f.ref.Kind == workload.Deployment && !f.known("replicasets", f.replicaSets.synced.Load())) ||
		(f.ref.Kind != workload.Deployment && !f.known("controllerrevisions", f.revisions.synced.Load())) {
		return verdict.Snapshot{}, false, nil
	}
	live, err := f.live()
	if live == nil || err != nil {
		return verdict.Snapshot{}, false, err
	}
	s := verdict.Snapshot{Workload: live, Pods: f.pods.snapshot(), Events: f.events.snapshot(), Logs: f.logs,
		PodsUnknown: f.podsUnknown(), TemplateChanges: f.changes, ChangedBy: f.changedBy, Now: time.Now()}
	if f.replicaSets != nil {
		s.ReplicaSets = f.replicaSets.snapshot()
	}
	if f.revisions != nil {
		s.Revisions = f.revisions.snapshot()
	}
	return s, true, nil
}

// podsUnknown reports whether only the workload's status can be judged, because permission
// to see pods, or the objects that distinguish new from old ones, is missing.
func (f *follower) podsUnknown() bool {
	return f.refused["pods"] || f.ref.Kind == workload.Deployment && f.refused["replicasets"] ||
		f.ref.Kind == workload.DaemonSet && f.refused["controllerrevisions"]
}

func (f *follower) known(kind string, synced bool) bool { return synced || f.refused[kind] }

// live returns the current workload, or nil as long as only a state older than the applied one
// is known. It is an error if it is no longer the one applied.
func (f *follower) live() (*workload.Workload, error) {
	var live *workload.Workload
	for _, o := range f.workloads.snapshot() {
		if live = workload.Of(o); f.View != nil {
			live = f.View(live)
		}
	}
	where := f.ref.Namespace + "/" + f.ref.String()
	applied := f.Applied.Object()
	if live == nil || live.Object().GetUID() != applied.GetUID() {
		finding := &pipeline.Finding{Code: workload.CodeReplaced, Severity: pipeline.Error, Where: where, Err: workload.ErrReplaced,
			What: f.ref.String() + " was deleted during its rollout",
			Fix:  "find out who deleted it; rolling out again recreates it"}
		if live != nil {
			finding.What = f.ref.String() + " was deleted and recreated by somebody else during its rollout"
			finding.Why = "created by " + fieldowner.Creator(live.Object()).String()
			finding.Fix = "talk to them: the running version is theirs and was left alone"
		}
		return nil, finding
	}
	o := live.Object()
	if o.GetGeneration() < applied.GetGeneration() {
		return nil, nil
	}
	if !verdict.SameTemplate(live.Template(), f.Applied.Template()) && !sameImages(f.Applied.Template(), live.Template()) {
		return nil, &pipeline.Finding{Code: workload.CodeSuperseded, Severity: pipeline.Error, Where: where, Err: workload.ErrSuperseded,
			What: "somebody else has changed " + f.ref.String() + " during its rollout", Why: fieldowner.Template(f.Applied, live).String(),
			Fix: "talk to them: the running version is theirs and was left alone"}
	}
	f.notice(live)
	if f.Check != nil {
		return live, f.Check(live)
	}
	return live, nil
}

// notice reports a change of the pod template by somebody else that does not
// change the images: a restart, a controller that reacts to a changed Secret,
// an injected sidecar. The rollout continues with the new template.
func (f *follower) notice(live *workload.Workload) {
	if verdict.SameTemplate(live.Template(), f.seen.Template()) {
		return
	}
	change := fieldowner.Template(f.seen, live)
	f.seen = live
	f.changes++
	f.changedBy = change.String()
	f.Reporter.Finding(&pipeline.Finding{
		Code:     CodeTemplateChanged,
		Severity: pipeline.Warning,
		Where:    f.ref.Namespace + "/" + f.ref.String(),
		What:     "somebody else has changed the pod template during the rollout; the image is still this run's, so the rollout continues",
		Why:      f.changedBy,
		Fix:      "check whether that was intended",
	})
}

// sameImages reports whether every container in ours has the same image in
// theirs, which may have more containers.
func sameImages(ours, theirs *corev1.PodTemplateSpec) bool {
	images := map[string]string{}
	for _, list := range [][]corev1.Container{theirs.Spec.InitContainers, theirs.Spec.Containers} {
		for _, c := range list {
			images[c.Name] = c.Image
		}
	}
	for _, list := range [][]corev1.Container{ours.Spec.InitContainers, ours.Spec.Containers} {
		for _, c := range list {
			if images[c.Name] != c.Image {
				return false
			}
		}
	}
	return true
}
