package warmup

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestMain(m *testing.M) { os.Exit(cptest.Main(m)) }

// Nothing that might be the worker is executed.
func TestCommand(t *testing.T) {
	for _, test := range []struct{ argv, want string }{
		{"bun /serve.js", "bun --version"},
		{"/usr/local/bin/node dist/index.js", "/usr/local/bin/node --version"},
		{"java -jar worker.jar", "java -version"},
		{"/worker serve", "/bin/sh -c exit 0"},
		{"docker-entrypoint.sh node index.js", "/bin/sh -c exit 0"},
		{"/app/bunny", "/bin/sh -c exit 0"},
		{"", "/bin/sh -c exit 0"},
	} {
		if got := strings.Join(Command(strings.Fields(test.argv)), " "); got != test.want {
			t.Errorf("%q: %q", test.argv, got)
		}
	}
}

func template() *corev1.PodTemplateSpec {
	no, grace := false, int64(600)
	return &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "worker"}, Annotations: map[string]string{"a": "b"}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"disk": "ssd"}, Tolerations: []corev1.Toleration{{Key: "gpu"}},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "ghcr-pull"}}, TerminationGracePeriodSeconds: &grace,
			Volumes: []corev1.Volume{{Name: "data"}}, InitContainers: []corev1.Container{{Name: "first", Image: "x/first"}},
			Affinity: &corev1.Affinity{
				PodAntiAffinity: &corev1.PodAntiAffinity{},
				NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{
						{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "a"}}}, {MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "b"}}},
					}}},
			},
			Containers: []corev1.Container{{Name: "side", Image: "x/side"}, {
				Name: "worker", Image: "x/w:1", Args: []string{"serve"}, Env: []corev1.EnvVar{{Name: "KEY"}}, Ports: []corev1.ContainerPort{{ContainerPort: 3111}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no}, VolumeMounts: []corev1.VolumeMount{{Name: "data"}},
				Lifecycle: &corev1.Lifecycle{}, ReadinessProbe: &corev1.Probe{},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}},
			}},
		},
	}
}

func options() Options {
	return Options{
		Ref: workload.Ref{Kind: workload.Deployment, Namespace: "ns", Name: "worker"}, Template: template(), Container: "worker",
		Image: "x/w:2", Argv: []string{"bun", "/serve.js"}, By: "ann@laptop pid 7", Timeout: 3 * time.Minute,
		Reporter: pipeline.NewReporter("prepull", pipeline.Discard),
	}
}

// The pod pulls and starts as the worker's would, and is nothing else that the worker is.
func TestPod(t *testing.T) {
	o := options()
	before := o.Template.DeepCopy()
	p := Pod(o, "node1")
	if _, is := p.Labels["app"]; is || p.OwnerReferences != nil || *p.Spec.ActiveDeadlineSeconds != 180 || p.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("%+v", p)
	}
	c := p.Spec.Containers[0]
	if len(p.Spec.Containers) != 1 || c.Image != "x/w:2" || !slices.Equal(c.Command, []string{"bun", "--version"}) || c.Args != nil || c.Env != nil || c.Ports != nil ||
		c.VolumeMounts != nil || c.ReadinessProbe != nil || c.Lifecycle != nil || c.SecurityContext == nil || c.Resources.Requests == nil {
		t.Errorf("%+v", c)
	}
	if p.Spec.Volumes != nil || p.Spec.InitContainers != nil || p.Spec.ImagePullSecrets == nil || p.Spec.NodeSelector == nil || p.Spec.Tolerations == nil ||
		p.Spec.Affinity.PodAntiAffinity != nil || *p.Spec.AutomountServiceAccountToken {
		t.Errorf("%+v", p.Spec)
	}
	terms := p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	for _, term := range terms {
		if len(term.MatchExpressions) != 1 || len(term.MatchFields) != 1 || term.MatchFields[0].Values[0] != "node1" {
			t.Errorf("%+v", term)
		}
	}
	if len(terms) != 2 || len(before.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields) !=
		len(o.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields) {
		t.Error("the template was changed")
	}
	if a := Pod(o, "").Spec.Affinity.NodeAffinity; a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields != nil {
		t.Errorf("%+v", a)
	}
	o.Template.Spec.Containers[1].Command = []string{"/app/worker"}
	if c := Pod(o, "").Spec.Containers[0]; c.Command[0] != "/bin/sh" {
		t.Errorf("the manifest's command starts the worker: %v", c.Command)
	}
	o.Container = "none"
	if p := Pod(o, ""); p != nil {
		t.Errorf("%+v", p)
	}
}

