// Package evidence saves what undoing a failed rollout would destroy: the logs and
// states of its containers, and events. Collect reads it before the undo. Brief is the
// part that is shown at once; the rest goes into the receipt.
//
// A pod's output is untrusted: control characters are removed before it is
// returned, so that it cannot control a terminal.
package evidence

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Evidence is everything that was saved.
type Evidence struct {
	Pods   []Pod   `json:"pods,omitempty"`
	Events []Event `json:"events,omitempty"`
	// Missed is what could not be read, and why.
	Missed []string `json:"missed,omitempty"`

	// cause is the container that the verdict is about; empty if the cause is
	// elsewhere.
	cause verdict.Container
}

// Pod is one pod's state and logs.
type Pod struct {
	Name       string      `json:"name"`
	Node       string      `json:"node,omitempty"`
	Phase      string      `json:"phase"`
	Conditions []string    `json:"conditions,omitempty"` // the conditions that are not true
	Containers []Container `json:"containers,omitempty"`
}

// Container is one container's state and logs.
type Container struct {
	Name     string   `json:"name"`
	Image    string   `json:"image"`
	ImageID  string   `json:"imageID,omitempty"`
	Restarts int32    `json:"restarts"`
	State    string   `json:"state"`
	Last     string   `json:"lastState,omitempty"`
	Log      []string `json:"log,omitempty"`
	Previous []string `json:"previousLog,omitempty"`
}

// Event is one event.
type Event struct {
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	Object  string    `json:"object"`
	Count   int32     `json:"count,omitempty"`
	Message string    `json:"message"`
}

// Limits of what is saved. They are low because the pods of one revision fail alike,
// and because people read receipts.
const (
	maxPods   = 3
	maxEvents = 50
	tailLines = 200
	logBytes  = 64 << 10
)

// Collect reads the logs of the failing pods in r, of at most three. What cannot be read
// is listed in Missed; there is no error.
func Collect(ctx context.Context, kube kubernetes.Interface, r watch.Result) Evidence {
	var e Evidence
	e.Events = events(r.Snapshot)
	if c := r.Verdict.Cause; c != nil {
		e.cause = verdict.Container{Pod: c.Pod, Name: c.Container}
	}
	for _, pod := range failing(r) {
		kept := Pod{Name: pod.Name, Node: pod.Spec.NodeName, Phase: string(pod.Status.Phase)}
		for _, c := range pod.Status.Conditions {
			if c.Status != corev1.ConditionTrue {
				kept.Conditions = append(
					kept.Conditions,
					termtext.Line(strings.TrimSpace(fmt.Sprintf("%s=%s %s %s", c.Type, c.Status, c.Reason, c.Message))),
				)
			}
		}
		for _, s := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
			c := Container{
				Name:     s.Name,
				Image:    s.Image,
				ImageID:  s.ImageID,
				Restarts: s.RestartCount,
				State:    termtext.Line(state(s.State)),
				Last:     termtext.Line(state(s.LastTerminationState)),
			}
			started := s.State.Running != nil || s.State.Terminated != nil || s.RestartCount > 0
			if started {
				c.Log = e.log(ctx, kube, pod, s.Name, false)
			}
			if s.RestartCount > 0 {
				c.Previous = e.log(ctx, kube, pod, s.Name, true)
			}
			kept.Containers = append(kept.Containers, c)
		}
		e.Pods = append(e.Pods, kept)
	}
	return e
}

// failing picks the pods to save: the cause's first (it may have finished and
// therefore not be a row of the verdict), then others that are not ready.
func failing(r watch.Result) []*corev1.Pod {
	pods := r.NewPods()
	cause := ""
	if r.Verdict.Cause != nil {
		cause = r.Verdict.Cause.Pod
	}
	named := func(p *corev1.Pod) bool { return p.Name == cause }
	if i := slices.IndexFunc(r.Snapshot.Pods, named); i >= 0 && !slices.ContainsFunc(pods, named) {
		pods = append(pods, r.Snapshot.Pods[i])
	}
	ready := map[string]bool{}
	for _, p := range r.Verdict.Pods {
		ready[p.Name] = p.Ready
	}
	pods = slices.DeleteFunc(pods, func(p *corev1.Pod) bool { return ready[p.Name] && p.Name != cause })
	slices.SortStableFunc(pods, func(a, b *corev1.Pod) int {
		switch cause {
		case a.Name:
			return -1
		case b.Name:
			return 1
		}
		return 0
	})
	return pods[:min(len(pods), maxPods)]
}

