package apply_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
)

// A run was killed after its apply and another continued with a third image. What is
// restored is the state before both.
func TestResume(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.kubectl("apply", "-f", b.file)
	before := b.deployment()

	secret := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: hidden}\nstringData: {a: b}\n"
	fresh := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndata: {a: b}\n"
	b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:2"), "cluster}", "host}", 1) + fresh + secret)
	var kept []apply.Kept
	b.apply(apply.Options{Keep: func(k apply.Kept) error { kept = append(kept, k); return nil }})
	disk, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	kept = nil
	if err := json.Unmarshal(disk, &kept); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 3 || strings.Contains(string(disk), "hidden") {
		t.Errorf("kept is %s", disk)
	}

	resumed, err := apply.Resume(t.Context(), b.conn, append(kept, apply.Kept{GroupVersionKind: kept[0].GroupVersionKind, Namespace: b.ns, Name: "gone", UID: "1"}))
	if err != nil || len(resumed) != 3 {
		t.Fatal(len(resumed), err)
	}
	b.image("example.test/w:3")
	applied := b.apply(apply.Options{})
	if _, err := apply.Restore(t.Context(), b.conn, apply.Since(resumed, applied), apply.Options{Target: b.ref}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.Spec.Template, b.deployment().Spec.Template); diff != "" {
		t.Errorf("the template is not what it was:\n%s", diff)
	}
	if _, err := b.kube.CoreV1().ConfigMaps(b.ns).Get(t.Context(), "fresh", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what the killed run created is still there (%v)", err)
	}
}
