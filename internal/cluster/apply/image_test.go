package apply_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestImageAlone(t *testing.T) {
	for _, how := range []string{"kubectl apply", "sbw"} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t)
			b.image("example.test/w:1")
			if how == "sbw" {
				b.apply(apply.Options{})
			} else {
				b.kubectl("apply", "-f", b.file)
			}
			before := b.deployment()
			r, err := apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{Annotations: map[string]string{"dev.sbw/tag": "2"}})
			if err != nil {
				t.Fatal(err)
			}
			after := b.deployment()
			if r.Action != apply.Configured || after.Annotations["dev.sbw/tag"] != "2" {
				t.Fatalf("%s, annotations %v", r.Action, after.Annotations)
			}
			want := before.Spec.DeepCopy()
			want.Template.Spec.Containers[0].Image = "example.test/w:2"
			if diff := cmp.Diff(want, &after.Spec); diff != "" {
				t.Fatalf("more than the image has changed:\n%s", diff)
			}
			if r, err = apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{}); err != nil || r.Action != apply.Unchanged {
				t.Fatalf("again: %v %v", r, err)
			}
			if _, err = apply.Image(b.Context(), b.conn, b.ref, "wrong", "x", apply.Options{}); code(err) != "container-unknown" {
				t.Fatal(err)
			}
		})
	}
}

func TestImageAloneConflict(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.kubectl("apply", "--server-side", "--field-manager=argocd-controller", "-f", b.file)
	_, err := apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{})
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || f.Code != "apply-conflict" || !strings.Contains(f.Why, "argocd-controller") {
		t.Fatal(err)
	}
	if _, err := apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{Force: true}); err != nil {
		t.Fatal(err)
	}
}
