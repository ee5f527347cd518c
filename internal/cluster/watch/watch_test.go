package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// bench is a namespace with a simulated kubelet.
type bench struct {
	*testing.T
	cp    *controlplane.ControlPlane
	kube  kubernetes.Interface
	ns    string
	story *story
}

// story records what a Reporter reports.
type story struct {
	mu     sync.Mutex
	events []pipeline.Event
	heard  chan string // every text, for a test to wait on
}

func (s *story) Emit(e pipeline.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	text := e.Text
	if e.Table != nil {
		text = fmt.Sprint(e.Table.Rows)
	}
	select {
	case s.heard <- text:
	default:
	}
}

// await returns once something was reported that contains text.
func (s *story) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case <-limit:
			t.Fatalf("%q was not reported", text)
		case heard := <-s.heard:
			if strings.Contains(heard, text) {
				return
			}
		}
	}
}

func (s *story) has(kind pipeline.Kind, text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.events, func(e pipeline.Event) bool { return e.Kind == kind && strings.Contains(e.Text, text) })
}

func newBench(t *testing.T, cp *controlplane.ControlPlane) *bench {
	t.Helper()
	kube := cptest.Kube(t, cp)
	ns := cptest.Namespace(t, kube, nil)
	cptest.Kubelet(t, kube, ns)
	return &bench{T: t, cp: cp, kube: kube, ns: ns, story: &story{heard: make(chan string, 1000)}}
}

func deployment(image string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": "w"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "w"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				NodeName: "node1",
				Containers: []corev1.Container{{Name: "c", Image: image, ReadinessProbe: &corev1.Probe{
					ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}}}}},
			}},
		},
	}
}

func (b *bench) create(d *appsv1.Deployment) *workload.Workload {
	b.Helper()
	for i := range d.Spec.Template.Spec.Containers {
		if p := d.Spec.Template.Spec.Containers[i].ReadinessProbe; p != nil && p.TCPSocket != nil {
			p.TCPSocket.Port.IntVal = 3111
		}
	}
	d, err := b.kube.AppsV1().Deployments(b.ns).Create(b.Context(), d, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return &workload.Workload{Deployment: d}
}

// observed waits until the controller has observed the Deployment, however busy the machine
// is.
func (b *bench) observed() {
	b.Helper()
	w, err := b.kube.AppsV1().Deployments(b.ns).Watch(b.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if d, ok := e.Object.(*appsv1.Deployment); ok && d.Status.ObservedGeneration >= d.Generation {
			return
		}
	}
	b.Fatal("the watch ended before the controller saw the Deployment")
}

// image rolls out another image and returns the Deployment from the answer.
func (b *bench) image(ref string) *workload.Workload {
	b.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"c","image":%q}]}}}}`, ref)
	d, err := b.kube.AppsV1().Deployments(b.ns).Patch(context.Background(), "w", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		b.Fatal(err)
	}
	return &workload.Workload{Deployment: d}
}

func (b *bench) rollout(o watch.Options) (watch.Result, error) {
	o.Reporter = pipeline.NewReporter("watch", b.story)
	if o.Timeout == 0 {
		o.Timeout = 60 * time.Second
	}
	return watch.Rollout(b.Context(), b.kube, o)
}

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

func TestGood(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	r, err := b.rollout(watch.Options{Applied: b.create(deployment("x/w:1", 2))})
	if err != nil || r.Verdict.State != verdict.Complete || r.Verdict.Ready != 2 || len(r.NewPods()) != 2 {
		t.Fatalf("%+v %v", r.Verdict, err)
	}
	first := r.NewPods()[0].Name
	// The next rollout replaces all pods.
	r, err = b.rollout(watch.Options{Applied: b.image("x/w:2")})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.NewPods() {
		if p.Name == first || p.Spec.Containers[0].Image != "x/w:2" {
			t.Fatalf("%s of the old revision", p.Name)
		}
	}
	// If the image is already live, the wait ends at once.
	if r, err = b.rollout(watch.Options{Applied: b.image("x/w:2")}); err != nil || r.Verdict.State != verdict.Complete {
		t.Fatalf("%+v %v", r.Verdict, err)
	}
	if !b.story.has(pipeline.Tabled, "") {
		t.Error("no table of pods was reported")
	}
}

func TestMissingImageWhileOldRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	if _, err := b.rollout(watch.Options{Applied: b.create(deployment("x/w:1", 1))}); err != nil {
		t.Fatal(err)
	}
	r, err := b.rollout(watch.Options{Applied: b.image("x/w:missing")})
	if code(err) != "image-not-found" || !errors.Is(err, watch.ErrFailed) || len(r.Verdict.Old) != 1 {
		t.Fatalf("%v %+v", err, r.Verdict)
	}
}

func TestWrongArchitectureIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	reads := 0
	_, err := b.rollout(watch.Options{Applied: b.create(deployment("x/w:crash", 3)), Log: func(_ context.Context, c verdict.Container, _ bool) (string, error) {
		reads++
		return "exec /worker: exec format error\n", nil
	}})
	if code(err) != "exec-format" || reads > 3 {
		t.Fatalf("%v after %d logs", err, reads)
	}
}

func TestUnreadableLogIsNoCause(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	_, err := b.rollout(watch.Options{Applied: b.create(deployment("x/w:crash", 1)), Log: func(context.Context, verdict.Container, bool) (string, error) {
		return "", errors.New("no kubelet")
	}})
	if code(err) != "crash-loop" {
		t.Fatal(err)
	}
}

func TestTimeoutSaysWhatWasWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	applied := b.create(deployment("x/w:pending", 1))
	b.observed()
	_, err := b.rollout(watch.Options{Applied: applied, Timeout: 2 * time.Second})
	if code(err) != "rollout-timeout" || !strings.Contains(err.Error(), "available: 0 of 1") {
		t.Fatal(err)
	}
}

func TestEndOfContext(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	why := errors.New("somebody pressed a key")
	ctx, cancel := context.WithCancelCause(t.Context())
	applied := b.create(deployment("x/w:pending", 1))
	meanwhile(t, func() {
		b.story.await(t, "waiting for")
		cancel(why)
	})
	_, err := watch.Rollout(ctx, b.kube, watch.Options{Applied: applied, Reporter: pipeline.NewReporter("watch", b.story)})
	if !errors.Is(err, why) {
		t.Fatal(err)
	}
}

// meanwhile runs do concurrently with the test, which waits for it at the end.
func meanwhile(t *testing.T, do func()) {
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	t.Cleanup(func() { <-done })
}

func TestSupersededIsReported(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	applied := b.create(deployment("x/w:pending", 1))
	meanwhile(t, func() {
		b.story.await(t, "waiting for")
		// A change of the scale is ignored.
		if _, err := b.kube.AppsV1().Deployments(b.ns).Patch(context.Background(), "w", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
		b.story.await(t, "0 of 2")
		b.image("x/w:theirs")
	})
	_, err := b.rollout(watch.Options{Applied: applied})
	if code(err) != "superseded" || !strings.Contains(err.Error(), `"somebody"`) {
		t.Fatal(err)
	}
}

// A restart, or a controller that adds a variable, leaves the image alone, so the rollout is
// followed to its end.
func TestTemplateChangedWithOurImage(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	if _, err := b.rollout(watch.Options{Applied: b.create(deployment("x/w:1", 1))}); err != nil {
		t.Fatal(err)
	}
	applied := b.image("x/w:2")
	patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"STAKATER_SECRET","value":"1"}]}]}}}}`)
	if _, err := b.kube.AppsV1().Deployments(b.ns).Patch(t.Context(), "w", types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "Reloader"}); err != nil {
		t.Fatal(err)
	}
	r, err := b.rollout(watch.Options{Applied: applied})
	if err != nil || r.Verdict.State != verdict.Complete {
		t.Fatalf("%v %+v", err, r.Verdict)
	}
	var found *pipeline.Finding
	for _, e := range b.story.events {
		if e.Finding != nil {
			found = e.Finding
		}
	}
	if found == nil || found.Code != watch.CodeTemplateChanged || !strings.Contains(found.Why, "Reloader") || !strings.Contains(found.Why, "env[STAKATER_SECRET]") {
		t.Errorf("%+v", found)
	}
}

