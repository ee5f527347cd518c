package watch_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// A watch that ends, with or without a reason, hides no change.
func TestEachSurvivesTheEndOfAWatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	for _, gone := range []int64{0, 3} {
		w := &wire{}
		kube := b.wired(w)
		name := "each" + strings.Repeat("x", int(gone))
		d := deployment("x/w:1", 1)
		d.Name = name
		ref := b.create(d).Ref()
		ctx, stop := context.WithCancel(t.Context())
		images := make(chan string, 1000)
		var each sync.WaitGroup
		each.Go(func() {
			watch.Each(ctx, kube, ref, func(w *workload.Workload) { images <- w.Template().Spec.Containers[0].Image })
		})
		for _, image := range []string{"x/w:1", "x/w:2", "x/w:3"} {
			if image != "x/w:1" {
				w.gone.Store(gone)
				w.cut()
				patch := `{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"` + image + `"}]}}}}`
				if _, err := b.kube.AppsV1().Deployments(b.ns).Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			for got := ""; got != image; {
				select {
				case got = <-images:
				case <-t.Context().Done():
					t.Fatal(image, "was not seen")
				}
			}
		}
		stop()
		each.Wait()
	}
}

// Without the permission to watch, Each ends.
func TestEachEndsWithoutPermission(t *testing.T) {
	t.Parallel()
	b := newBench(t, cptest.Shared(t))
	ref := b.create(deployment("x/w:1", 1)).Ref()
	kube, err := cptest.Connect(t, b.cp, "nobody", b.ns).Kube()
	if err != nil {
		t.Fatal(err)
	}
	watch.Each(t.Context(), kube, ref, func(w *workload.Workload) { t.Error("seen without permission") })
}
