// Package warmup runs an image once on the nodes of a workload before the workload gets
// it: the node pulls the image, with the pods' own pull secret, placement and security
// settings, and then executes a harmless program from it. A pull that fails, an image for
// another platform and a program that the node cannot execute are then found while
// nothing has been changed yet, and the pull has already happened when the new pods start.
//
// Pod makes the pod of one node, Run creates these pods, waits for them and deletes them
// in every case, and Left finds those of runs that were killed.
//
// # What is executed
//
// The worker must not be started: it would register itself, or take work. See Command for
// what is executed instead. An image without a shell and without a known runtime shows
// only that it can be pulled, and the result says so.
//
// # What the pod is not
//
// It has no labels of the worker, so that no Service, PodDisruptionBudget, NetworkPolicy
// or ReplicaSet selects it; no environment, volumes or token; and no owner, because that
// would have to be the Deployment, whose controller counts what it owns. It ends by itself
// after its activeDeadlineSeconds.
package warmup

import (
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Label marks the pods of this package. Its value says nothing; Annotation names the
// workload.
const (
	Label      = apply.OwnPrefix + "warm-up"
	Annotation = apply.OwnPrefix + "warm-up-for"
	// annotationBy is who runs it: USER@HOST and the process.
	annotationBy = apply.OwnPrefix + "warm-up-by"
)

// The codes of this package's findings.
const (
	// CodeLeft is the code of a pod that a killed run has left.
	CodeLeft pipeline.Code = "warm-up-left"
	// CodeTimeout is the code of a warm-up that did not end in time.
	CodeTimeout pipeline.Code = "warm-up-timeout"
)

// Options say what is warmed up where.
type Options struct {
	Ref      workload.Ref
	Template *corev1.PodTemplateSpec
	// Container is the container of the template that gets Image.
	Container string
	Image     string
	// Argv is what the image would execute by itself: its entrypoint and command.
	Argv []string
	// Nodes are the nodes that get a pod each. If there are none, the scheduler
	// chooses one.
	Nodes []string
	By    string
	// Timeout limits the wait for all pods, and the life of each.
	Timeout  time.Duration
	Reporter *pipeline.Reporter
}

// runtimes maps programs that are known to print their version and exit to the argument
// for that.
var runtimes = map[string]string{
	"bun": "--version", "node": "--version", "nodejs": "--version", "deno": "--version", "python": "--version", "python3": "--version",
	"ruby": "--version", "php": "--version", "java": "-version",
}

// Command returns what a warm-up executes, for an image or container that would execute
// argv: a known runtime prints its version, since exactly this program has to run on the
// node later. For anything else it is the shell, because nobody knows whether an unknown
// program would start working no matter what its arguments are.
func Command(argv []string) []string {
	if len(argv) > 0 {
		if flag, known := runtimes[path.Base(argv[0])]; known {
			return []string{argv[0], flag}
		}
	}
	return []string{"/bin/sh", "-c", "exit 0"}
}

// argvOf returns what a container executes.
func argvOf(c *corev1.Container, image []string) []string {
	if len(c.Command) > 0 {
		return slices.Concat(c.Command, c.Args)
	}
	return image
}

// Pod returns the pod that warms up an image on a node, or on any node if it is empty. It
// returns nil if the template has no such container.
func Pod(o Options, node string) *corev1.Pod {
	t := o.Template.Spec
	i := slices.IndexFunc(t.Containers, func(c corev1.Container) bool { return c.Name == o.Container })
	if i < 0 {
		return nil
	}
	c, no := &t.Containers[i], false
	deadline, grace := int64(max(1, o.Timeout/time.Second)), int64(0)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Ref.Namespace, GenerateName: "sbw-warm-up-" + short(o.Ref.Name) + "-",
			Labels: map[string]string{Label: "true", "sidecar.istio.io/inject": "false"},
			Annotations: map[string]string{
				Annotation: o.Ref.String(), annotationBy: o.By,
				"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled",
			},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: &deadline, TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
			NodeName: t.NodeName, NodeSelector: t.NodeSelector, Tolerations: t.Tolerations, SchedulerName: t.SchedulerName,
			RuntimeClassName: t.RuntimeClassName, PriorityClassName: t.PriorityClassName, OS: t.OS, HostUsers: t.HostUsers,
			ServiceAccountName: t.ServiceAccountName, ImagePullSecrets: t.ImagePullSecrets, SecurityContext: t.SecurityContext,
			Containers: []corev1.Container{{
				Name: c.Name, Image: o.Image, ImagePullPolicy: c.ImagePullPolicy, Command: Command(argvOf(c, o.Argv)),
				SecurityContext: c.SecurityContext, Resources: c.Resources,
			}},
		},
	}
	if a := t.Affinity; a != nil && a.NodeAffinity != nil {
		pod.Spec.Affinity = &corev1.Affinity{NodeAffinity: a.NodeAffinity.DeepCopy()}
	}
	if node != "" && t.NodeName == "" {
		onNode(&pod.Spec, node)
	}
	return pod
}

// short cuts a name so that a generated name still has room.
func short(name string) string { return strings.TrimRight(name[:min(len(name), 40)], "-.") }

// onNode requires a node, in addition to what the pod requires already. The scheduler
// still checks taints and resources, which it would not with spec.nodeName.
func onNode(spec *corev1.PodSpec, node string) {
	field := corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	}
	required := spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil || len(required.NodeSelectorTerms) == 0 {
		required = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
	}
	for i := range required.NodeSelectorTerms { // one of the terms has to match as a whole
		term := &required.NodeSelectorTerms[i]
		term.MatchFields = append(term.MatchFields, field)
	}
	spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = required
}
