package handover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	resourcehelpers "k8s.io/component-helpers/resource"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Look reads what Choose needs: live is the present workload, next the one that it will
// be (nil if that is not known). Missing permissions are recorded in Unread and
// Room.Unknown; any other error of the API server is returned.
func Look(ctx context.Context, kube kubernetes.Interface, live, next *workload.Workload) (Situation, error) {
	s := Situation{Live: live, Next: next, Claims: map[string]*corev1.PersistentVolumeClaim{}, Unread: map[string]string{}}
	if moot(s) != "" || live.Deployment == nil || ofKind(s) != "" || ofState(s) != "" {
		return s, nil // already decided
	}
	l := &look{Situation: &s, kube: kube, ns: live.Object().GetNamespace()}
	for _, read := range []func(context.Context) error{l.services, l.pods, l.replicaSets, l.claims, l.autoscalers, l.quotas, l.nodes} {
		l.wg.Go(func() { l.keep(read(ctx)) })
	}
	l.wg.Wait()
	if l.err == nil {
		l.keep(l.rights(ctx))
	}
	slices.Sort(s.Room.Unknown)
	return s, l.err
}

type look struct {
	*Situation
	kube kubernetes.Interface
	ns   string
	wg   sync.WaitGroup
	mu   sync.Mutex // guards Unread, Room and err
	err  error
}

func (l *look) keep(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.err == nil {
		l.err = err
	}
}

// unread records that something may not be read, and returns any other error.
func (l *look) unread(name string, err error) error {
	if !apierrors.IsForbidden(err) {
		return cluster.Explain("read "+name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Unread[name] = termtext.Line(err.Error())
	return nil
}

func (l *look) services(ctx context.Context) error {
	list, err := l.kube.CoreV1().Services(l.ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return l.unread("services", err)
	}
	l.Services = pointers(list.Items)
	return nil
}

func (l *look) pods(ctx context.Context) error {
	list, err := l.kube.CoreV1().Pods(l.ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return l.unread("pods", err)
	}
	l.Pods = pointers(list.Items)
	return nil
}

func (l *look) replicaSets(ctx context.Context) error {
	list, err := l.kube.AppsV1().ReplicaSets(l.ns).List(ctx, metav1.ListOptions{LabelSelector: l.Live.Selector().String()})
	if err != nil {
		return l.unread("replicasets", err)
	}
	l.ReplicaSets = slices.DeleteFunc(
		pointers(list.Items),
		func(rs *appsv1.ReplicaSet) bool { return !metav1.IsControlledBy(rs, l.Live.Deployment) },
	)
	return nil
}

func (l *look) claims(ctx context.Context) error {
	names := map[string]bool{}
	for _, w := range []*workload.Workload{l.Live, l.next()} {
		for _, v := range w.Template().Spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				names[v.PersistentVolumeClaim.ClaimName] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		claim, err := l.kube.CoreV1().PersistentVolumeClaims(l.ns).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			l.Claims[name] = claim
		case apierrors.IsNotFound(err):
		default:
			if err := l.unread("claim/"+name, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *look) autoscalers(ctx context.Context) error {
	list, err := l.kube.AutoscalingV2().HorizontalPodAutoscalers(l.ns).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil // the cluster does not have that API
	}
	if err != nil {
		return l.unread("autoscalers", err)
	}
	for _, a := range list.Items {
		if t := a.Spec.ScaleTargetRef; t.Kind == workload.Deployment && t.Name == l.Live.Deployment.Name {
			l.Autoscalers = append(l.Autoscalers, a.Name)
		}
	}
	return nil
}

func (l *look) room(lacks, unknown string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lacks != "" && l.Room.Lacks == "" {
		l.Room.Lacks = lacks
	}
	if unknown != "" {
		l.Room.Unknown = append(l.Room.Unknown, unknown)
	}
}

func (l *look) quotas(ctx context.Context) error {
	list, err := l.kube.CoreV1().ResourceQuotas(l.ns).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		l.room("", "the quotas cannot be read: "+termtext.Line(err.Error()))
		return nil
	}
	if err != nil {
		return cluster.Explain("list quotas", err)
	}
	for i := range list.Items {
		if lacks := preflight.Lacks(&list.Items[i], preflight.PodOf(l.next()), l.next().Replicas()); len(lacks) > 0 {
			l.room(fmt.Sprintf("quota %s (%s)", list.Items[i].Name, strings.Join(lacks, "; ")), "")
		}
	}
	return nil
}

// nodes determines whether the scheduler would find room right now. Pods without
// requests fit anywhere.
func (l *look) nodes(ctx context.Context) error {
	next := l.next()
	pod := &corev1.Pod{Spec: next.Template().Spec}
	requests := resourcehelpers.PodRequests(pod, resourcehelpers.PodResourcesOptions{})
	requests[corev1.ResourcePods] = *one
	list, err := l.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		l.room("", "the nodes cannot be read: "+termtext.Line(err.Error()))
		return nil
	}
	if err != nil {
		return cluster.Explain("list nodes", err)
	}
	running := fields.AndSelectors(fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
	pods, err := l.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: running.String()})
	if apierrors.IsForbidden(err) {
		l.room("", "the pods of other namespaces cannot be read: "+termtext.Line(err.Error()))
		return nil
	}
	if err != nil {
		return cluster.Explain("list pods", err)
	}
	fits, nodes := int64(0), 0
	for i := range list.Items {
		if preflight.Takes(&list.Items[i], next) {
			nodes++
			fits += fit(&list.Items[i], pods.Items, requests)
		}
	}
	l.mu.Lock()
	l.Nodes = nodes
	l.mu.Unlock()
	if wanted := int64(next.Replicas()); nodes > 0 && fits < wanted {
		l.room(fmt.Sprintf("the nodes have room for only %d of %d more pods", fits, wanted), "")
	}
	return nil
}

// rights checks whether the user may patch the Services.
func (l *look) rights(ctx context.Context) error {
	for _, svc := range l.Services {
		if !l.selects(svc) {
			continue
		}
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: l.ns, Verb: "patch", Resource: "services", Name: svc.Name}}}
		answer, err := l.kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return l.unread("patch", err)
		}
		if !answer.Status.Allowed {
			l.Denied = append(l.Denied, svc.Name)
		}
	}
	return nil
}

func pointers[T any](list []T) []*T {
	all := make([]*T, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}
