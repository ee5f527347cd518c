package conn

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func deployment() *workload.Workload {
	labels := map[string]string{"app": "worker"}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "joelclaw", Name: "worker"}}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	d.Spec.Template.Labels = map[string]string{"app": "worker", "tier": "back"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "worker", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 3111}}}}
	return &workload.Workload{Deployment: d}
}

func pod(name string, ready bool, labels map[string]string) runtime.Object {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "joelclaw", Name: name, Labels: labels}}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

func serviceWith(selector map[string]string, target intstr.IntOrString) *corev1.Service {
	s := service("joelclaw", "worker").(*corev1.Service)
	s.Spec.Selector = selector
	s.Spec.Ports = []corev1.ServicePort{{Port: 3111, TargetPort: target}}
	return s
}

// TestUnreadPath: a path that the user may not read is reported as unknown and
// does not refuse anything.
func TestUnreadPath(t *testing.T) {
	kube := fake.NewClientset()
	kube.PrependReactor("get", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "worker", errors.New("no"))
	})
	p := judge.Path{URL: "http://worker:3111/api/inngest", Server: "joelclaw"}
	err := readPath(t.Context(), kube, deployment(), nil, &p)
	if !isForbidden(err) {
		t.Fatalf("error %v", err)
	}
	if f := unread(p.URL, err); f.Code != model.CodePathUnproven || f.Severity != pipeline.Warning {
		t.Errorf("%+v", f)
	}
}

// TestReadPath reads a path from a cluster and judges it.
func TestReadPath(t *testing.T) {
	worker := map[string]string{"app": "worker"}
	good := serviceWith(worker, intstr.FromString("http"))
	named := *good
	named.Spec.Type = corev1.ServiceTypeExternalName
	for name, c := range map[string]struct {
		url     string
		server  string // the server's namespace
		service *corev1.Service
		pods    []runtime.Object
		want    string // expected in the reason; empty for a complete path
	}{
		"whole":                               {url: "http://worker:3111/api/inngest", service: good},
		"by the full name":                    {url: "http://worker.joelclaw.svc.cluster.local:3111/api/inngest", server: "inngest", service: good},
		"by the name and namespace":           {url: "http://worker.joelclaw:3111/api/inngest", server: "inngest", service: good},
		"a short name, the server elsewhere":  {url: "http://worker:3111/api/inngest", server: "inngest", service: good, want: "does not exist in namespace inngest"},
		"a misspelled host":                   {url: "http://wroker:3111/api/inngest", service: good, want: "Service wroker does not exist"},
		"a misspelled namespace":              {url: "http://worker.joelclow.svc:3111/api/inngest", service: good, want: "namespace joelclow"},
		"a public host of two labels":         {url: "https://acme.dev/api/inngest", service: good},
		"an address":                          {url: "http://10.0.0.7:3111/api/inngest", service: good},
		"an ExternalName":                     {url: "http://worker:3111/api/inngest", service: &named},
		"no selector":                         {url: "http://worker:3111/api/inngest", service: serviceWith(nil, intstr.FromInt(3111))},
		"another port":                        {url: "http://worker:3112/api/inngest", service: good, want: "does not have port 3112"},
		"a target port that no container has": {url: "http://worker:3111/api/inngest", service: serviceWith(worker, intstr.FromString("htpp")), want: `"htpp"`},
		"a selector for other pods":           {url: "http://worker:3111/api/inngest", service: serviceWith(map[string]string{"app": "wroker"}, intstr.FromInt(3111)), want: "selector"},
		"no pod that is ready":                {url: "http://worker:3111/api/inngest", service: good, pods: []runtime.Object{pod("worker-1", false, worker)}, want: "0 of its 1 pod"},
		"pods of others":                      {url: "http://worker:3111/api/inngest", service: serviceWith(map[string]string{"tier": "back"}, intstr.FromInt(3111)), pods: []runtime.Object{pod("worker-1", true, map[string]string{"app": "worker", "tier": "back"}), pod("cron-1", true, map[string]string{"app": "cron", "tier": "back"})}, want: "go to them as well"},
	} {
		pods := c.pods
		if pods == nil {
			pods = []runtime.Object{pod("worker-1", true, worker)}
		}
		kube := fake.NewClientset(append(pods, c.service, namespace("joelclaw"))...)
		p := judge.Path{URL: c.url, Server: c.server, Port: 3111}
		if p.Server == "" {
			p.Server = "joelclaw"
		}
		if err := readPath(t.Context(), kube, deployment(), nil, &p); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, f := range append(judge.JudgePath(p), judge.JudgeEndpoints(p)...) {
			got = append(got, f.Why)
		}
		if text := fmt.Sprint(got); c.want == "" && len(got) != 0 || !strings.Contains(text, c.want) || len(got) > 1 {
			t.Errorf("%s: %s, want %q", name, text, c.want)
		}
	}
}