func TestEnded(t *testing.T) {
	for _, test := range []struct {
		name     string
		exit     int32
		message  string
		executed bool
		code     pipeline.Code
	}{
		{"it runs", 0, "", true, ""},
		{"another architecture", 1, "exec /usr/local/bin/bun: exec format error", false, verdict.CodeExecFormat},
		{"runc's words", 128, `failed to create task: OCI runtime create failed: exec: "/bin/sh": Exec format error: unknown`, false, verdict.CodeExecFormat},
		{"no shell", 128, `exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown`, false, ""},
		{"the runtime crashes", 139, "segmentation fault", false, ""},
	} {
		pod := Pod(options(), "")
		p, done, err := ended(t.Context(), nil, options(), pod, &corev1.ContainerStateTerminated{ExitCode: test.exit, Message: test.message})
		f, _ := errors.AsType[*pipeline.Finding](err)
		switch {
		case !done || p.Executed != test.executed || (f != nil) != (test.code != ""):
			t.Errorf("%s: %+v %v", test.name, p, err)
		case f != nil && f.Code != test.code:
			t.Errorf("%s: %s", test.name, f.Code)
		case f == nil && !p.Executed && p.Why == "":
			t.Errorf("%s: nothing says what is not known", test.name)
		}
	}
}

// place is a namespace with a simulated kubelet.
func place(t *testing.T, labels map[string]string) (kubernetes.Interface, Options) {
	t.Helper()
	kube := cptest.Kube(t, cptest.Shared(t))
	ns := cptest.Namespace(t, kube, labels)
	cptest.Kubelet(t, kube, ns)
	o := options()
	o.Ref.Namespace, o.Template = ns, &corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeName: "node1", Containers: []corev1.Container{{Name: "worker", Image: "x/w:1"}}}}
	return kube, o
}

func left(t *testing.T, kube kubernetes.Interface, o Options) []*corev1.Pod {
	t.Helper()
	all, err := Left(t.Context(), kube, o.Ref)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPullFails(t *testing.T) {
	kube, o := place(t, nil)
	o.Image = "x/w:missing"
	_, err := Run(t.Context(), kube, o)
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != verdict.CodeImageNotFound {
		t.Errorf("%v", err)
	}
	if all := left(t, kube, o); len(all) > 0 {
		t.Errorf("%d pods are left", len(all))
	}
}

// An interrupt deletes the pod, whatever it was doing.
func TestInterrupted(t *testing.T) {
	kube, o := place(t, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { // the pod runs for as long as nobody interrupts it
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if all, err := Left(ctx, kube, o.Ref); err != nil || len(all) > 0 {
				cancel(pipeline.ErrInterrupted)
				return
			}
		}
	}()
	if _, err := Run(ctx, kube, o); !errors.Is(err, pipeline.ErrInterrupted) {
		t.Errorf("%v", err)
	}
	if all := left(t, kube, o); len(all) > 0 {
		t.Errorf("%d pods are left", len(all))
	}
}

// A policy that rejects this pod may not reject the worker's, which has another template.
func TestRejected(t *testing.T) {
	kube, o := place(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	proofs, err := Run(t.Context(), kube, o)
	if err != nil || len(proofs) != 1 || !strings.Contains(proofs[0].Skipped, "PodSecurity") {
		t.Errorf("%+v %v", proofs, err)
	}
}

// The pod of a killed run is found by the next one, and that of another workload is not.
func TestLeft(t *testing.T) {
	kube, o := place(t, nil)
	for _, name := range []string{"worker", "another"} {
		other := o
		other.Ref.Name = name
		if _, err := kube.CoreV1().Pods(o.Ref.Namespace).Create(t.Context(), Pod(other, ""), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	all := left(t, kube, o)
	if len(all) != 1 || Finding(all[0]).Code != CodeLeft || !strings.Contains(Finding(all[0]).Why, "ann@laptop") {
		t.Fatalf("%+v", all)
	}
	if err := Delete(t.Context(), kube, all); err != nil {
		t.Fatal(err)
	}
	if all = left(t, kube, o); len(all) > 0 {
		t.Errorf("%d pods are left", len(all))
	}
}
