package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// resolve picks the pod and its port.
func (t *Tunnel) resolve(ctx context.Context) (string, int, error) {
	if t.target.Pod != "" {
		return t.target.Pod, t.target.Port, nil
	}
	where := t.target.Namespace + "/" + t.target.Service
	svc, err := service(ctx, t.kube, t.target)
	if err != nil {
		return "", 0, err
	}
	if len(svc.Spec.Selector) == 0 {
		return "", 0, &pipeline.Finding{Code: codeServiceUnready, Severity: pipeline.Error, Where: where,
			What: "Service " + svc.Name + " selects no pods, so there is nothing to forward to", Fix: "give the server's address with --inngest-url"}
	}
	port, err := servicePort(svc, t.target.Port)
	if err != nil {
		return "", 0, err
	}
	list, err := t.kube.CoreV1().
		Pods(t.target.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if err != nil {
		return "", 0, cluster.Explain("list the pods of service "+svc.Name, err)
	}
	var ready []*corev1.Pod
	for i := range list.Items {
		if p := &list.Items[i]; podutils.IsPodReady(p) && p.DeletionTimestamp == nil {
			ready = append(ready, p)
		}
	}
	if len(ready) == 0 {
		return "", 0, &pipeline.Finding{Code: codeServiceUnready, Severity: pipeline.Error, Where: where,
			What: fmt.Sprintf("no pod behind Service %s is ready", svc.Name), Why: units.Count(len(list.Items), "pod", "pods") + ", none ready",
			Fix: "`kubectl get pods -l " + labels.SelectorFromSet(svc.Spec.Selector).String() + "` shows their state"}
	}
	slices.SortFunc(ready, func(a, b *corev1.Pod) int {
		if t.avoid[a.Name] != t.avoid[b.Name] {
			if t.avoid[b.Name] {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	n, err := targetPort(svc, port, ready[0])
	return ready[0].Name, n, err
}

// service reads the Service of a target.
func service(ctx context.Context, kube kubernetes.Interface, t Target) (*corev1.Service, error) {
	svc, err := kube.CoreV1().Services(t.Namespace).Get(ctx, t.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, &pipeline.Finding{Code: codeServiceUnknown, Severity: pipeline.Error, Where: t.Namespace, Err: err,
			What: "there is no Service " + t.Service, Fix: "correct the name in .sbw.yaml (inngest.service), or give --inngest-url"}
	}
	if err != nil {
		return nil, cluster.Explain("read service "+t.Service, err)
	}
	return svc, nil
}

func servicePort(svc *corev1.Service, port int) (*corev1.ServicePort, error) {
	var have []string
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if int(p.Port) == port || port == 0 && len(svc.Spec.Ports) == 1 {
			return p, nil
		}
		have = append(have, fmt.Sprint(p.Port))
	}
	return nil, &pipeline.Finding{Code: codePortUnknown, Severity: pipeline.Error, Where: svc.Namespace + "/" + svc.Name,
		What: fmt.Sprintf("Service %s has no port %d", svc.Name, port), Fix: "use one of: " + units.List(have)}
}

// targetPort returns the port of the pod that a Service's port maps to.
func targetPort(svc *corev1.Service, port *corev1.ServicePort, pod *corev1.Pod) (int, error) {
	switch {
	case port.TargetPort.Type == intstr.Int && port.TargetPort.IntVal == 0:
		return int(port.Port), nil
	case port.TargetPort.Type == intstr.Int:
		return int(port.TargetPort.IntVal), nil
	}
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range list {
			for _, p := range c.Ports {
				if p.Name == port.TargetPort.StrVal {
					return int(p.ContainerPort), nil
				}
			}
		}
	}
	return 0, &pipeline.Finding{
		Code:     codePortUnknown,
		Severity: pipeline.Error,
		Where:    svc.Namespace + "/" + svc.Name,
		What: fmt.Sprintf(
			"pod %s has no port named %q, to which Service %s maps its port %d",
			pod.Name,
			port.TargetPort.StrVal,
			svc.Name,
			port.Port,
		),
		Fix: "correct targetPort of the Service, or the pod's ports",
	}
}

// ErrForbidden is wrapped by the errors of connections that RBAC does not allow.
var ErrForbidden = errors.New("port-forwarding is not allowed")

// explain turns a failed upgrade into a finding.
func explain(pod string, err error) error {
	during := "port-forward to pod/" + pod
	explained := cluster.Explain(during, err)
	// The upgrade's error contains the answer only as text.
	if errors.Is(explained, cluster.CodeForbidden) || strings.Contains(strings.ToLower(err.Error()), "forbidden") {
		return &pipeline.Finding{Code: codeForwardForbidden, Severity: pipeline.Error, What: "you may not " + during,
			Why: termtext.Line(err.Error()), Err: fmt.Errorf("%w: %w", ErrForbidden, err),
			Fix: "ask the cluster's administrator for the verb create on pods/portforward, or give the server's address with --inngest-url"}
	}
	return explained
}
