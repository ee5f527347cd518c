package conn

import (
	"context"
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const envServePath = "INNGEST_SERVE_PATH"

// CheckLivePath checks the path to the workload as it runs, ready pods included.
func (c *Conn) CheckLivePath(ctx context.Context) ([]*pipeline.Finding, error) {
	kube, err := c.Cluster.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, c.Ref)
	if err != nil {
		return nil, err
	}
	return c.checkPath(ctx, w, nil, true)
}

// CheckPath reports where the path from the server to the pods of a workload
// is broken, as far as the cluster shows it: the URL that the worker registers
// must belong to a Service with that port, and the Service's selector and
// target port must match the pods. planned are Services that are about to be
// applied.
//
// A server that is reached with --inngest-url may run anywhere, so it is not
// known how it resolves names. Nothing is reported then.
func (c *Conn) CheckPath(ctx context.Context, w *workload.Workload, planned []*corev1.Service) ([]*pipeline.Finding, error) {
	return c.checkPath(ctx, w, planned, false)
}

func (c *Conn) checkPath(
	ctx context.Context,
	w *workload.Workload,
	planned []*corev1.Service,
	endpoints bool,
) ([]*pipeline.Finding, error) {
	kube, err := c.Cluster.Kube()
	if err != nil {
		return nil, err
	}
	p := judge.Path{URL: c.Wanted().URL, Server: ServerTarget(c.Ref.Namespace, c.Worker.Inngest).Namespace, Port: c.Worker.Probe.Port}
	p.ServePath, _ = c.env.Lookup(envServePath)
	if c.URL == "" {
		err := readPath(ctx, kube, w, planned, &p)
		if isForbidden(err) {
			return []*pipeline.Finding{unread(p.URL, err)}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	found := judge.JudgePath(p)
	if endpoints {
		found = append(found, judge.JudgeEndpoints(p)...)
	}
	return found, nil
}

// unread reports a path that this user may not read, so its state is unknown.
func unread(url string, err error) *pipeline.Finding {
	return &pipeline.Finding{
		Code: model.CodePathUnproven, Severity: pipeline.Warning, Where: url, Err: err,
		What: "cannot check the Service through which the server calls the worker", Why: err.Error(),
		Fix: "ask for the verbs get on services and list on pods",
	}
}

func readPath(ctx context.Context, kube kubernetes.Interface, w *workload.Workload, planned []*corev1.Service, p *judge.Path) error {
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil // sdk.New refuses it
	}
	namespace, name, ok := ServiceOf(u.Hostname(), p.Server)
	if !ok {
		return nil // a host outside the cluster
	}
	svc, err := kube.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	for _, next := range planned {
		if next.Namespace == namespace && next.Name == name {
			svc, err = next, nil
		}
	}
	if apierrors.IsNotFound(err) {
		if !isClusterName(u.Hostname()) && namespace != p.Server {
			// NAME.SOMETHING may be a public host.
			if _, err := kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
				return nil
			}
		}
		p.Namespace, p.Service = namespace, name
		return nil
	}
	if err != nil {
		return cluster.Explain(fmt.Sprintf("read service %s in namespace %s", name, namespace), err)
	}
	p.Namespace, p.Service, p.Found = namespace, name, true
	p.External = svc.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.Selector) == 0
	selector := labels.SelectorFromSet(svc.Spec.Selector)
	template := w.Template()
	p.Selects = namespace == w.Ref().Namespace && selector.Matches(labels.Set(template.Labels))
	for _, port := range svc.Spec.Ports {
		p.Ports = append(p.Ports, int(port.Port))
		if fmt.Sprint(port.Port) == u.Port() || u.Port() == "" && (port.Port == 80 || port.Port == 443) {
			p.Target, p.TargetName = target(port, template)
		}
	}
	return readPods(ctx, kube, w, selector, p)
}

// target returns the port of the pods for a Service's port, by Kubernetes'
// rules (pkg/api/v1/pod FindPort: containers first, then restartable init
// containers).
func target(port corev1.ServicePort, template *corev1.PodTemplateSpec) (int, string) {
	switch {
	case port.TargetPort.Type == intstr.Int && port.TargetPort.IntVal == 0:
		return int(port.Port), ""
	case port.TargetPort.Type == intstr.Int:
		return int(port.TargetPort.IntVal), ""
	}
	name := port.TargetPort.StrVal
	for _, list := range [][]corev1.Container{template.Spec.Containers, template.Spec.InitContainers} {
		for _, c := range list {
			for _, p := range c.Ports {
				if p.Name == name && (p.Protocol == port.Protocol || p.Protocol == "" || port.Protocol == "") {
					return int(p.ContainerPort), name
				}
			}
		}
	}
	return 0, name
}

func readPods(ctx context.Context, kube kubernetes.Interface, w *workload.Workload, selector labels.Selector, p *judge.Path) error {
	if p.External {
		return nil
	}
	pods, err := kube.CoreV1().Pods(p.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return cluster.Explain("list the pods of service "+p.Service, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		ours := w.Selector().Matches(labels.Set(pod.Labels))
		if ours {
			p.Pods++
			// The selector may use labels that only running pods have.
			p.Selects = p.Selects || p.Namespace == w.Ref().Namespace
		}
		switch ready := podutils.IsPodReady(pod) && pod.DeletionTimestamp == nil; {
		case ready && ours:
			p.Ours = append(p.Ours, pod.Name)
		case ready:
			p.Others = append(p.Others, pod.Name)
		}
	}
	return nil
}
