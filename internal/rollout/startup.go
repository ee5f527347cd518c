package rollout

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/units"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Startup shows where the time went between the first write and the moment when a new
// pod was Ready. It is about the pod that ran first. All times are in seconds by this
// machine's clock; unknown times are zero.
type Startup struct {
	Pod string `json:"pod"`
	// Pull is the time that the node reports for pulling the image; zero if it had the image.
	Pull float64 `json:"pullSeconds,omitempty"`
	// Started is the time until the container ran, including the pull.
	Started float64 `json:"startedSeconds"`
	// Served is the time from there until the container accepted connections, Ready
	// the time from there until the pod was Ready.
	Served float64 `json:"servedSeconds,omitempty"`
	Ready  float64 `json:"readySeconds,omitempty"`
	// Probes is the part of Ready that only the settings of the probes caused, and
	// Settings says which. They are empty if that was less than 3 s.
	Probes   float64 `json:"probeSettingsSeconds,omitempty"`
	Settings string  `json:"probeSettings,omitempty"`
}

// startup observes the new pods while they start.
type startup struct {
	container string
	began     time.Time
	// ask returns when a pod began to accept connections, or zero if that is not
	// known.
	ask func(pod *corev1.Pod) time.Time

	mu     sync.Mutex // guards the served of each of pods
	asking sync.WaitGroup
	pods   map[types.UID]*start
	first  *start // the pod that ran first
}

// start is what was observed of one pod. Times that are not known are zero.
type start struct {
	pod    *corev1.Pod // the last observed state
	ran    time.Time
	served time.Time
	ready  time.Time
	failed time.Time // when the last failure of its probe was observed
	fails  int32
	pull   time.Duration
}

// mostAsked is how many pods are asked when they begin to accept connections.
const mostAsked = 16

// see processes what a watch has observed.
func (s *startup) see(r watch.Result, now time.Time) {
	for _, pod := range r.NewPods() {
		if pod == nil {
			continue
		}
		one := s.pods[pod.UID]
		if one == nil {
			status := statusOf(pod, s.container)
			if status == nil || status.State.Running == nil {
				continue
			}
			one = s.add(pod, now)
		}
		one.pod = pod
		if one.ready.IsZero() && podutils.IsPodReady(pod) {
			one.ready = now
		}
		one.count(r.Snapshot.Events, now)
	}
}

// add begins to observe a pod that runs now.
func (s *startup) add(pod *corev1.Pod, now time.Time) *start {
	one := &start{pod: pod, ran: now}
	if s.pods == nil {
		s.pods, s.first = map[types.UID]*start{}, one
	}
	s.pods[pod.UID] = one
	if s.ask != nil && !podutils.IsPodReady(pod) && len(s.pods) <= mostAsked {
		s.asking.Go(func() {
			at := s.ask(pod)
			s.mu.Lock()
			defer s.mu.Unlock()
			one.served = at
		})
	}
	return one
}

// count processes the pod's own events.
func (o *start) count(events []*corev1.Event, now time.Time) {
	fails := int32(0)
	for _, e := range events {
		if e.InvolvedObject.UID != o.pod.UID {
			continue
		}
		switch e.Reason {
		case "Unhealthy":
			fails += max(1, e.Count)
		case "Pulled":
			o.pull = max(o.pull, pulledIn(e.Message))
		}
	}
	if fails > o.fails {
		o.fails, o.failed = fails, now
	}
}

// serving returns since when all of the observed pods have accepted connections. For a
// pod of which that is not known, it is the time when it was first seen Ready. The
// result is zero if a pod is not Ready, or if none was observed.
func (s *startup) serving(pods []*corev1.Pod) (since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pod := range pods {
		one := s.pods[pod.UID]
		if one == nil || one.ready.IsZero() {
			return time.Time{}
		}
		at := one.served
		if at.IsZero() || at.After(one.ready) {
			at = one.ready
		}
		if at.After(since) {
			since = at
		}
	}
	return since
}

// pullTime matches the kubelet's event (pkg/kubelet/images/image_manager.go): "Successfully
// pulled image "…" in 1.2s (1.2s including waiting). Image size: …".
var pullTime = regexp.MustCompile(` in (\S+) \((\S+) including waiting\)`)

