package handover

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// State is the state of one Deployment's hand-over in the cluster.
type State struct {
	Ref        workload.Ref
	Deployment *appsv1.Deployment // nil if it does not exist
	// Mark is the Deployment's mark; nil if it is not held.
	Mark *Mark
	// Lost means that the mark is no longer on the Deployment: see lostMark.
	Lost        bool
	ReplicaSets []*appsv1.ReplicaSet // the Deployment's own
	Pods        []*corev1.Pod        // the pods of these ReplicaSets
	Services    []HeldService        // sorted by name
	// Busy names who is working on it right now; empty if nobody is, or if it is
	// the caller.
	Busy string
}

// HeldService is a Service with a mark.
type HeldService struct {
	*corev1.Service
	Mark *ServiceMark
}

// Pinned returns the version that the Service points to; empty if it is not pinned.
func (h HeldService) Pinned() string { return h.Spec.Selector[hashLabel] }

// Read reads the state. Its errors are those of cluster.Explain, or name the mark that
// cannot be read.
func Read(ctx context.Context, kube kubernetes.Interface, ref workload.Ref) (*State, error) {
	s := &State{Ref: ref}
	if ref.Kind != workload.Deployment {
		return s, nil
	}
	var d *appsv1.Deployment
	var g errgroup.Group
	g.Go(func() (err error) {
		d, err = kube.AppsV1().Deployments(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			d = nil
			return nil
		}
		return cluster.Explain("read "+ref.String(), err)
	})
	g.Go(func() (err error) {
		s.Services, err = heldServices(ctx, kube, ref)
		return err
	})
	err := g.Wait()
	if err != nil {
		return nil, err
	}
	if s.Deployment = d; d != nil {
		if s.Mark, err = MarkOf(d); err != nil {
			return nil, err
		}
	}
	if s.Deployment == nil || s.Mark == nil && len(s.Services) == 0 {
		return s, nil
	}
	if err := s.readVersions(ctx, kube); err != nil {
		return nil, err
	}
	if s.Mark == nil {
		s.Mark = s.lostMark()
		s.Lost = s.Mark != nil
	}
	return s, nil
}

// lostMark returns the mark of a Deployment that has lost it but is still held:
// `kubectl rollout undo` replaces the annotations by those of a ReplicaSet. The Deployment's
// controller has copied the mark to the new version's ReplicaSet.
func (s *State) lostMark() *Mark {
	ready, deadline, _ := fieldsOf(s.Deployment).held()
	if !ready && !deadline || len(s.Services) == 0 {
		return nil
	}
	for _, rs := range s.ReplicaSets {
		var m Mark
		text := rs.Annotations[Annotation]
		if text != "" && json.Unmarshal([]byte(text), &m) == nil && m.Deployment == s.Deployment.Name && m.Run == s.Services[0].Mark.Run {
			return &m
		}
	}
	return nil
}

// heldServices lists the Services that are held for a Deployment, sorted by name.
func heldServices(ctx context.Context, kube kubernetes.Interface, ref workload.Ref) ([]HeldService, error) {
	list, err := kube.CoreV1().Services(ref.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, cluster.Explain("list the Services that may be held", err)
	}
	var held []HeldService
	var errs []error
	for i := range list.Items {
		svc := &list.Items[i]
		mark, err := ServiceMarkOf(svc)
		errs = append(errs, err)
		if mark != nil && mark.Deployment == ref.Name {
			held = append(held, HeldService{svc, mark})
		}
	}
	slices.SortFunc(held, func(a, b HeldService) int { return strings.Compare(a.Name, b.Name) })
	return held, errors.Join(errs...)
}

