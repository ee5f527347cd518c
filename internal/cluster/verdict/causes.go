package verdict

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/plain"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// graces are how long transient causes are borne while nothing moves.
var graces = map[pipeline.Code]time.Duration{
	"image-network":    60 * time.Second,
	"image-pull":       30 * time.Second,
	"config-missing":   10 * time.Second,
	"config":           20 * time.Second,
	"container-create": 30 * time.Second,
	"container-run":    20 * time.Second,
	"crash-loop":       20 * time.Second,
	"oom-killed":       20 * time.Second,
	"exits":            20 * time.Second,
	"liveness":         20 * time.Second,
	"startup":          20 * time.Second,
	"not-ready":        60 * time.Second,
	"unschedulable":    60 * time.Second,
	"claim-missing":    10 * time.Second,
	"volume":           60 * time.Second,
	"sandbox":          60 * time.Second,
	"quota":            30 * time.Second,
	"service-account":  10 * time.Second,
	"pods-refused":     30 * time.Second,
	"node-lost":        60 * time.Second,
	"evicted":          60 * time.Second,
}

func terminal(code pipeline.Code, what, why, fix string) *Cause {
	return &Cause{Code: code, What: what, Why: why, Fix: fix, Terminal: true}
}

func transient(code pipeline.Code, what, why, fix string) *Cause {
	return &Cause{Code: code, What: what, Why: why, Fix: fix, grace: graces[code]}
}

// telling ranks what says more above what most pods show: one pod's log tells
// what all of one image suffer from.
var telling = map[pipeline.Code]int{"exec-format": 1}

// causes is everything that stands in the way, the terminal ones first, then
// those that most pods show; one entry a code.
func (j *judgement) causes() []Cause {
	var all []Cause
	add := func(c *Cause) {
		if c == nil {
			return
		}
		for i := range all {
			if all[i].Code == c.Code && all[i].Terminal == c.Terminal {
				all[i].Pods += c.Pods
				return
			}
		}
		all = append(all, *c)
	}
	add(j.ofWorkload())
	for _, pod := range j.fresh {
		if c := j.ofPod(pod); c != nil {
			c.Pod, c.Pods = pod.Name, 1
			add(c)
		}
	}
	slices.SortStableFunc(all, func(a, b Cause) int {
		if a.Terminal != b.Terminal {
			if a.Terminal {
				return -1
			}
			return 1
		}
		if d := telling[b.Code] - telling[a.Code]; d != 0 {
			return d
		}
		return b.Pods - a.Pods
	})
	return all
}

// ofWorkload looks where no pod is: the workload and its controller's tries to
// create pods.
func (j *judgement) ofWorkload() *Cause {
	if c := HeldBack(j.Workload); c != nil {
		return c
	}
	if message := j.refusal(); message != "" {
		return refused(j.Workload.Ref().String(), message)
	}
	return nil
}

// HeldBack says why a workload's spec keeps any change from being rolled out:
// paused, or its pods are replaced by hand only. nil when nothing does.
func HeldBack(w *workload.Workload) *Cause {
	name := w.Ref().String()
	switch {
	case w.Deployment != nil && w.Deployment.Spec.Paused:
		return terminal("paused", name+" is paused", "spec.paused is true", "`kubectl rollout resume "+name+"`")
	case w.StatefulSet != nil && w.StatefulSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		w.DaemonSet != nil && w.DaemonSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType:
		return terminal("on-delete", name+" replaces no pod by itself", "its updateStrategy is OnDelete",
			"delete its pods one by one, or set updateStrategy.type: RollingUpdate")
	}
	return nil
}

// refusal is why the controller could not create a pod, if so it stands.
func (j *judgement) refusal() string {
	if rs := j.replicaSet; rs != nil {
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				return c.Message
			}
		}
		return ""
	}
	if j.Workload.Deployment != nil {
		return ""
	}
	// The other two have no condition for it, only the event.
	if int32(len(j.fresh)) >= j.Workload.Replicas() {
		return ""
	}
	if e := j.event(j.Workload.Object().GetUID(), "", "FailedCreate"); e != nil && j.Now.Sub(EventTime(e)) < 5*time.Minute {
		return e.Message
	}
	return ""
}

// refused words the API server's refusal to take a pod. Admission has no
// typed reasons; the texts are those of its plugins.
func refused(name, message string) *Cause {
	why := plain.Line(message)
	switch {
	case strings.Contains(message, "violates PodSecurity"):
		return terminal("pod-security", name+": PodSecurity refuses its pods", after(why, "violates PodSecurity"),
			"set the securityContext that it asks for, or the namespace's pod-security.kubernetes.io/enforce label")
	case strings.Contains(message, "exceeded quota"):
		return transient("quota", name+": the namespace's quota leaves no room for a new pod", after(why, "exceeded quota"),
			"raise the ResourceQuota, lower the requests, or roll out without surge (maxSurge: 0)")
	case strings.Contains(message, "failed quota") && strings.Contains(message, "must specify"):
		return terminal("pod-invalid", name+": the namespace's quota wants requests and limits", after(why, "failed quota"),
			"set resources on every container")
	case strings.Contains(message, "denied the request"), strings.Contains(message, "denied request"): // a webhook; a policy
		return terminal("admission-denied", name+": an admission policy refuses its pods", why, "satisfy the policy that is named")
	case strings.Contains(message, "failed calling webhook"):
		return transient("pods-refused", name+": an admission webhook does not answer", why, "bring the webhook back")
	case strings.Contains(message, "serviceaccount") && strings.Contains(message, "not found"):
		return transient("service-account", name+": its ServiceAccount is not there", why, "create it, or correct serviceAccountName")
	case strings.Contains(message, "is invalid:"):
		return terminal("pod-invalid", name+": its pods are not valid", why, "correct the pod template")
	case strings.Contains(message, "usage per"): // LimitRange: "maximum cpu usage per Container is 1, but limit is 2"
		return terminal("admission-denied", name+": a LimitRange refuses its pods", why, "set resources within the LimitRange")
	}
	return transient("pods-refused", name+": its pods cannot be created", why, "see the message")
}

// deadlineExceeded is the Deployment controller's own giving up.
func (j *judgement) deadlineExceeded() *Cause {
	if j.Workload.Deployment == nil {
		return nil
	}
	for _, c := range j.Workload.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" &&
			(j.policy.GaveUp.IsZero() || !c.LastUpdateTime.Time.Equal(j.policy.GaveUp)) {
			return terminal("progress-deadline", j.Workload.Ref().String()+" made no progress within progressDeadlineSeconds",
				plain.Line(c.Message), "`kubectl describe "+j.Workload.Ref().String()+"` may say what it waits for")
		}
	}
	return nil
}

// event is the latest event about an object, optionally about one container
// of it, with one of the reasons.
func (j *judgement) event(uid types.UID, container string, reasons ...string) *corev1.Event {
	var latest *corev1.Event
	for _, e := range j.about[uid] {
		if !slices.Contains(reasons, e.Reason) {
			continue
		}
		if container != "" && e.InvolvedObject.FieldPath != "" && !strings.Contains(e.InvolvedObject.FieldPath, "{"+container+"}") {
			continue
		}
		if latest == nil || EventTime(latest).Before(EventTime(e)) {
			latest = e
		}
	}
	return latest
}

// EventTime is when an event was last seen; old and new event APIs differ in
// where they say so.
func EventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// after cuts what stands before mark.
func after(s, mark string) string {
	if i := strings.Index(s, mark); i >= 0 {
		return s[i:]
	}
	return s
}
