// Package workload represents a Deployment, StatefulSet or DaemonSet by one type. Get
// reads one from the cluster, Of wraps an existing object, and the methods return what a
// rollout needs to know for all three kinds.
package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Kinds are the kinds of workloads that can be rolled out.
var Kinds = []string{Deployment, StatefulSet, DaemonSet}

// The codes of this package's findings.
const (
	CodeKind             pipeline.Code = "workload-kind"
	CodeUnknown          pipeline.Code = "workload-unknown"
	CodeContainerUnknown pipeline.Code = "container-unknown"
	// CodeSuperseded and CodeReplaced belong to ErrSuperseded and ErrReplaced.
	CodeSuperseded pipeline.Code = "superseded"
	CodeReplaced   pipeline.Code = "workload-replaced"
	// CodeNoNamespace is the code of a namespace that does not exist.
	CodeNoNamespace pipeline.Code = "namespace-missing"
)

// Errors that callers distinguish with errors.Is; each is wrapped in a Finding.
var (
	// ErrUnknown: the cluster has no such workload.
	ErrUnknown = errors.New("the workload does not exist")
	// ErrNoNamespace: the namespace does not exist either. It comes with ErrUnknown.
	ErrNoNamespace = errors.New("the namespace does not exist")
	// ErrSuperseded: somebody else has changed the pod template meanwhile, so the
	// running version is theirs.
	ErrSuperseded = errors.New("somebody else has changed the workload")
	// ErrReplaced: the object was deleted, and another may have been created
	// with the same name.
	ErrReplaced = errors.New("the workload was deleted or replaced")
)

// The kinds.
const (
	Deployment  = "Deployment"
	StatefulSet = "StatefulSet"
	DaemonSet   = "DaemonSet"
)

// Ref names a workload.
type Ref struct{ Kind, Namespace, Name string }

// String formats it as kubectl does: kind/name.
func (r Ref) String() string { return strings.ToLower(r.Kind) + "/" + r.Name }

// Resource returns the kind's resource in apps/v1.
func (r Ref) Resource() schema.GroupVersionResource {
	return appsv1.SchemeGroupVersion.WithResource(strings.ToLower(r.Kind) + "s")
}

// GVK returns the kind with its group and version.
func (r Ref) GVK() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind(r.Kind) }

// Valid returns a Finding (workload-kind) if Kind is none of the three.
func (r Ref) Valid() error {
	if !slices.Contains([]string{Deployment, StatefulSet, DaemonSet}, r.Kind) {
		return pipeline.UsageErrorf(CodeKind, "use Deployment, StatefulSet or DaemonSet",
			"%q cannot be rolled out", r.Kind)
	}
	return nil
}

// Workload holds exactly one of the three.
type Workload struct {
	Deployment  *appsv1.Deployment
	StatefulSet *appsv1.StatefulSet
	DaemonSet   *appsv1.DaemonSet
}

// Of wraps one of the three typed objects; it returns nil for any other.
func Of(obj any) *Workload {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return &Workload{Deployment: o}
	case *appsv1.StatefulSet:
		return &Workload{StatefulSet: o}
	case *appsv1.DaemonSet:
		return &Workload{DaemonSet: o}
	}
	return nil
}

