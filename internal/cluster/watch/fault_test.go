package watch_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// grant lets a user list and watch resources in the bench's namespace.
func grant(t *testing.T, b *bench, user string, resources []string) {
	t.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"", "apps"}, Resources: resources, Verbs: []string{"get", "list", "watch"}}}}
	if _, err := b.kube.RbacV1().Roles(b.ns).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: user, APIGroup: rbacv1.GroupName},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: user, APIGroup: rbacv1.GroupName}}}
	if _, err := b.kube.RbacV1().RoleBindings(b.ns).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The authorizer learns of the new role through a watch of its own.
	kube, err := cptest.Connect(t, b.cp, user, b.ns).Kube()
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(2 * time.Minute); ; {
		if _, err = kube.AppsV1().Deployments(b.ns).List(t.Context(), metav1.ListOptions{}); err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// wire counts and disturbs requests between client and API server.
type wire struct {
	http.RoundTripper
	requests atomic.Int64
	// gone is the number of watches that are answered with 410.
	gone atomic.Int64
	mu   sync.Mutex
	open []context.CancelFunc // of watches
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	watching := strings.Contains(r.URL.RawQuery, "watch=true")
	if watching && w.gone.Load() > 0 {
		w.gone.Add(-1)
		body := `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}`
		return &http.Response{StatusCode: http.StatusGone, Status: "410 Gone", Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(bytes.NewBufferString(body)), Request: r}, nil
	}
	if watching {
		ctx, cancel := context.WithCancel(r.Context())
		r = r.WithContext(ctx)
		w.mu.Lock()
		w.open = append(w.open, cancel)
		w.mu.Unlock()
	}
	return w.RoundTripper.RoundTrip(r)
}

// cut ends every watch that is open.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cancel := range w.open {
		cancel()
	}
	w.open = nil
}

func (b *bench) wired(w *wire) kubernetes.Interface {
	b.Helper()
	conn := cptest.Connect(b.T, b.cp, "admin", b.ns)
	conn.Config.WrapTransport = func(rt http.RoundTripper) http.RoundTripper { w.RoundTripper = rt; return w }
	kube, err := conn.Kube()
	if err != nil {
		b.Fatal(err)
	}
	return kube
}

// An expired resourceVersion and the end of a watch cost a new list and nothing more.
func TestExpiredVersion(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	w := &wire{}
	kube := b.wired(w)
	applied := b.create(deployment("x/w:pending", 1))
	meanwhile(t, func() {
		b.story.await(t, "waiting for new pods to become available")
		w.gone.Store(8)
		w.cut()
		// The pod becomes ready while nobody watches.
		b.makeReady()
	})
	r, err := watch.Rollout(t.Context(), kube, watch.Options{Applied: applied, Timeout: time.Minute, Reporter: pipeline.NewReporter("watch", b.story)})
	if err != nil || r.Verdict.State != verdict.Complete {
		t.Fatalf("%v %+v", err, r.Verdict)
	}
	if left := w.gone.Load(); left > 0 {
		t.Fatalf("%d of 8 refusals were never met", left)
	}
}

// makeReady does what the kubelet does not do for a "pending" pod.
func (b *bench) makeReady() {
	b.Helper()
	list, err := b.kube.CoreV1().Pods(b.ns).List(b.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) == 0 {
		b.Errorf("%d pods to make ready (%v)", len(list.Items), err)
		return
	}
	for i := range list.Items {
		pod := &list.Items[i]
		pod.Spec.Containers[0].Image = "x/w:good"
		status, _ := cptest.Status(pod)
		pod.Status = status
		if _, err := b.kube.CoreV1().Pods(b.ns).UpdateStatus(b.Context(), pod, metav1.UpdateOptions{}); err != nil {
			b.Error(err)
		}
	}
}

// A rollout waits for an API server that goes away and comes back, and reports that.
func TestAPIServerRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Start(t, cptest.Options(t)))
	applied := b.create(deployment("x/w:pending", 1))
	restarted := make(chan error, 1)
	meanwhile(t, func() {
		b.story.await(t, "waiting for new pods to become available")
		b.cp.KillAPIServer()
		b.story.await(t, "does not answer")
		err := b.cp.StartAPIServer(t.Context())
		if err == nil {
			b.makeReady()
		}
		restarted <- err
	})
	r, err := b.rollout(watch.Options{Applied: applied})
	if up := <-restarted; up != nil {
		t.Fatal(up)
	}
	if err != nil || r.Verdict.State != verdict.Complete {
		t.Fatalf("%v %+v", err, r.Verdict)
	}
	if !b.story.has(pipeline.Noted, "answers again") {
		t.Error("the recovery was not reported")
	}
}

// The number of requests depends on the number of kinds, not of pods.
func TestRequestsDoNotGrow(t *testing.T) {
	t.Parallel()
	count := map[int32]int64{}
	for _, replicas := range []int32{1, 40} {
		b := newBench(t, cptest.Shared(t))
		w := &wire{}
		kube := b.wired(w)
		applied := b.create(deployment("x/w:1", replicas))
		r, err := watch.Rollout(t.Context(), kube, watch.Options{Applied: applied, Timeout: time.Minute})
		if err != nil || r.Verdict.Ready != replicas {
			t.Fatalf("%v %+v", err, r.Verdict)
		}
		count[replicas] = w.requests.Load()
	}
	// Four kinds, with at most these each: a streaming list that the API server refuses
	// (with an old etcd), a list and a watch.
	if count[40] > 12 {
		t.Errorf("%d requests for 40 replicas, %d for one", count[40], count[1])
	}
}
