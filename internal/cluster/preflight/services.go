package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// CodeService is reported when a Service of the manifest reaches nothing.
const CodeService pipeline.Code = "service-unmatched"

// Services finds Services in a manifest that select no pod, or that point at a
// port that the selected pods do not have. The API server accepts both, and
// nothing answers behind them. A Service may also be for pods that another
// manifest creates, so running pods count.
func Services(ctx context.Context, kube kubernetes.Interface, objects []apply.Object) ([]*pipeline.Finding, error) {
	var found []*pipeline.Finding
	templates := podTemplates(objects)
	for _, o := range objects {
		if o.GetKind() != "Service" || o.GetAPIVersion() != "v1" {
			continue
		}
		var svc corev1.Service
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &svc) != nil {
			continue // not valid; the dry run reports it
		}
		if len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
			continue // something else creates its endpoints
		}
		selector := labels.SelectorFromSet(svc.Spec.Selector)
		var selected []*corev1.PodTemplateSpec
		for _, t := range templates[o.GetNamespace()] {
			if selector.Matches(labels.Set(t.Labels)) {
				selected = append(selected, t)
			}
		}
		if len(selected) == 0 {
			pods, err := kube.CoreV1().Pods(o.GetNamespace()).List(ctx, metav1.ListOptions{LabelSelector: selector.String(), Limit: 1})
			if f := unread("whether pods match the selector of Service "+svc.Name, err); f != nil {
				found = append(found, f)
				continue
			}
			if err != nil {
				return found, cluster.Explain("list the pods of Service "+svc.Name, err)
			}
			if len(pods.Items) == 0 {
				found = append(found, finding(
					pipeline.Warning,
					CodeService,
					apply.Where(o, "spec.selector"),
					"Service "+svc.Name+" selects no pods",
					"no pod template in the manifest and no running pod has the labels "+selector.String(),
					"correct spec.selector, or the labels of the pod template",
				))
			}
			continue
		}
		for i, p := range svc.Spec.Ports {
			if slices.ContainsFunc(selected, func(t *corev1.PodTemplateSpec) bool { return hasPort(t, p) }) {
				continue
			}
			found = append(found, finding(pipeline.Warning, CodeService, apply.Where(o, fmt.Sprintf("spec.ports[%d]", i)),
				fmt.Sprintf("Service %s points to port %s, which its pods do not have", svc.Name, target(p)),
				"they have "+ports(selected), "correct targetPort, or the container's ports"))
		}
	}
	return found, nil
}

// podTemplates collects the templates from which the manifest creates pods, by
// namespace.
func podTemplates(objects []apply.Object) map[string][]*corev1.PodTemplateSpec {
	all := map[string][]*corev1.PodTemplateSpec{}
	for _, o := range objects {
		for _, path := range [][]string{{"spec", "template"}, {"spec", "jobTemplate", "spec", "template"}, nil} {
			raw := o.Object
			if path != nil {
				inner, ok := nested(o.Object, path...)
				if !ok {
					continue
				}
				raw = inner
			} else if o.GetKind() != "Pod" {
				continue
			}
			var t corev1.PodTemplateSpec
			if runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &t) == nil {
				all[o.GetNamespace()] = append(all[o.GetNamespace()], &t)
			}
		}
	}
	return all
}

func nested(object map[string]any, path ...string) (map[string]any, bool) {
	for _, key := range path {
		inner, ok := object[key].(map[string]any)
		if !ok {
			return nil, false
		}
		object = inner
	}
	return object, true
}

// hasPort reports whether pods have the port. A named port must exist. A number need not be
// declared, so it is only wrong if other ports are declared.
func hasPort(t *corev1.PodTemplateSpec, p corev1.ServicePort) bool {
	declared := false
	for _, list := range [][]corev1.Container{t.Spec.Containers, t.Spec.InitContainers} {
		for _, c := range list {
			for _, have := range c.Ports {
				declared = true
				if p.TargetPort.Type == intstr.String && have.Name == p.TargetPort.StrVal ||
					p.TargetPort.Type == intstr.Int && have.ContainerPort == number(p) {
					return true
				}
			}
		}
	}
	return !declared && p.TargetPort.Type == intstr.Int
}

func number(p corev1.ServicePort) int32 {
	if p.TargetPort.IntVal == 0 {
		return p.Port
	}
	return p.TargetPort.IntVal
}

func target(p corev1.ServicePort) string {
	if p.TargetPort.Type == intstr.String {
		return p.TargetPort.StrVal
	}
	return fmt.Sprint(number(p))
}

func ports(templates []*corev1.PodTemplateSpec) string {
	var all []string
	for _, t := range templates {
		for _, c := range t.Spec.Containers {
			for _, p := range c.Ports {
				text := fmt.Sprint(p.ContainerPort)
				if p.Name != "" {
					text = p.Name + " (" + text + ")"
				}
				if !slices.Contains(all, text) {
					all = append(all, text)
				}
			}
		}
	}
	if len(all) == 0 {
		return "no named ports"
	}
	return strings.Join(all, ", ")
}
