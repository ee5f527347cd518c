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
}

// startup observes a new pod while it starts.
type startup struct {
	container string
	began     time.Time
	// ask returns when the pod began to accept connections, or zero if that is not
	// known.
	ask func(pod *corev1.Pod) time.Time

	mu     sync.Mutex // guards served
	asking sync.WaitGroup
	pod    *corev1.Pod // the last observed state
	ran    time.Time
	ready  time.Time
	failed time.Time // when the last failure of its probe was observed
	fails  int32
	served time.Time
	pull   time.Duration
}

// see processes what a watch has observed.
func (s *startup) see(r watch.Result, now time.Time) {
	for _, pod := range r.NewPods() {
		if pod == nil || s.pod != nil && pod.UID != s.pod.UID {
			continue
		}
		status := statusOf(pod, s.container)
		if s.pod == nil && (status == nil || status.State.Running == nil) {
			continue
		}
		if s.pod == nil {
			s.ran = now
			if s.ask != nil && !podutils.IsPodReady(pod) {
				s.asking.Go(func() {
					at := s.ask(pod)
					s.mu.Lock()
					defer s.mu.Unlock()
					s.served = at
				})
			}
		}
		s.pod = pod
		if s.ready.IsZero() && podutils.IsPodReady(pod) {
			s.ready = now
		}
		break
	}
	if s.pod == nil {
		return
	}
	fails := int32(0)
	for _, e := range r.Snapshot.Events {
		if e.InvolvedObject.UID != s.pod.UID {
			continue
		}
		switch e.Reason {
		case "Unhealthy":
			fails += max(1, e.Count)
		case "Pulled":
			s.pull = max(s.pull, pulledIn(e.Message))
		}
	}
	if fails > s.fails {
		s.fails, s.failed = fails, now
	}
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
	if s.pod == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &Startup{Pod: s.pod.Name, Pull: s.pull.Seconds(), Started: s.ran.Sub(s.began).Seconds()}
	if !s.served.IsZero() {
		out.Served = max(0, s.served.Sub(s.ran).Seconds())
	}
	if !s.ready.IsZero() {
		out.Ready = s.ready.Sub(s.ran).Seconds()
	}
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

// delay reports how long the settings of the probes delayed a pod that already served
// before it was Ready. It returns nil if that was short or had another reason: a probe
// that failed after the pod had accepted connections was right to fail.
func (s *startup) delay() *pipeline.Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pod == nil || s.served.IsZero() || s.ready.IsZero() {
		return nil
	}
	served := s.served
	if s.failed.After(served) {
		served = s.failed
	}
	added := s.ready.Sub(served)
	i := slices.IndexFunc(s.pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == s.container })
	if added < worthSaying || i < 0 {
		return nil
	}
	var settings []string
	for _, p := range []struct {
		name  string
		probe *corev1.Probe
	}{{"startupProbe", s.pod.Spec.Containers[i].StartupProbe}, {"readinessProbe", s.pod.Spec.Containers[i].ReadinessProbe}} {
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
			settings = append(settings, p.name+": "+strings.Join(these, " and "))
		}
	}
	if len(settings) == 0 {
		return nil
	}
	after := func(t time.Time) string { return units.Elapsed(max(0, t.Sub(s.ran))) }
	return &pipeline.Finding{Code: CodeProbeDelay, Severity: pipeline.Note, Where: s.pod.Namespace + "/pod/" + s.pod.Name,
		What: fmt.Sprintf("probe settings delayed the new pod by %s", units.Elapsed(added)),
		Why: fmt.Sprintf("it accepted connections %s after its start and was Ready after %s; %s",
			after(s.served), after(s.ready), strings.Join(settings, "; ")),
		Fix: "a startupProbe with periodSeconds 1 finds out within a second; `kubectl sbw explain probe-delay` shows the lines"}
}

// timed notes where the time of a wait for new pods goes. The returned function
// reports it.
func (r *Run) timed(ctx context.Context, rep *pipeline.Reporter, o *watch.Options) (over func()) {
	asking, cancel := context.WithCancel(ctx)
	s := &startup{container: r.container(), began: r.found.switched}
	if r.Probe.Type != worker.ProbeNone {
		s.ask = func(pod *corev1.Pod) time.Time { return r.accepts(asking, pod) }
	}
	o.Seen = func(seen watch.Result) { s.see(seen, time.Now()) }
	return func() {
		cancel()
		s.asking.Wait()
		if r.found.startup = s.result(); r.found.startup != nil {
			rep.Notef("%s", r.found.startup)
		}
		if f := s.delay(); f != nil {
			rep.Finding(f)
		}
	}
}

// accepts returns when a pod began to accept connections, or zero if that was not found
// out before ctx ended. It sends no data: requesting a page before the pod is Ready
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
