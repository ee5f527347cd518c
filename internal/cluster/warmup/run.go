package warmup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Proof is what a warm-up has shown on one node.
type Proof struct {
	Node string `json:"node,omitempty"`
	// Skipped is why there was no warm-up; the other fields are then empty.
	Skipped string `json:"skipped,omitempty"`
	// Executed means that the node has executed a program of the image. If it is false,
	// the node has only pulled the image, and Why says why.
	Executed bool   `json:"executed"`
	Why      string `json:"why,omitempty"`
}

// deleteWithin is how long the deletion of a pod may take after an interrupt.
const deleteWithin = 20 * time.Second

// Run warms up the image on all nodes and deletes its pods again. An error is a Finding
// with the code of package verdict for what the new pods would have run into, or
// CodeTimeout. What only this pod ran into (a full quota, a policy that rejects it) is in
// Proof.Skipped.
func Run(ctx context.Context, kube kubernetes.Interface, o Options) ([]Proof, error) {
	nodes := o.Nodes
	if len(nodes) == 0 {
		nodes = []string{""}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, errTimeout)
	defer cancel()
	proofs := make([]Proof, len(nodes))
	var g errgroup.Group
	g.SetLimit(8)
	for i, node := range nodes {
		g.Go(func() (err error) {
			proofs[i], err = one(ctx, kube, o, node)
			return err
		})
	}
	return proofs, g.Wait()
}

var errTimeout = errors.New("the time limit of the warm-up has passed")

// one warms up the image on one node.
func one(ctx context.Context, kube kubernetes.Interface, o Options, node string) (p Proof, err error) {
	p.Node = node
	pod := Pod(o, node)
	if pod == nil {
		p.Skipped = "the pod template has no container " + o.Container
		return p, nil
	}
	pods := kube.CoreV1().Pods(o.Ref.Namespace)
	writing, done := cluster.Writing(ctx)
	pod, err = pods.Create(writing, pod, metav1.CreateOptions{FieldManager: cluster.FieldManager})
	done()
	switch {
	case ctx.Err() != nil:
		// The pod may exist; without an answer nobody knows its name, but its label.
		return p, errors.Join(context.Cause(ctx), clean(ctx, kube, o))
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsInternalError(err):
		// A quota, a policy or a webhook: it rejects this pod, and perhaps not the worker's.
		p.Skipped = "the API server rejects the warm-up pod: " + termtext.Line(err.Error())
		return p, nil
	case err != nil:
		return p, cluster.Explain("create a warm-up pod", err)
	}
	defer func() {
		deleting, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteWithin)
		defer cancel()
		err = errors.Join(err, remove(deleting, kube, pod))
	}()
	o.Reporter.Detailf("pod %s pulls %s", pod.Name, o.Image)
	return follow(ctx, kube, o, pod)
}

// clean deletes the pods of a run that was interrupted while it created one.
func clean(ctx context.Context, kube kubernetes.Interface, o Options) error {
	deleting, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteWithin)
	defer cancel()
	all, err := Left(deleting, kube, o.Ref)
	if err != nil {
		return err
	}
	return Delete(deleting, kube, all)
}

// follow watches a pod until it shows what it can show. What has to last for a while before
// it counts as a failure is judged again every second.
func follow(ctx context.Context, kube kubernetes.Interface, o Options, pod *corev1.Pod) (Proof, error) {
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", pod.Name).String()}
	var memory verdict.Memory
	wait := "the pod to be scheduled"
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		events, err := kube.CoreV1().Pods(pod.Namespace).Watch(ctx, only)
		if err != nil {
			return Proof{Node: pod.Spec.NodeName}, timedOut(ctx, pod, wait, cluster.Explain("watch pod "+pod.Name, err))
		}
		for open := true; open; {
			select {
			case e, more := <-events.ResultChan():
				now, ok := e.Object.(*corev1.Pod)
				if open = more && ok; !open { // the watch has ended, perhaps with a metav1.Status
					continue
				}
				if pod = now; e.Type == apiwatch.Deleted {
					events.Stop()
					return Proof{Node: pod.Spec.NodeName, Skipped: "somebody deleted pod " + pod.Name}, nil
				}
			case <-again.C:
			case <-ctx.Done():
				events.Stop()
				return Proof{Node: pod.Spec.NodeName}, timedOut(ctx, pod, wait, nil)
			}
			if proof, done, err := judge(ctx, kube, o, pod, &memory, &wait); done || err != nil {
				events.Stop()
				return proof, err
			}
		}
		events.Stop()
	}
}

func timedOut(ctx context.Context, pod *corev1.Pod, wait string, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return &pipeline.Finding{Code: CodeTimeout, Severity: pipeline.Error, Where: pod.Namespace + "/pod/" + pod.Name, Err: errTimeout,
			What: "the image was not warmed up in time", Why: "it was still waiting for " + wait,
			Fix: "allow more time with --timeout, or roll out without --prepull"}
	case cause != nil:
		return cause
	}
	return err
}

// judge returns what a pod shows. done is false as long as it may still show more.
func judge(
	ctx context.Context, kube kubernetes.Interface, o Options, pod *corev1.Pod, memory *verdict.Memory, wait *string,
) (Proof, bool, error) {
	p := Proof{Node: pod.Spec.NodeName}
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		if s.Name != o.Container || s.State.Terminated == nil {
			continue
		}
		return ended(ctx, kube, o, pod, s.State.Terminated)
	}
	v := verdictOf(ctx, kube, o, pod, memory)
	if v.Waiting != "" {
		*wait = v.Waiting
	}
	if v.State != verdict.Failed || v.Cause == nil {
		return p, false, nil
	}
	if onlyHere[v.Cause.Code] {
		p.Skipped = v.Cause.What
		return p, true, nil
	}
	f := v.Cause.Finding()
	return p, true, f
}

