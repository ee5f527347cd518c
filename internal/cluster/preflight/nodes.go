package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	schedulingv1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// AnnotationPlatforms on a node lists further platforms that it runs by
// emulation, separated by commas, because the API has no field for it.
const AnnotationPlatforms = "dev.sbw/platforms"

// Node is one node and whether the pods may run on it.
type Node struct {
	Name      string   `json:"name"`
	Platforms []string `json:"platforms"` // its own first; empty if it does not report one
	// Excluded is the reason why no pod may run there; empty if it may.
	Excluded string `json:"excluded,omitempty"`

	allocatable corev1.ResourceList
}

// Nodes reads the cluster's nodes and judges each against the pod template like
// the scheduler's filters: nodeName, nodeSelector, required affinity, taints
// and tolerations, cordons. Free capacity is not judged, because it may change.
func Nodes(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) ([]Node, []*pipeline.Finding, error) {
	list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if f := unread("the nodes' platforms", err); f != nil {
		return nil, []*pipeline.Finding{f}, nil
	}
	if err != nil {
		return nil, nil, cluster.Explain("list nodes", err)
	}
	nodes := make([]Node, 0, len(list.Items))
	for i := range list.Items {
		nodes = append(nodes, judge(&list.Items[i], w))
	}
	return nodes, nil, nil
}

// Takes reports whether the scheduler's filters allow the pods of w on a node. Its free
// capacity is not considered.
func Takes(node *corev1.Node, w *workload.Workload) bool { return judge(node, w).Excluded == "" }

func judge(node *corev1.Node, w *workload.Workload) Node {
	n := Node{
		Name:        node.Name,
		allocatable: node.Status.Allocatable,
		Platforms:   []string{},
	}
	if info := node.Status.NodeInfo; info.OperatingSystem != "" && info.Architecture != "" {
		n.Platforms = append(n.Platforms, info.OperatingSystem+"/"+info.Architecture)
	}
	for p := range strings.SplitSeq(node.Annotations[AnnotationPlatforms], ",") {
		if p = strings.TrimSpace(p); p != "" {
			n.Platforms = append(n.Platforms, p)
		}
	}
	cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	spec := w.Template().Spec
	if spec.NodeName != "" && spec.NodeName != node.Name {
		n.Excluded = "spec.nodeName is " + spec.NodeName
		return n
	}
	if fits, err := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: spec}).Match(node); err != nil || !fits {
		n.Excluded = "nodeSelector or required affinity does not match"
		return n
	}
	tolerations := spec.Tolerations
	if w.DaemonSet != nil {
		tolerations = append(slices.Clone(tolerations), daemonTolerations()...)
	} else if node.Spec.Unschedulable && !tolerates(tolerations, cordon) {
		n.Excluded = "cordoned"
		return n
	}
	for _, taint := range node.Spec.Taints {
		if taint.Effect == corev1.TaintEffectPreferNoSchedule || transientTaint(taint) || tolerates(tolerations, taint) {
			continue
		}
		n.Excluded = fmt.Sprintf("taint %s is not tolerated", taint.ToString())
		return n
	}
	return n
}

func tolerates(tolerations []corev1.Toleration, taint corev1.Taint) bool {
	return schedulingv1.TolerationsTolerateTaint(logr.Discard(), tolerations, &taint, false)
}

// transientTaint reports whether a taint may soon be gone: a node that is away or under
// pressure right now may be back when the pod is scheduled.
func transientTaint(t corev1.Taint) bool {
	switch t.Key {
	case corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure,
		corev1.TaintNodePIDPressure, corev1.TaintNodeNetworkUnavailable, "node.cloudprovider.kubernetes.io/uninitialized":
		return true
	}
	return false
}

// daemonTolerations returns the tolerations that the DaemonSet controller adds
// (AddOrUpdateDaemonPodTolerations).
func daemonTolerations() []corev1.Toleration {
	return []corev1.Toleration{{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
}

// Platform compares an image's platforms (os/arch[/variant]) with the nodes
// that a pod may run on. Findings: node-none (no node accepts the pod), and
// node-platform: an Error if no such node runs the image, a Warning if some do
// not, because the scheduler does not look at platforms, or if it is not known
// whether one does.
func Platform(image string, platforms []string, nodes []Node) []*pipeline.Finding {
	var fit, unfit, unknown, excluded []string
	for _, n := range nodes {
		switch {
		case n.Excluded != "":
			excluded = append(excluded, n.Name+": "+n.Excluded)
		case len(n.Platforms) == 0:
			unknown = append(unknown, n.Name)
		case slices.ContainsFunc(n.Platforms, func(p string) bool { return runs(p, platforms) }):
			fit = append(fit, n.Name)
		default:
			unfit = append(unfit, n.Name+" ("+n.Platforms[0]+")")
		}
	}
	has := strings.Join(platforms, ", ")
	switch {
	case len(nodes) == 0:
		return nil
	case len(fit)+len(unfit)+len(unknown) == 0:
		f := finding(
			pipeline.Warning,
			codeNodeNone,
			"",
			"currently no node accepts the pod",
			some(excluded),
			"correct nodeSelector, affinity or tolerations, or uncordon a node",
		)
		return []*pipeline.Finding{f}
	case len(fit) == 0 && len(unknown) > 0:
		return []*pipeline.Finding{
			finding(
				pipeline.Warning,
				codeNodePlatform,
				"",
				fmt.Sprintf("image %s is for %s, and it is not known whether a node that may get the pod runs that", image, has),
				"nodes that do not report their platform: "+some(unknown),
				"",
			),
		}
	case len(fit) == 0:
		return []*pipeline.Finding{
			finding(
				pipeline.Error,
				codeNodePlatform,
				"",
				fmt.Sprintf("image %s is for %s, and no node that may get the pod runs that", image, has),
				some(unfit),
				"build it for the nodes: `gh sbw publish --platform "+platformOf(nodes)+"`",
			),
		}
	case len(unfit) > 0:
		return []*pipeline.Finding{
			finding(
				pipeline.Warning,
				codeNodePlatform,
				"",
				fmt.Sprintf("image %s is for %s, but the pod may also be placed on nodes that do not run that", image, has),
				some(unfit),
				"build it for all of them, or set nodeSelector kubernetes.io/arch",
			),
		}
	}
	return nil
}

func platformOf(nodes []Node) string {
	for _, n := range nodes {
		if n.Excluded == "" && len(n.Platforms) > 0 {
			return n.Platforms[0]
		}
	}
	return "linux/ARCH"
}

func some(list []string) string {
	if len(list) > 4 {
		return strings.Join(list[:4], ", ") + fmt.Sprintf(" and %d more", len(list)-4)
	}
	return strings.Join(list, ", ")
}

// runs reports whether a node runs one of an image's platforms.
func runs(node string, image []string) bool {
	return slices.ContainsFunc(image, func(p string) bool { return imageref.SplitPlatform(node).Runs(imageref.SplitPlatform(p)) })
}
