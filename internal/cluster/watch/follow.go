package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/fieldowner"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// follower is one wait: its feeds, what it remembers, what it told.
type follower struct {
	Options
	ref  workload.Ref
	news chan struct{} // of capacity 1: something changed
	bad  chan trouble

	workloads   *feed[metav1.Object]
	replicaSets *feed[*appsv1.ReplicaSet]
	revisions   *feed[*appsv1.ControllerRevision]
	pods        *feed[*corev1.Pod]
	events      *feed[*corev1.Event]

	memory  verdict.Memory
	logs    map[verdict.Container]string
	read    map[string]bool // pod/container/restart whose log was read
	refused map[string]bool // kinds that may not be watched
	away    bool
	told    told
}

// trouble is an error of one feed; nil when it works again.
type trouble struct {
	kind string
	err  error
}

const defaultTimeout = 180 * time.Second

// follow judges until done says so. It owns the feeds' goroutines and has
// ended them when it returns.
func follow(ctx context.Context, kube kubernetes.Interface, o Options, done func(verdict.Verdict) bool) (Result, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	o.Policy.GaveUp = gaveUp(o.Applied)
	f := &follower{
		Options: o, ref: o.Applied.Ref(), news: make(chan struct{}, 1), bad: make(chan trouble, 16),
		logs: map[verdict.Container]string{}, read: map[string]bool{}, refused: map[string]bool{},
	}
	feeding, stop := context.WithCancel(ctx)
	wait := f.start(feeding, kube)
	defer func() { stop(); wait() }()

	began := time.Now()
	end := time.NewTimer(o.Timeout)
	defer end.Stop()
	again := time.NewTimer(o.Timeout)
	defer again.Stop()
	var result Result
	for {
		select {
		case <-ctx.Done():
			return result, fmt.Errorf("watching %s: %w", f.ref, context.Cause(ctx))
		case <-end.C:
			result.Took = time.Since(began)
			return result, f.timedOut(&result.Verdict)
		case t := <-f.bad:
			if err := f.trouble(t); err != nil {
				return result, err
			}
		case <-f.news:
		case <-again.C:
		}
		snapshot, ok, err := f.snapshot()
		if err != nil {
			return result, err
		}
		if !ok {
			continue
		}
		start := time.Now()
		result.Verdict = f.judge(ctx, &snapshot)
		result.Snapshot, result.Took = snapshot, time.Since(began)
		f.tell(result.Verdict)
		if done(result.Verdict) {
			return result, nil
		}
		if result.Verdict.State == verdict.Failed {
			return result, f.failed(result.Verdict)
		}
		if !result.Verdict.Again.IsZero() {
			again.Reset(time.Until(result.Verdict.Again) + time.Millisecond)
		}
		// A thousand pods bring thousands of news: what arrives while one
		// judgement is made is judged together.
		if err := pause(ctx, min(2*time.Since(start), 100*time.Millisecond)); err != nil {
			return result, fmt.Errorf("watching %s: %w", f.ref, err)
		}
	}
}

// gaveUp is when the controller gave up on the rollout that the applied state
// replaces; zero when it did not.
func gaveUp(w *workload.Workload) (at time.Time) {
	if w.Deployment == nil {
		return at
	}
	for _, c := range w.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" {
			at = c.LastUpdateTime.Time
		}
	}
	return at
}