func (e *Evidence) log(ctx context.Context, kube kubernetes.Interface, pod *corev1.Pod, container string, previous bool) []string {
	text, err := Log(ctx, kube, pod.Namespace, verdict.Container{Pod: pod.Name, Name: container}, previous, tailLines)
	if err != nil {
		e.Missed = append(e.Missed, termtext.Line(err.Error()))
		return nil
	}
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// Log reads the end of a container's log and cleans it. It can be used as
// watch.Options.Log.
func Log(
	ctx context.Context,
	kube kubernetes.Interface,
	namespace string,
	c verdict.Container,
	previous bool,
	lines int64,
) (string, error) {
	limit := int64(logBytes)
	stream, err := kube.CoreV1().Pods(namespace).GetLogs(c.Pod, &corev1.PodLogOptions{
		Container: c.Name, Previous: previous, TailLines: &lines, LimitBytes: &limit,
	}).Stream(ctx)
	during := "read the log of " + c.Pod + "/" + c.Name
	if previous {
		during = "read the previous log of " + c.Pod + "/" + c.Name
	}
	if err != nil {
		return "", cluster.Explain(during, err)
	}
	defer stream.Close()
	data, err := io.ReadAll(io.LimitReader(stream, logBytes))
	if err != nil {
		return "", cluster.Explain(during, err)
	}
	text := termtext.Text(string(data))
	// The kubelet answers a request for a log that it no longer has with 200
	// and this sentence.
	if strings.HasPrefix(text, "unable to retrieve container logs for ") {
		return "", fmt.Errorf("%s: %s", during, strings.TrimSpace(text))
	}
	return text, nil
}

func events(s verdict.Snapshot) []Event {
	var kept []Event
	for _, e := range s.Events {
		count := e.Count
		if e.Series != nil {
			count = e.Series.Count
		}
		kept = append(kept, Event{Time: verdict.EventTime(e), Type: e.Type, Reason: termtext.Line(e.Reason), Count: count,
			Object: strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name, Message: termtext.Line(e.Message)})
	}
	slices.SortStableFunc(kept, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return kept[max(0, len(kept)-maxEvents):]
}

func state(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running since " + s.Running.StartedAt.UTC().Format(time.RFC3339)
	case s.Waiting != nil:
		return strings.TrimSuffix("waiting: "+s.Waiting.Reason+": "+s.Waiting.Message, ": ")
	case s.Terminated != nil:
		t := s.Terminated
		return strings.TrimSuffix(
			fmt.Sprintf("ended with exit code %d at %s: %s: %s", t.ExitCode, t.FinishedAt.UTC().Format(time.RFC3339), t.Reason, t.Message),
			": ",
		)
	}
	return ""
}

// Brief returns what a person should see at once: the end of the failed container's log.
// If a stack trace has pushed the line that most likely names the cause out of these
// lines, that line comes first.
func (e Evidence) Brief(lines int) []string {
	pod, c, log := e.failed()
	if len(log) == 0 {
		return nil
	}
	out := []string{"log of " + pod + "/" + c + ":"}
	from := max(0, len(log)-lines)
	if i := verdict.CauseIndex(log); i >= 0 && i < from {
		out = append(out, "  "+log[i])
		if i < from-1 {
			out = append(out, "  …")
		}
	}
	for _, l := range log[from:] {
		out = append(out, "  "+l)
	}
	return out
}

// failed returns the log to show: that of the container that the cause names, or else
// the first one there is. The log before a restart contains the crash.
func (e Evidence) failed() (pod, container string, log []string) {
	for _, p := range e.Pods {
		for _, c := range p.Containers {
			if p.Name == e.cause.Pod && c.Name == e.cause.Name {
				if log = c.Previous; len(log) == 0 || strings.HasPrefix(c.State, "ended") {
					log = c.Log
				}
				if len(log) > 0 {
					return p.Name, c.Name, log
				}
			}
		}
	}
	for _, p := range e.Pods {
		for _, c := range p.Containers {
			if log = c.Log; len(log) == 0 {
				log = c.Previous
			}
			if len(log) > 0 {
				return p.Name, c.Name, log
			}
		}
	}
	return "", "", nil
}