// onlyHere are causes that say nothing about the new pods: there may be no room for a pod
// more, although there is for one instead of another.
var onlyHere = map[pipeline.Code]bool{
	verdict.CodeUnschedulable: true, verdict.CodeNodeFull: true, verdict.CodePreempted: true, verdict.CodeEvicted: true,
	verdict.CodeNodeShutdown: true, verdict.CodePodDeadline: true,
}

// ended judges a container that has ended.
func ended(
	ctx context.Context, kube kubernetes.Interface, o Options, pod *corev1.Pod, t *corev1.ContainerStateTerminated,
) (Proof, bool, error) {
	p := Proof{Node: pod.Spec.NodeName}
	if t.ExitCode == 0 {
		p.Executed = true
		return p, true, nil
	}
	// The runtime's message says why nothing was executed; with newer versions of runc, the
	// container's log does.
	said := t.Message
	if said == "" {
		log, err := evidence.Log(ctx, kube, pod.Namespace, verdict.Container{Pod: pod.Name, Name: o.Container}, false, 20)
		if err != nil {
			said = "its log cannot be read: " + err.Error()
		} else {
			said = log
		}
	}
	command := strings.Join(pod.Spec.Containers[0].Command, " ")
	if strings.Contains(strings.ToLower(said), "exec format error") {
		return p, true, &pipeline.Finding{Code: verdict.CodeExecFormat, Severity: pipeline.Error, Where: pod.Namespace + "/" + o.Ref.String(),
			What: fmt.Sprintf("image %s is built for another architecture than node %s has", o.Image, pod.Spec.NodeName),
			Why:  termtext.Line(said), Fix: "build it for the node's platform: `gh sbw publish --platform linux/ARCH`"}
	}
	p.Why = fmt.Sprintf("`%s` ended with exit code %d", command, t.ExitCode)
	if line := termtext.Line(strings.TrimSpace(said)); line != "" {
		p.Why += ": " + line
	}
	return p, true, nil
}

// verdictOf lets package verdict judge the pod, as if it were the only pod of a
// Deployment.
func verdictOf(ctx context.Context, kube kubernetes.Interface, o Options, pod *corev1.Pod, memory *verdict.Memory) verdict.Verdict {
	one, yes := int32(1), true
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: o.Ref.Name, Namespace: o.Ref.Namespace, UID: "deployment", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: pod.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec},
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1, UpdatedReplicas: 1, Replicas: 1, UnavailableReplicas: 1},
	}
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.Ref.Name, Namespace: o.Ref.Namespace, UID: "replicaset",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID, Controller: &yes}},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: &one, Selector: d.Spec.Selector, Template: d.Spec.Template},
	}
	owned := pod.DeepCopy()
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: rs.Name, UID: rs.UID, Controller: &yes}}
	s := verdict.Snapshot{
		Workload: &workload.Workload{Deployment: d}, ReplicaSets: []*appsv1.ReplicaSet{rs}, Pods: []*corev1.Pod{owned}, Now: time.Now(),
	}
	list, err := kube.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(),
	})
	if err == nil { // without events, the states of the pod have to do
		for i := range list.Items {
			s.Events = append(s.Events, &list.Items[i])
		}
	}
	v, after := verdict.Judge(s, verdict.Policy{}, *memory)
	*memory = after
	return v
}

// Left returns the warm-up pods of a workload. Under the workload's lock, they are those of
// runs that were killed.
func Left(ctx context.Context, kube kubernetes.Interface, ref workload.Ref) ([]*corev1.Pod, error) {
	list, err := kube.CoreV1().Pods(ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: Label})
	if err != nil {
		return nil, cluster.Explain("look for warm-up pods", err)
	}
	var left []*corev1.Pod
	for i := range list.Items {
		if pod := &list.Items[i]; pod.Annotations[Annotation] == ref.String() && pod.DeletionTimestamp == nil {
			left = append(left, pod)
		}
	}
	return left, nil
}

// Delete deletes warm-up pods that Left has returned.
func Delete(ctx context.Context, kube kubernetes.Interface, all []*corev1.Pod) error {
	errs := make([]error, len(all))
	for i, pod := range all {
		errs[i] = remove(ctx, kube, pod)
	}
	return errors.Join(errs...)
}

// remove deletes a pod. Its error is a warning, since the pod ends by itself.
func remove(ctx context.Context, kube kubernetes.Interface, pod *corev1.Pod) error {
	now := int64(0) // it has no work to finish
	err := kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	f := Finding(pod)
	f.Why = termtext.Line(err.Error())
	f.Err = err
	return f
}

// Finding reports a pod that was left.
func Finding(pod *corev1.Pod) *pipeline.Finding {
	return &pipeline.Finding{Code: CodeLeft, Severity: pipeline.Warning, Where: pod.Namespace + "/pod/" + pod.Name,
		What: fmt.Sprintf("pod %s, which warmed up an image for %s, has not been deleted", pod.Name, pod.Annotations[Annotation]),
		Why:  "the run of " + pod.Annotations[annotationBy] + " was killed",
		Fix:  "the next rollout deletes it, or `kubectl delete pod " + pod.Name + "`"}
}
