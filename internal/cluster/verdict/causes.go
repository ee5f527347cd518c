package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/util/deployment"

	"github.com/joelhooks/gh-sbw/internal/cluster/fieldowner"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
	"github.com/joelhooks/gh-sbw/internal/units"
)

func terminal(code pipeline.Code, what, why, fix string) *Cause {
	return &Cause{Code: code, What: what, Why: why, Fix: fix, Terminal: true}
}

func transient(code pipeline.Code, what, why, fix string) *Cause {
	return &Cause{Code: code, What: what, Why: why, Fix: fix, grace: graces[code]}
}

// explains ranks causes that explain others above causes that more pods show, because
// one pod's log is representative of all pods with the same image.
var explains = map[pipeline.Code]int{CodeExecFormat: 1}

// causes returns everything that blocks the rollout, one entry per code: terminal causes
// first, then those that most pods show.
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
	for _, c := range j.ofFinished() {
		add(c)
	}
	add(j.ofOldPods())
	slices.SortStableFunc(all, func(a, b Cause) int {
		if a.Terminal != b.Terminal {
			if a.Terminal {
				return -1
			}
			return 1
		}
		return cmp.Or(explains[b.Code]-explains[a.Code], b.Pods-a.Pods)
	})
	return all
}

// ofWorkload returns causes that no pod shows, in the workload and in its controller's
// attempts to create pods.
func (j *judgement) ofWorkload() *Cause {
	if c := HeldBack(j.Workload); c != nil {
		return c
	}
	if j.TemplateChanges >= contested {
		return terminal(
			CodeContested,
			fmt.Sprintf("somebody keeps changing the pod template of %s (%d times during this rollout)", j.Workload.Ref(), j.TemplateChanges),
			j.ChangedBy,
			"stop that controller for this workload, or leave the field out of the manifest",
		)
	}
	if c := j.multiplying(); c != nil {
		return c
	}
	if message := j.refusal(); message != "" {
		return Refused(j.Workload.Ref().String(), message)
	}
	return nil
}

// contested is how many changes of the template by somebody else count as a conflict. One
// or two may be a restart, or a controller that reacts to a changed Secret.
const contested = 3

// multiplying reports a Deployment whose ReplicaSets multiply: a webhook that modifies
// ReplicaSets prevents the controller from finding one with its own template, so it keeps
// creating new ones. Its collisionCount counts them.
func (j *judgement) multiplying() *Cause {
	d := j.Workload.Deployment
	if d == nil || j.replicaSet != nil || d.Status.CollisionCount == nil || *d.Status.CollisionCount < 2 {
		return nil
	}
	return transient(
		CodeMultiplying,
		fmt.Sprintf("%s creates one ReplicaSet after another, because none of them keeps its template", j.Workload.Ref()),
		units.Count(int(*d.Status.CollisionCount), "collision", "collisions")+", "+units.Count(len(j.ReplicaSets), "ReplicaSet", "ReplicaSets"),
		"exempt ReplicaSets from the admission webhook that changes their pod template "+
			"(`kubectl get mutatingwebhookconfigurations`), and delete the empty ones",
	)
}

// Deletion describes an object that is being deleted; "" if it is not.
func Deletion(o metav1.Object) string {
	at := o.GetDeletionTimestamp()
	if at == nil {
		return ""
	}
	why := "somebody deleted it at " + at.UTC().Format(time.RFC3339)
	if waits := o.GetFinalizers(); len(waits) > 0 {
		why += ", and it goes once its finalizers are done: " + strings.Join(waits, ", ")
	}
	return why
}

// HeldBack returns why nothing can be rolled out in a workload: it is being deleted or paused,
// or its pods are only replaced by hand. It returns nil if nothing prevents it.
func HeldBack(w *workload.Workload) *Cause {
	name := w.Ref().String()
	switch {
	case Deletion(w.Object()) != "":
		return terminal(CodeEnding, name+" is being deleted", Deletion(w.Object()),
			"find out who deleted it, wait until it is gone, and roll out again, which creates it")
	case w.Deployment != nil && w.Deployment.Spec.Paused:
		why := "spec.paused is true"
		if by := fieldowner.Owner(w.Object(), "spec", "paused"); by.Manager != "" {
			why += ", set by " + by.String()
		}
		return terminal(CodePaused, name+" is paused", why, "`kubectl rollout resume "+name+"`")
	case w.StatefulSet != nil && w.StatefulSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		w.DaemonSet != nil && w.DaemonSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType:
		return terminal(CodeOnDelete, name+" does not replace pods automatically", "its updateStrategy is OnDelete",
			"delete its pods one by one, or set updateStrategy.type: RollingUpdate")
	}
	return nil
}