// Get reads a workload. Findings: workload-unknown, namespace-missing (if the user may
// read namespaces) and those of cluster.Explain.
func Get(ctx context.Context, kube kubernetes.Interface, ref Ref) (*Workload, error) {
	if err := ref.Valid(); err != nil {
		return nil, err
	}
	var w Workload
	var err error
	apps := kube.AppsV1()
	switch ref.Kind {
	case Deployment:
		w.Deployment, err = apps.Deployments(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	case StatefulSet:
		w.StatefulSet, err = apps.StatefulSets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	case DaemonSet:
		w.DaemonSet, err = apps.DaemonSets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		_, nserr := kube.CoreV1().Namespaces().Get(ctx, ref.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(nserr) {
			return nil, &pipeline.Finding{
				Code:     CodeNoNamespace,
				Severity: pipeline.Error,
				What:     fmt.Sprintf("the cluster has no namespace %s", ref.Namespace),
				Err:      errors.Join(ErrUnknown, ErrNoNamespace, err),
				Fix: "check deploy.namespace of .sbw.yaml, --namespace and --context, or create it: kubectl create namespace " +
					ref.Namespace,
			}
		}
		return nil, &pipeline.Finding{
			Code:     CodeUnknown,
			Severity: pipeline.Error,
			Where:    ref.Namespace,
			What:     fmt.Sprintf("there is no %s in this namespace", ref),
			Err:      errors.Join(ErrUnknown, err),
			Fix: fmt.Sprintf(
				"check deploy.deployment and deploy.namespace in .sbw.yaml, --namespace and --context; `kubectl get %ss -A` lists those that exist",
				strings.ToLower(ref.Kind),
			),
		}
	}
	if err != nil {
		return nil, cluster.Explain("read "+ref.String(), err)
	}
	return &w, nil
}

// Object returns the object itself.
func (w *Workload) Object() metav1.Object {
	switch {
	case w.Deployment != nil:
		return w.Deployment
	case w.StatefulSet != nil:
		return w.StatefulSet
	default:
		return w.DaemonSet
	}
}

// Ref returns its kind, namespace and name.
func (w *Workload) Ref() Ref {
	o := w.Object()
	kind := DaemonSet
	if w.Deployment != nil {
		kind = Deployment
	} else if w.StatefulSet != nil {
		kind = StatefulSet
	}
	return Ref{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Template returns the pod template.
func (w *Workload) Template() *corev1.PodTemplateSpec {
	switch {
	case w.Deployment != nil:
		return &w.Deployment.Spec.Template
	case w.StatefulSet != nil:
		return &w.StatefulSet.Spec.Template
	default:
		return &w.DaemonSet.Spec.Template
	}
}

// Selector returns the selector of its pods. It selects nothing if the object's own
// selector cannot be parsed, which the API server prevents.
func (w *Workload) Selector() labels.Selector {
	var s *metav1.LabelSelector
	switch {
	case w.Deployment != nil:
		s = w.Deployment.Spec.Selector
	case w.StatefulSet != nil:
		s = w.StatefulSet.Spec.Selector
	default:
		s = w.DaemonSet.Spec.Selector
	}
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return sel
}

// Replicas returns how many pods are wanted. For a DaemonSet it is the controller's last
// count.
func (w *Workload) Replicas() int32 {
	var n *int32
	switch {
	case w.Deployment != nil:
		n = w.Deployment.Spec.Replicas
	case w.StatefulSet != nil:
		n = w.StatefulSet.Spec.Replicas
	default:
		return w.DaemonSet.Status.DesiredNumberScheduled
	}
	if n == nil {
		return 1
	}
	return *n
}

// MinReadySeconds returns how long a pod must be Ready before it counts as available.
func (w *Workload) MinReadySeconds() time.Duration {
	var n int32
	switch {
	case w.Deployment != nil:
		n = w.Deployment.Spec.MinReadySeconds
	case w.StatefulSet != nil:
		n = w.StatefulSet.Spec.MinReadySeconds
	default:
		n = w.DaemonSet.Spec.MinReadySeconds
	}
	return time.Duration(n) * time.Second
}

// Container returns the named container of the template, searching ordinary containers
// first. Finding: container-unknown, which lists the existing ones.
func (w *Workload) Container(name string) (*corev1.Container, error) {
	spec := &w.Template().Spec
	var names []string
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i], nil
			}
			names = append(names, list[i].Name)
		}
	}
	return nil, &pipeline.Finding{Code: CodeContainerUnknown, Severity: pipeline.Error,
		Where: w.Ref().Namespace + "/" + w.Ref().String(),
		What:  fmt.Sprintf("there is no container %q", name),
		Fix:   "set deploy.container in .sbw.yaml to one of: " + units.List(names)}
}
