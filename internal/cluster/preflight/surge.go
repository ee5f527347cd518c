package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	resourcehelpers "k8s.io/component-helpers/resource"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Surge checks whether a rolling update would block itself: the old pods stay until the new
// ones are ready, but hold what those need (a host port, a ReadWriteOncePod claim, the
// capacity of the node, the place that anti-affinity allows). nodes are the result of Nodes;
// without them, whatever depends on nodes is only a Warning. Finding: surge-blocked.
func Surge(ctx context.Context, kube kubernetes.Interface, next, live *workload.Workload, nodes []Node) ([]*pipeline.Finding, error) {
	if live == nil || live.Deployment == nil || next.Deployment == nil || verdict.SurgeMakesRoom(next.Deployment) {
		return nil, nil
	}
	serving := live.Deployment.Status.ReadyReplicas
	if surge, _ := verdict.Fenceposts(next.Deployment); surge == 0 || serving == 0 {
		return nil, nil
	}
	ref := next.Ref()
	blocked := func(severity pipeline.Severity, what, why string) []*pipeline.Finding {
		return []*pipeline.Finding{finding(severity, verdict.CodeSurgeBlocked, ref.Namespace+"/"+ref.String(), what, why,
			"let the old pod go first: `strategy: {type: Recreate}`, or rollingUpdate with maxSurge: 0 and maxUnavailable: 1")}
	}
	spec, was := &next.Template().Spec, &live.Template().Spec
	claim, unknown, err := exclusiveClaim(ctx, kube, ref.Namespace, spec, was)
	switch {
	case err != nil:
		return nil, err
	case unknown != nil:
		return []*pipeline.Finding{unknown}, nil
	case claim != "":
		return blocked(
			pipeline.Error,
			"the new pod of "+ref.String()+" cannot mount claim "+claim+" while the old one has it",
			"its access mode is ReadWriteOncePod",
		), nil
	}
	var fit []Node
	for _, n := range nodes {
		if n.Excluded == "" {
			fit = append(fit, n)
		}
	}
	severity, where := pipeline.Error, units.Count(
		len(fit),
		"node fits",
		"nodes fit",
	)+", but "+units.Count(
		int(serving),
		"old pod is running",
		"old pods are running",
	)
	switch {
	case len(nodes) == 0:
		severity, where = pipeline.Warning, "the nodes could not be read"
	case len(fit) > int(serving):
		return nil, nil // there is a node without an old pod
	case len(fit) == 1 && serving == 1:
		where = "only node " + fit[0].Name + " fits, but the old pod runs there"
	}
	if port := shared(verdict.HostPorts(spec), verdict.HostPorts(was)); port != "" {
		return blocked(severity, "the new pod of "+ref.String()+" cannot have host port "+port+" while the old one has it", where), nil
	}
	if severity == pipeline.Warning {
		return nil, nil // the rest is about nodes alone
	}
	if verdict.Repels(next.Template()) {
		return blocked(severity, "the new pod of "+ref.String()+" cannot run next to the old one because of its own anti-affinity", where), nil
	}
	if what := noRoomForTwo(spec, was, fit); what != "" {
		return blocked(severity, "no node has room for both the old and the new pod of "+ref.String()+" together", what+"; "+where), nil
	}
	return nil, nil
}

// exclusiveClaim returns a claim of both pods that only one pod may have at a
// time. unknown is the Finding for one that may not be read.
func exclusiveClaim(
	ctx context.Context,
	kube kubernetes.Interface,
	ns string,
	next, was *corev1.PodSpec,
) (claim string, unknown *pipeline.Finding, err error) {
	for _, claim := range verdict.Claims(next) {
		if !slices.Contains(verdict.Claims(was), claim) {
			continue
		}
		pvc, err := kube.CoreV1().PersistentVolumeClaims(ns).Get(ctx, claim, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err): // reported by References
		case apierrors.IsForbidden(err):
			return "", unread("the access modes of PersistentVolumeClaim "+claim, err), nil
		case err != nil:
			return "", nil, cluster.Explain("read PersistentVolumeClaim "+claim, err)
		case slices.Contains(pvc.Spec.AccessModes, corev1.ReadWriteOncePod):
			return claim, nil, nil
		}
	}
	return "", nil, nil
}

func shared(a, b []string) string {
	for _, p := range a {
		if slices.Contains(b, p) {
			return p
		}
	}
	return ""
}

// noRoomForTwo names a resource of which no node has enough for both pods, even
// without other pods. It is empty if the new pod alone would not fit either,
// because ending the old one first would not help.
func noRoomForTwo(next, was *corev1.PodSpec, nodes []Node) string {
	want := resourcehelpers.PodRequests(&corev1.Pod{Spec: *next}, resourcehelpers.PodResourcesOptions{})
	have := resourcehelpers.PodRequests(&corev1.Pod{Spec: *was}, resourcehelpers.PodResourcesOptions{})
	var lacks []string
	for name, needs := range want {
		if !slices.ContainsFunc(nodes, func(n Node) bool {
			room, known := n.allocatable[name]
			return !known || room.Cmp(needs) >= 0
		}) {
			return ""
		}
		both := needs.DeepCopy()
		both.Add(have[name])
		if both.IsZero() || slices.ContainsFunc(nodes, func(n Node) bool {
			room, known := n.allocatable[name]
			return !known || room.Cmp(both) >= 0
		}) {
			continue
		}
		most := nodes[0].allocatable[name]
		lacks = append(lacks, fmt.Sprintf("both together need %s %s, but a node has %s", both.String(), name, most.String()))
	}
	slices.Sort(lacks)
	return strings.Join(lacks, ", ")
}