// refusal returns why the controller cannot create a pod, as long as that is the case.
func (j *judgement) refusal() string {
	if rs := j.replicaSet; rs != nil {
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				return c.Message
			}
		}
		return ""
	}
	if d := j.Workload.Deployment; d != nil {
		// The ReplicaSet itself could not be created.
		if c := deployment.GetDeploymentCondition(d.Status, appsv1.DeploymentReplicaFailure); c != nil && c.Status == corev1.ConditionTrue {
			return c.Message
		}
		return ""
	}
	// The other two kinds report it only in an event, not in a condition.
	if int32(len(j.fresh)) >= j.Workload.Replicas() {
		return ""
	}
	if e := j.event(j.Workload.Object().GetUID(), "", "FailedCreate"); e != nil && j.Now.Sub(EventTime(e)) < 5*time.Minute {
		return e.Message
	}
	return ""
}

// Refused describes the API server's refusal to accept a pod of a workload, from the
// error's message. Admission has no typed reasons; the texts are those of its plugins.
func Refused(name, message string) *Cause {
	why := termtext.Line(message)
	switch {
	case strings.Contains(message, "because it is being terminated"):
		return terminal(CodeNamespaceEnding, name+": its namespace is being deleted", why,
			"find out who deleted it, and roll out once it has been recreated, or use another one")
	case strings.Contains(message, "violates PodSecurity"):
		return terminal(CodePodSecurity, name+": PodSecurity refuses its pods", after(why, "violates PodSecurity"),
			"set the securityContext that it asks for, or the namespace's pod-security.kubernetes.io/enforce label")
	case strings.Contains(message, "exceeded quota"):
		return transient(CodeQuota, name+": the namespace's quota leaves no room for a new pod", after(why, "exceeded quota"),
			"raise the ResourceQuota, lower the requests, or roll out without surge (maxSurge: 0)")
	case strings.Contains(message, "failed quota") && strings.Contains(message, "must specify"):
		return terminal(CodePodInvalid, name+": the namespace's quota requires requests and limits", after(why, "failed quota"),
			"set resources on every container")
	case strings.Contains(message, "denied the request"), strings.Contains(message, "denied request"): // a webhook; a policy
		return terminal(CodeAdmissionDenied, name+": an admission policy refuses its pods", why, "comply with the policy that the message names")
	case strings.Contains(message, "failed calling webhook"):
		return transient(CodePodsRefused, name+": an admission webhook does not answer", why, "repair the webhook, or the Service behind it")
	case strings.Contains(message, "serviceaccount") && strings.Contains(message, "not found"):
		return transient(CodeServiceAccount, name+": its ServiceAccount does not exist", why, "create it, or correct serviceAccountName")
	case strings.Contains(message, "is invalid:"):
		return terminal(CodePodInvalid, name+": its pods are not valid", why, "correct the pod template")
	case strings.Contains(message, "usage per"): // LimitRange: "maximum cpu usage per Container is 1, but limit is 2"
		return terminal(CodeAdmissionDenied, name+": a LimitRange refuses its pods", why, "set resources within the LimitRange")
	}
	return transient(CodePodsRefused, name+": its pods cannot be created", why, "follow the message")
}

// deadlineExceeded reports that the Deployment controller itself gave up.
func (j *judgement) deadlineExceeded() *Cause {
	if j.Workload.Deployment == nil {
		return nil
	}
	c := deployment.GetDeploymentCondition(j.Workload.Deployment.Status, appsv1.DeploymentProgressing)
	if c == nil || c.Reason != deployment.TimedOutReason || !j.policy.GaveUp.IsZero() && c.LastUpdateTime.Time.Equal(j.policy.GaveUp) {
		return nil
	}
	name := j.Workload.Ref().String()
	return terminal(
		CodeProgressDeadline,
		name+" made no progress within progressDeadlineSeconds",
		termtext.Line(c.Message),
		"see `kubectl describe "+name+"`; if the new pods merely need longer, raise spec.progressDeadlineSeconds",
	)
}

// event returns the latest event about an object with one of the reasons, optionally
// limited to one of its containers.
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

// EventTime returns when an event was last seen. The old and the new event API store that
// in different fields.
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

// after removes everything up to and including mark.
func after(s, mark string) string {
	if i := strings.Index(s, mark); i >= 0 {
		return s[i:]
	}
	return s
}