func pause(ctx context.Context, d time.Duration) error {
	if d < time.Millisecond {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// judge judges, and reads a crashed container's log where that can change the
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

// logReads bounds how many logs one wait reads: requests must not grow with
// replicas, and pods of one revision crash alike.
const logReads = 6

func (f *follower) readLog(ctx context.Context, s *verdict.Snapshot, c *verdict.Cause) bool {
	if f.Log == nil || c == nil || c.Container == "" || len(f.read) >= logReads {
		return false
	}
	switch c.Code {
	case "crash-loop", "exits":
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
			text, err := f.Log(short, which, cs.State.Running != nil)
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

// snapshot is what the feeds know, once they know anything.
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
		PodsUnknown: f.podsUnknown(), Now: time.Now()}
	if f.replicaSets != nil {
		s.ReplicaSets = f.replicaSets.snapshot()
	}
	if f.revisions != nil {
		s.Revisions = f.revisions.snapshot()
	}
	return s, true, nil
}

// podsUnknown: without the right to see pods, or what tells new from old ones,
// the workload's status alone is judged.
func (f *follower) podsUnknown() bool {
	return f.refused["pods"] || f.ref.Kind == workload.Deployment && f.refused["replicasets"] ||
		f.ref.Kind == workload.DaemonSet && f.refused["controllerrevisions"]
}

func (f *follower) known(kind string, synced bool) bool { return synced || f.refused[kind] }

// live is the workload now, nil while only an older state than the applied one
// is known; an error when it is no longer the one applied.
func (f *follower) live() (*workload.Workload, error) {
	var live *workload.Workload
	for _, o := range f.workloads.snapshot() {
		live = workload.Of(o)
	}
	where := f.ref.Namespace + "/" + f.ref.String()
	applied := f.Applied.Object()
	if live == nil || live.Object().GetUID() != applied.GetUID() {
		finding := &pipeline.Finding{Code: workload.CodeReplaced, Severity: pipeline.Error, Where: where, Err: workload.ErrReplaced,
			What: f.ref.String() + " was deleted during its rollout",
			Fix:  "find out who deleted it; the rollout creates it again when it is run again"}
		if live != nil {
			finding.What = f.ref.String() + " was deleted and created again by somebody else during its rollout"
		}
		return nil, finding
	}
	o := live.Object()
	if o.GetGeneration() < applied.GetGeneration() {
		return nil, nil
	}
	if o.GetGeneration() == applied.GetGeneration() || verdict.SameTemplate(live.Template(), f.Applied.Template()) {
		if f.Check != nil {
			return live, f.Check(live)
		}
		return live, nil
	}
	return nil, &pipeline.Finding{Code: workload.CodeSuperseded, Severity: pipeline.Error, Where: where, Err: workload.ErrSuperseded,
		What: "somebody else has changed " + f.ref.String() + " during its rollout", Why: fieldowner.Template(f.Applied, live).String(),
		Fix: "talk to them; what runs now is theirs and was left alone"}
}

// trouble decides whether a feed's failure ends the wait.
func (f *follower) trouble(t trouble) error {
	switch {
	case t.err == nil:
		if f.away {
			f.away = false
			f.Reporter.Notef("the API server answers again")
		}
	case isAway(t.err):
		if !f.away {
			f.away = true
			f.Reporter.Notef("the API server does not answer, waiting for it: %v", t.err)
		}
	case apierrors.IsForbidden(t.err) && t.kind != f.workloadKind():
		if !f.refused[t.kind] {
			f.refused[t.kind] = true
			f.Reporter.Finding(&pipeline.Finding{Code: "watch-forbidden", Severity: pipeline.Warning,
				What: "no right to watch " + t.kind + ": causes that show only there stay unseen", Why: t.err.Error(),
				Fix: "grant list and watch on " + t.kind + " in namespace " + f.ref.Namespace})
		}
	case apierrors.IsForbidden(t.err), apierrors.IsUnauthorized(t.err), apierrors.IsNotFound(t.err):
		return cluster.Explain("watch "+t.kind, t.err)
	default:
		f.Reporter.Detailf("watching %s: %v", t.kind, t.err)
	}
	return nil
}

func (f *follower) timedOut(v *verdict.Verdict) error {
	if v.Cause != nil {
		v.State = verdict.Failed
		return f.failed(*v)
	}
	v.State = verdict.Failed
	why := "still waiting for " + v.Waiting
	if v.Waiting == "" {
		why = "nothing was heard of it"
	}
	if f.away {
		why = "the API server does not answer"
	}
	return &pipeline.Finding{Code: "rollout-timeout", Severity: pipeline.Error, Where: f.ref.Namespace + "/" + f.ref.String(),
		What: fmt.Sprintf("the rollout was not complete after %s", f.Timeout), Why: why,
		Fix: "give it more time with --timeout, or see `kubectl describe " + f.ref.String() + "`"}
}

func (f *follower) failed(v verdict.Verdict) error {
	finding := v.Cause.Finding()
	finding.Where = f.ref.Namespace + "/" + f.ref.String()
	finding.Err = errors.Join(ErrFailed)
	return finding
}