func pulledIn(message string) time.Duration {
	m := pullTime.FindStringSubmatch(message)
	if m == nil {
		return 0 // it was on the node already
	}
	d, err := time.ParseDuration(m[2])
	if err != nil {
		return 0
	}
	return d
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == container {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// result returns what was observed, or nil if no new pod ran.
func (s *startup) result() *Startup {
	one := s.first
	if one == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &Startup{Pod: one.pod.Name, Pull: one.pull.Seconds(), Started: one.ran.Sub(s.began).Seconds()}
	if !one.served.IsZero() {
		out.Served = max(0, one.served.Sub(one.ran).Seconds())
	}
	if !one.ready.IsZero() {
		out.Ready = one.ready.Sub(one.ran).Seconds()
	}
	added, settings := one.added(s.container)
	out.Probes, out.Settings = added.Seconds(), settings
	return out
}

// String formats the times in one line for the log.
func (s Startup) String() string {
	var parts []string
	if s.Pull > 0 {
		parts = append(parts, "image pulled in "+inSeconds(s.Pull))
	}
	parts = append(parts, "container started after "+inSeconds(s.Started))
	if s.Served > 0 {
		parts = append(parts, "accepted connections "+inSeconds(s.Served)+" later")
	}
	if s.Ready > 0 {
		parts = append(parts, "Ready "+inSeconds(s.Ready)+" after its start")
	}
	return "pod " + s.Pod + ": " + strings.Join(parts, ", ")
}

func inSeconds(s float64) string { return units.Elapsed(time.Duration(s * float64(time.Second))) }

// worthSaying is the minimum delay caused by the settings of a probe that is
// reported.
const worthSaying = 3 * time.Second

// added returns how long the settings of the probes delayed a pod that already served
// before it was Ready, and which settings did. The time is 0 if that was short or had
// another reason: a probe that failed after the pod had accepted connections was right
// to fail.
func (o *start) added(container string) (added time.Duration, settings string) {
	if o.served.IsZero() || o.ready.IsZero() {
		return 0, ""
	}
	served := o.served
	if o.failed.After(served) {
		served = o.failed
	}
	added = o.ready.Sub(served)
	i := slices.IndexFunc(o.pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == container })
	if added < worthSaying || i < 0 {
		return 0, ""
	}
	if settings = settingsOf(o.pod.Spec.Containers[i]); settings == "" {
		return 0, ""
	}
	return added, settings
}

// settingsOf lists the settings of a container's probes that make a pod Ready later.
func settingsOf(c corev1.Container) string {
	var all []string
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"startupProbe", c.StartupProbe}, {"readinessProbe", c.ReadinessProbe}} {
		if p.probe == nil {
			continue
		}
		var these []string
		if n := p.probe.InitialDelaySeconds; n > 1 {
			these = append(these, fmt.Sprintf("initialDelaySeconds %d", n))
		}
		if n := p.probe.PeriodSeconds; n > 1 {
			these = append(these, fmt.Sprintf("periodSeconds %d", n))
		}
		if n := p.probe.SuccessThreshold; n > 1 {
			these = append(these, fmt.Sprintf("successThreshold %d", n))
		}
		if len(these) > 0 {
			all = append(all, p.name+": "+strings.Join(these, " and "))
		}
	}
	return strings.Join(all, "; ")
}

// delay reports a delay that only the settings of the probes caused; nil if there was
// none.
func (s *startup) delay() *pipeline.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.first
	if one == nil {
		return nil
	}
	added, settings := one.added(s.container)
	if added == 0 {
		return nil
	}
	after := func(t time.Time) string { return units.Elapsed(max(0, t.Sub(one.ran))) }
	return &pipeline.Finding{Code: CodeProbeDelay, Severity: pipeline.Note, Where: one.pod.Namespace + "/pod/" + one.pod.Name,
		What: fmt.Sprintf("probe settings delayed the new pod by %s", units.Elapsed(added)),
		Why: fmt.Sprintf("it accepted connections %s after its start and was Ready after %s; %s",
			after(one.ready.Add(-added)), after(one.ready), settings),
		Fix: "a startupProbe with periodSeconds 1 finds out within a second; `kubectl sbw explain probe-delay` shows the lines"}
}

// timed notes where the time of a wait for new pods goes. The function over reports it.
// serving is to be called after it: it returns since when all new pods have accepted
// connections. If that is still open for some of them, it waits until it is known, but not
// longer than they have to be steady from over on.
func (r *Run) timed(
	ctx context.Context,
	rep *pipeline.Reporter,
	o *watch.Options,
) (over func() *Startup, serving func(context.Context) time.Time) {
	asking, cancel := context.WithCancel(ctx)
	s := &startup{container: r.container(), began: r.found.switched}
	if r.Probe.Type != worker.ProbeNone {
		s.ask = func(pod *corev1.Pod) time.Time { return r.accepts(asking, pod) }
	}
	o.Seen = func(seen watch.Result) { s.see(seen, time.Now()) }
	over = func() *Startup {
		took := s.result()
		if took != nil {
			rep.Notef("%s", took)
		}
		if f := s.delay(); f != nil {
			rep.Finding(f)
		}
		return took
	}
	serving = func(ctx context.Context) time.Time {
		defer s.asking.Wait()
		defer cancel()
		known := make(chan struct{})
		go func() { s.asking.Wait(); close(known) }()
		longest := time.NewTimer(time.Until(r.found.ready.Add(steady)))
		defer longest.Stop()
		select {
		case <-known:
		case <-longest.C:
		case <-ctx.Done():
		}
		return s.serving(r.found.watched.NewPods())
	}
	return over, serving
}

// endAsking ends what a serving function of timed is still asking; nil is allowed.
func endAsking(serving func(context.Context) time.Time) {
	if serving == nil {
		return
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	serving(gone)
}

// accepts returns when a pod began to accept connections, or zero if that was not found
// out before ctx ended. A connection must stay open for a second to count. It sends no data: requesting a page before the pod is Ready
// could have any effect.
func (r *Run) accepts(ctx context.Context, pod *corev1.Pod) time.Time {
	answers, err := probe.Run(ctx, r.Conn, probe.Options{
		Namespace: r.Ref.Namespace, Pods: []*corev1.Pod{pod}, Type: worker.ProbeTCP, Port: r.Probe.Port, Budget: r.Timeout,
	})
	if err != nil || len(answers) == 0 {
		return time.Time{}
	}
	return time.Now().Add(-answers[0].Latency)
}
