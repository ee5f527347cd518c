package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

const (
	indexDigest    = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	manifestDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	configDigest   = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

func pod(name, node, imageID string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}, Spec: corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "sidecar", ImageID: "other"}, {Name: "c", ImageID: imageID}}}}
}

func codes(err error) []string {
	var all []string
	for _, f := range pipeline.AsFindings("probe", err) {
		all = append(all, string(f.Code))
	}
	return all
}

const healthPage = `{"service":"system-bus","status":"running","functions":["b","a"],"count":2,"worker":{"role":"cluster","duplicateFunctionIds":[],"hasDuplicateFunctionIds":false}}`

func TestCompareImages(t *testing.T) {
	digests := []string{indexDigest, manifestDigest, configDigest}
	tests := []struct {
		imageID string
		digests []string
		code    string
	}{
		{"ghcr.io/o/w@" + indexDigest, digests, ""},
		{"ghcr.io/o/w@" + manifestDigest, digests, ""},
		{configDigest, digests, ""}, // imported on the node by hand
		{"docker-pullable://ghcr.io/o/w@" + indexDigest, digests, ""},
		{"ghcr.io/o/w@sha256:4444", digests, "probe-image"},
		{"", digests, "probe-image"},
		{"ghcr.io/o/w@sha256:4444", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.imageID, func(t *testing.T) {
			o := Options{Pods: []*corev1.Pod{pod("p", "n", tt.imageID)}, Container: "c", Digests: tt.digests}
			answers, err := run(t.Context(), o, func(context.Context, string) (response, error) { return response{status: 200}, nil })
			if got := strings.Join(codes(err), " "); got != tt.code || answers[0].Problem != tt.code || answers[0].ImageID != tt.imageID {
				t.Fatalf("%q, %+v", got, answers[0])
			}
		})
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name string
		r    response
		o    Options
		code string
	}{
		{"ok", response{status: 200, body: []byte("fine")}, Options{}, ""},
		{"redirect", response{status: 302}, Options{}, ""},
		{"expected", response{status: 200, body: []byte("version 7")}, Options{Expect: "version 7"}, ""},
		{"unexpected", response{status: 200, body: []byte("version 6")}, Options{Expect: "version 7"}, "probe-expect"},
		{"not found", response{status: 404, body: []byte("no\x1b[31m such healthPage")}, Options{}, "probe-status"},
		{"server error", response{status: 500}, Options{}, "probe-status"},
		{"health", response{status: 200, body: []byte(healthPage)}, Options{}, ""},
		{"an open port", response{}, Options{Type: worker.ProbeTCP}, ""},
		{"h2c", response{status: 503}, Options{Type: worker.ProbeH2C}, "probe-status"},
		{"duplicates", response{status: 200, body: []byte(strings.Replace(healthPage, `Ids":[]`, `Ids":["a"]`, 1))}, Options{}, "probe-duplicates"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.o.Pods, tt.o.Port, tt.o.Path = []*corev1.Pod{pod("p", "n", "")}, 3111, "health"
				answers, err := run(t.Context(), tt.o, func(context.Context, string) (response, error) { return tt.r, nil })
				if got := strings.Join(codes(err), " "); got != tt.code {
					t.Fatalf("%q", got)
				}
				if answers[0].Status != tt.r.status {
					t.Fatalf("%+v", answers[0])
				}
				if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
					t.Errorf("control characters in %q", err)
				}
			})
		})
	}
}

// TestNoProbe checks that no pod is asked, but that the images are compared
// nevertheless.
func TestNoProbe(t *testing.T) {
	ask := func(context.Context, string) (response, error) {
		t.Error("a pod was asked")
		return response{}, nil
	}
	o := Options{Type: worker.ProbeNone, Container: "c", Digests: []string{indexDigest}, Pods: []*corev1.Pod{pod("a", "n", indexDigest), pod("b", "n", "sha256:4444")}}
	answers, err := run(t.Context(), o, ask)
	if got := codes(err); !cmp.Equal(got, []string{"probe-image"}) || answers[0].Problem != "" || answers[0].Type != "none" {
		t.Fatalf("%v, %+v", got, answers)
	}
}