// readVersions reads the ReplicaSets and their pods.
func (s *State) readVersions(ctx context.Context, kube kubernetes.Interface) error {
	by := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(s.Deployment.Spec.Selector)}
	var sets *appsv1.ReplicaSetList
	var pods *corev1.PodList
	var g errgroup.Group
	g.Go(func() (err error) {
		sets, err = kube.AppsV1().ReplicaSets(s.Ref.Namespace).List(ctx, by)
		return cluster.Explain("list the ReplicaSets of "+s.Ref.String(), err)
	})
	g.Go(func() (err error) {
		pods, err = kube.CoreV1().Pods(s.Ref.Namespace).List(ctx, by)
		return cluster.Explain("list the pods of "+s.Ref.String(), err)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range sets.Items {
		if metav1.IsControlledBy(&sets.Items[i], s.Deployment) {
			s.ReplicaSets = append(s.ReplicaSets, &sets.Items[i])
		}
	}
	for i := range pods.Items {
		if s.versionOf(&pods.Items[i]) != "" {
			s.Pods = append(s.Pods, &pods.Items[i])
		}
	}
	return nil
}

// version returns the ReplicaSet with a pod-template-hash; nil if there is none.
func (s *State) version(hash string) *appsv1.ReplicaSet {
	for _, rs := range s.ReplicaSets {
		if rs.Labels[hashLabel] == hash && hash != "" {
			return rs
		}
	}
	return nil
}

// versionOf returns the pod-template-hash of one of the Deployment's own pods.
func (s *State) versionOf(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	for _, rs := range s.ReplicaSets {
		if owner != nil && owner.UID == rs.UID {
			return rs.Labels[hashLabel]
		}
	}
	return ""
}

// others returns the UIDs of the pods of all versions but one.
func (s *State) others(hash string) map[types.UID]bool {
	all := map[types.UID]bool{}
	for _, pod := range s.Pods {
		if s.versionOf(pod) != hash {
			all[pod.UID] = true
		}
	}
	return all
}

// current returns the pod-template-hash of the Deployment's template; empty until its
// controller has created the ReplicaSet.
func (s *State) current() string {
	if s.Deployment == nil {
		return ""
	}
	rs := verdict.NewReplicaSet(s.Deployment, s.ReplicaSets)
	if rs == nil {
		return ""
	}
	return rs.Labels[hashLabel]
}

// ready counts the Ready pods of a version that are not terminating.
func (s *State) ready(hash string) (n int32) {
	for _, pod := range s.Pods {
		if pod.DeletionTimestamp == nil && podutils.IsPodReady(pod) && s.versionOf(pod) == hash {
			n++
		}
	}
	return n
}

// ended returns the name of a pod of a version with a container that has ended or has
// restarted more often than restarts says; empty if there is none. The pod's own
// condition may not show it yet.
func (s *State) ended(hash string, restarts map[types.UID]int32) string {
	for _, pod := range s.Pods {
		if pod.DeletionTimestamp != nil || s.versionOf(pod) != hash {
			continue
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Terminated != nil || c.State.Waiting != nil && c.RestartCount > 0 {
				return pod.Name
			}
		}
		if before, ok := restarts[pod.UID]; ok && restartsOf(pod) > before {
			return pod.Name
		}
	}
	return ""
}

// restarts counts the restarts of each pod's containers.
func restarts(pods []*corev1.Pod) map[types.UID]int32 {
	all := make(map[types.UID]int32, len(pods))
	for _, pod := range pods {
		all[pod.UID] = restartsOf(pod)
	}
	return all
}

func restartsOf(pod *corev1.Pod) (n int32) {
	for _, c := range pod.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}

// replicas returns how many pods the Deployment should have.
func (s *State) replicas() int32 {
	if r := s.Deployment.Spec.Replicas; r != nil {
		return *r
	}
	return 1
}

// Origin returns the origin of the hand-over; the zero Origin if there is none.
func (s *State) Origin() Origin {
	if s.Mark != nil {
		return s.Mark.Origin
	}
	for _, svc := range s.Services {
		return svc.Mark.Origin
	}
	return Origin{}
}
