package apply_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// TestMovedMeanwhile: what somebody else writes between reading an object and applying it is
// not overwritten unseen. It is judged and kept as if it had been there before.
func TestMovedMeanwhile(t *testing.T) {
	refused := errors.New("their version")
	tests := []struct {
		name   string
		meddle func(*bench)
		accept bool
		gone   bool
	}{
		{"another image", func(b *bench) { b.kubectl("set", "image", "deployment/worker", "worker=example.test/w:hand") }, true, false},
		{"another image that is not accepted", func(b *bench) { b.kubectl("set", "image", "deployment/worker", "worker=example.test/w:hand") }, false, false},
		{"only its status", func(b *bench) {
			if _, err := b.kube.AppsV1().Deployments(b.ns).Patch(b.Context(), "worker", types.MergePatchType,
				[]byte(`{"status":{"collisionCount":1}}`), metav1.PatchOptions{}, "status"); err != nil {
				b.Fatal(err)
			}
		}, true, false},
		{"deleted", func(b *bench) { b.kubectl("delete", "deployment/worker", "--cascade=orphan") }, true, true},
	}
	for _, tt := range tests {
		for _, way := range []string{"manifest", "image"} {
			t.Run(tt.name+" "+way, func(t *testing.T) {
				b := newBench(t)
				b.image("example.test/w:1")
				b.apply(apply.Options{})
				uid := b.deployment().UID
				var kept []apply.Kept
				done := false
				o := apply.Options{Target: b.ref, Container: "worker", Existed: uid,
					Guard: func(context.Context) error { // the last thing before the write
						if !done {
							done = true
							tt.meddle(b)
						}
						return nil
					},
					Keep: func(k apply.Kept) error {
						if k.Name == "worker" && k.Kind == workload.Deployment {
							kept = append(kept, k)
						}
						return nil
					},
					Accept: func(w *workload.Workload) error {
						if tt.accept || w.Template().Spec.Containers[0].Image != "example.test/w:hand" {
							return nil
						}
						return refused
					},
				}
				var results []apply.Result
				var err error
				if way == "manifest" {
					b.image("example.test/w:2")
					results, err = apply.Apply(t.Context(), b.conn, b.load()[:1], o)
				} else {
					var r *apply.Result
					if r, err = apply.Image(t.Context(), b.conn, b.ref, "worker", "example.test/w:2", o); r != nil {
						results = append(results, *r)
					}
				}
				switch {
				case tt.gone:
					if !errors.Is(err, workload.ErrReplaced) && !errors.Is(err, workload.ErrUnknown) {
						t.Errorf("%v", err)
					}
					if left, err := b.kube.AppsV1().Deployments(b.ns).List(t.Context(), metav1.ListOptions{}); err != nil || len(left.Items) > 0 {
						t.Errorf("it was created again: %v", err)
					}
					return
				case !tt.accept:
					if !errors.Is(err, refused) {
						t.Errorf("%v", err)
					}
				case err != nil:
					t.Fatal(err)
				}
				before := "example.test/w:hand"
				if tt.name == "only its status" {
					before = "example.test/w:1"
				}
				if tt.accept {
					if now := b.deployment().Spec.Template.Spec.Containers[0].Image; now != "example.test/w:2" {
						t.Errorf("runs %s", now)
					}
					// A killed run goes back to their version, too.
					resumed, err := apply.Resume(t.Context(), b.conn, kept)
					if err != nil || len(resumed) != 1 {
						t.Fatal(resumed, err)
					}
					o := o
					o.Guard, o.Keep, o.Accept = nil, nil, nil
					resumed[0].After = results[0].After
					for _, r := range [][]apply.Result{results, resumed} {
						if image := element(t, r[0].Before.Object); image != before {
							t.Errorf("%s was there before, want %s", image, before)
						}
					}
					if _, err := apply.Restore(t.Context(), b.conn, results, o); err != nil {
						t.Fatal(err)
					}
				}
				if now := b.deployment().Spec.Template.Spec.Containers[0].Image; now != before {
					t.Errorf("runs %s, want %s", now, before)
				}
			})
		}
	}
}

// element returns the image of a Deployment's first container.
func element(t *testing.T, object map[string]any) string {
	t.Helper()
	at := any(object)
	for _, key := range []string{"spec", "template", "spec", "containers"} {
		m, ok := at.(map[string]any)
		if !ok {
			t.Fatal(object)
		}
		at = m[key]
	}
	list, ok := at.([]any)
	i := slices.IndexFunc(list, func(c any) bool { m, ok := c.(map[string]any); return ok && m["name"] == "worker" })
	if !ok || i < 0 {
		t.Fatal(object)
	}
	image, _ := list[i].(map[string]any)["image"].(string)
	return image
}