// TestAccepted checks that it only matters whether a connection was accepted, not
// what happens on it afterwards.
func TestAccepted(t *testing.T) {
	refused := errors.New("connect: connection refused")
	for name, tt := range map[string]struct {
		do   func(far net.Conn)
		want error
	}{
		"speaks first": {func(far net.Conn) { _, _ = far.Write([]byte("SSH-2.0")) }, nil},
		"hangs up":     {func(far net.Conn) { _ = far.Close() }, nil},
		"is quiet":     {func(net.Conn) {}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			go tt.do(far)
			if err := accepted(t.Context(), near); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	if err := accepted(t.Context(), complaining{err: refused}); !errors.Is(err, refused) {
		t.Error(err)
	}
}

type complaining struct {
	net.Conn
	err error
}

func (c complaining) Read([]byte) (int, error) { return 0, c.err }

// TestRetries checks that retries continue within the budget and stop at a final
// error.
func TestRetries(t *testing.T) {
	tests := []struct {
		name     string
		budget   time.Duration
		ask      func(try int) (response, error)
		code     string
		attempts int
	}{
		{"comes up", 0, func(try int) (response, error) {
			if try < 5 {
				return response{}, errors.New("connection refused")
			}
			return response{status: 200}, nil
		}, "", 5},
		{"never up", 3 * time.Second, func(int) (response, error) { return response{}, errors.New("connection refused") }, "probe-unreachable", 5},
		{"never well", 3 * time.Second, func(int) (response, error) { return response{status: 503}, nil }, "probe-status", 5},
		{"forbidden", 0, func(int) (response, error) {
			return response{}, &pipeline.Finding{Code: "probe-forbidden", Err: errFinal}
		}, "probe-forbidden", 1},
		{"duplicates", 0, func(int) (response, error) {
			return response{status: 200, body: []byte(`{"count":1,"worker":{"hasDuplicateFunctionIds":true}}`)}, nil
		}, "probe-duplicates", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				try := 0
				start := time.Now()
				answers, err := run(t.Context(), Options{Pods: []*corev1.Pod{pod("p", "n", "")}, Budget: tt.budget}, func(context.Context, string) (response, error) {
					try++
					return tt.ask(try)
				})
				if got := strings.Join(codes(err), " "); got != tt.code || answers[0].Attempts != tt.attempts {
					t.Fatalf("%q after %d tries (%v)", got, answers[0].Attempts, err)
				}
				if tt.budget != 0 && time.Since(start) != tt.budget {
					t.Errorf("took %s of a budget of %s", time.Since(start), tt.budget)
				}
			})
		})
	}
}

// A pod of a ReplicaSet that was deleted meanwhile never comes back. A StatefulSet
// gives its name to the next one.
func TestAPodThatIsGone(t *testing.T) {
	for kind, attempts := range map[string]int{"ReplicaSet": 1, "StatefulSet": 3} {
		synctest.Test(t, func(t *testing.T) {
			p, controller := pod("p", "n", ""), true
			p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "o", Controller: &controller}}
			try := 0
			answers, err := run(t.Context(), Options{Pods: []*corev1.Pod{p}}, func(context.Context, string) (response, error) {
				if try++; try < 3 {
					return response{}, apierrors.NewNotFound(corev1.Resource("pods"), "p")
				}
				return response{status: 200}, nil
			})
			if answers[0].Attempts != attempts || (err == nil) != (attempts > 1) {
				t.Errorf("%s: %d tries, %v", kind, answers[0].Attempts, err)
			}
			if err != nil && !slices.Equal(codes(err), []string{string(CodeUnreachable)}) {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
}

func TestATryThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := run(t.Context(), Options{Pods: []*corev1.Pod{pod("p", "n", "")}, Budget: 12 * time.Second}, func(ctx context.Context, _ string) (response, error) {
			<-ctx.Done()
			return response{}, ctx.Err()
		})
		if got := strings.Join(codes(err), " "); got != "probe-unreachable" {
			t.Fatal(err)
		}
	})
}