func TestDeletedIsReported(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	applied := b.create(deployment("x/w:pending", 1))
	meanwhile(t, func() {
		b.story.await(t, "waiting for")
		if err := b.kube.AppsV1().Deployments(b.ns).Delete(context.Background(), "w", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	if _, err := b.rollout(watch.Options{Applied: applied}); code(err) != "workload-replaced" {
		t.Fatal(err)
	}
}

func TestOldPodsThatTerminateSlowly(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	d := deployment("x/w:1", 1)
	d.Spec.Template.Annotations = map[string]string{"cptest/slow-end": "true"}
	if _, err := b.rollout(watch.Options{Applied: b.create(d)}); err != nil {
		t.Fatal(err)
	}
	applied := b.image("x/w:2")
	r, err := b.rollout(watch.Options{Applied: applied})
	if err != nil || len(r.Verdict.Ending)+len(r.Verdict.Old) != 1 {
		t.Fatalf("%v %+v: ending slowly is not a failure", err, r.Verdict)
	}
	o := watch.Options{Applied: applied, Timeout: time.Second}
	if r, err = watch.OldGone(t.Context(), b.kube, o); code(err) != "old-pods-left" || len(r.Verdict.Ending) != 1 {
		t.Fatalf("%v %+v", err, r.Verdict)
	}
	old := r.Verdict.Ending[0]
	if old.Left <= 0 || old.Left > 30*time.Second {
		t.Errorf("%s left of 30 s of grace", old.Left)
	}
	now := int64(0)
	if err := b.kube.CoreV1().Pods(b.ns).Delete(t.Context(), old.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	o.Timeout = time.Minute
	if r, err = watch.OldGone(t.Context(), b.kube, o); err != nil || len(r.Verdict.Ending) != 0 {
		t.Fatalf("%v %+v", err, r.Verdict)
	}
}

// A user who may not see pods, or which of them are new, still gets an answer.
func TestFewPermissions(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	grant(t, b, "alice", []string{"deployments", "replicasets"})
	grant(t, b, "bob", []string{"deployments", "pods"})
	applied := b.create(deployment("x/w:1", 1))
	for _, user := range []string{"alice", "bob"} {
		kube, err := cptest.Connect(t, b.cp, user, b.ns).Kube()
		if err != nil {
			t.Fatal(err)
		}
		r, err := watch.Rollout(t.Context(), kube, watch.Options{Applied: applied, Timeout: time.Minute, Reporter: pipeline.NewReporter("watch", b.story)})
		if err != nil || r.Verdict.State != verdict.Complete || !r.Snapshot.PodsUnknown {
			t.Fatalf("%s: %v %+v", user, err, r.Verdict)
		}
	}
	nobody, err := cptest.Connect(t, b.cp, "nobody", b.ns).Kube()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = watch.Rollout(t.Context(), nobody, watch.Options{Applied: applied, Timeout: time.Minute}); code(err) != "cluster-forbidden" {
		t.Fatal(err)
	}
}