func TestEndOfContext(t *testing.T) {
	why := errors.New("a key was pressed")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := run(ctx, Options{Pods: []*corev1.Pod{pod("p", "n", "")}}, func(context.Context, string) (response, error) {
		cancel(why)
		return response{}, errors.New("no")
	})
	if !errors.Is(err, why) {
		t.Fatal(err)
	}
}

func TestNoPods(t *testing.T) {
	if _, err := Run(t.Context(), nil, Options{}); strings.Join(codes(err), "") != "probe-no-pods" {
		t.Fatal(err)
	}
}

// TestManyPods checks that every pod that fails is named, that the others are
// asked nevertheless, and that not too many are asked at once.
func TestManyPods(t *testing.T) {
	var pods []*corev1.Pod
	for i := range 20 {
		pods = append(pods, pod(fmt.Sprintf("p%02d", i), "n", ""))
	}
	var now, most atomic.Int32
	gate := make(chan struct{})
	var once sync.Once
	answers, err := run(t.Context(), Options{Pods: pods, Budget: time.Minute}, func(_ context.Context, name string) (response, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		if n == concurrency {
			once.Do(func() { close(gate) })
		}
		<-gate
		if name == "p03" || name == "p17" {
			return response{status: 200, body: []byte(`{"count":1,"worker":{"hasDuplicateFunctionIds":true}}`)}, nil
		}
		return response{status: 200, body: []byte(healthPage)}, nil
	})
	if got := codes(err); !cmp.Equal(got, []string{"probe-duplicates", "probe-duplicates"}) {
		t.Fatal(got)
	}
	if most.Load() != concurrency {
		t.Errorf("%d at once, want %d", most.Load(), concurrency)
	}
	for i, a := range answers {
		if a.Pod != pods[i].Name || a.Health == nil || a.UID == "" {
			t.Errorf("%d: %+v", i, a)
		}
	}
}

func TestSampleSpreadsOverNodes(t *testing.T) {
	o := Options{Max: 3}
	for i, node := range []string{"n1", "n1", "n1", "n2", "n3"} {
		o.Pods = append(o.Pods, pod(fmt.Sprint("p", i), node, ""))
	}
	if got := o.sample(); !cmp.Equal(got, map[string]bool{"p0": true, "p3": true, "p4": true}) {
		t.Error(got)
	}
	o.Max = -1
	if got := o.sample(); len(got) != 5 {
		t.Error(got)
	}
}

func TestParseHealth(t *testing.T) {
	tests := []struct {
		body string
		want *Health
	}{
		{healthPage, &Health{Role: "cluster", Count: 2, Functions: []string{"a", "b"}, Duplicates: []string{}}},
		{`{"count":3,"worker":{"role":"host"}}`, &Health{Role: "host", Count: 3}},
		{`{"functions":[{"id":"x"},{"name":"y"},7],"worker":{"role":"r"}}`, &Health{Role: "r", Count: 2, Functions: []string{"x", "y"}}},
		{`{"worker":{"role":"r"}}`, nil},
		{`{"count":1}`, nil},
		{`{"status":"ok"}`, nil},
		{`OK`, nil},
		{``, nil},
		{`[]`, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, parseHealth([]byte(tt.body))); diff != "" {
			t.Errorf("%s: %s", tt.body, diff)
		}
	}
}

func FuzzParseHealth(f *testing.F) {
	f.Add([]byte(healthPage))
	f.Add([]byte(`{"functions":[null,{}],"worker":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if h := parseHealth(body); h != nil && h.String() == "" {
			t.Error("no words")
		}
		if text := excerpt(body); strings.ContainsAny(text, "\x1b\n\r\x00") || len([]rune(text)) > 301 {
			t.Errorf("%q", text)
		}
	})
}
