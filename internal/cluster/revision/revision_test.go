package revision_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/polymorphichelpers"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestMain(m *testing.M) { os.Exit(cptest.Main(m)) }

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

type bench struct {
	*testing.T
	kube kubernetes.Interface
	conn *cluster.Conn
	ref  workload.Ref
}

func newBench(t *testing.T, kind string) *bench {
	t.Helper()
	t.Parallel()
	cp := cptest.Shared(t)
	kube := cptest.Kube(t, cp)
	ns := cptest.Namespace(t, kube, nil)
	cptest.Kubelet(t, kube, ns)
	return &bench{T: t, kube: kube, conn: cptest.Connect(t, cp, "admin", ns), ref: workload.Ref{Kind: kind, Namespace: ns, Name: "w"}}
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "w"}},
		Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: image, Env: []corev1.EnvVar{{Name: "V", Value: image}}}}}}
}

func (b *bench) create() *workload.Workload {
	b.Helper()
	meta, selector := metav1.ObjectMeta{Name: "w"}, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "w"}}
	apps := b.kube.AppsV1()
	var w workload.Workload
	var err error
	if b.ref.Kind == workload.Deployment {
		w.Deployment, err = apps.Deployments(b.ref.Namespace).Create(b.Context(), &appsv1.Deployment{ObjectMeta: meta,
			Spec: appsv1.DeploymentSpec{Selector: selector, Template: template("x/w:1")}}, metav1.CreateOptions{})
	} else {
		w.StatefulSet, err = apps.StatefulSets(b.ref.Namespace).Create(b.Context(), &appsv1.StatefulSet{ObjectMeta: meta,
			Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template("x/w:1")}}, metav1.CreateOptions{})
	}
	if err != nil {
		b.Fatal(err)
	}
	return &w
}

// image changes the image, and with it the environment and the annotations that a
// rollout writes.
func (b *bench) image(ref string) *workload.Workload {
	b.Helper()
	patch := []byte(fmt.Sprintf(`{"metadata":{"annotations":{"dev.sbw/tag":%[1]q}},"spec":{"template":{"spec":{"containers":[{"name":"c","image":%[1]q,"env":[{"name":"V","value":%[1]q}]}]}}}}`, ref))
	apps := b.kube.AppsV1()
	var w workload.Workload
	var err error
	if b.ref.Kind == workload.Deployment {
		w.Deployment, err = apps.Deployments(b.ref.Namespace).Patch(b.Context(), "w", types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
	} else {
		w.StatefulSet, err = apps.StatefulSets(b.ref.Namespace).Patch(b.Context(), "w", types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
	}
	if err != nil {
		b.Fatal(err)
	}
	return &w
}

func (b *bench) wait(w *workload.Workload) {
	b.Helper()
	if _, err := watch.Rollout(context.Background(), b.kube, watch.Options{Applied: w, Timeout: time.Minute}); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) list() []revision.Revision {
	b.Helper()
	w, err := workload.Get(b.Context(), b.kube, b.ref)
	if err != nil {
		b.Fatal(err)
	}
	all, err := revision.List(b.Context(), b.kube, w)
	if err != nil {
		b.Fatal(err)
	}
	return all
}

func numbers(all []revision.Revision) string {
	var out []string
	for _, r := range all {
		text := fmt.Sprintf("%d %s", r.Number, r.Images[0])
		if r.Current {
			text += " current"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// asKubectl compares the revisions with what `kubectl rollout history` lists.
func (b *bench) asKubectl() {
	b.Helper()
	viewer, err := polymorphichelpers.HistoryViewerFor(b.ref.GVK().GroupKind(), b.kube)
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := viewer.GetHistory(b.ref.Namespace, b.ref.Name)
	if err != nil {
		b.Fatal(err)
	}
	ours := b.list()
	for _, r := range ours {
		if theirs[r.Number] == nil {
			b.Errorf("kubectl does not list revision %d", r.Number)
		}
	}
	if len(theirs) != len(ours) {
		b.Errorf("kubectl lists %d revisions, sbw %d", len(theirs), len(ours))
	}
}

func TestUndo(t *testing.T) {
	for _, kind := range []string{workload.Deployment, workload.StatefulSet} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t, kind)
			first := b.create()
			b.wait(first)
			b.wait(b.image("x/w:2"))
			third := b.image("x/w:3")
			b.wait(third)
			all := b.list()
			if got := numbers(all); got != "3 c=x/w:3 current, 2 c=x/w:2, 1 c=x/w:1" {
				t.Fatal(got)
			}
			to, err := revision.Pick(all, 0)
			if err != nil || to.Number != 2 {
				t.Fatalf("%+v %v", to, err)
			}
			back, err := revision.Undo(t.Context(), b.conn, b.ref, to, third, map[string]string{apply.ChangeCause: "sbw undo"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			b.wait(back)
			want := template("x/w:2").Spec.Containers[0]
			if got := back.Template().Spec.Containers[0]; got.Image != want.Image || !cmp.Equal(got.Env, want.Env) {
				t.Fatalf("%+v", got)
			}
			if a := back.Object().GetAnnotations(); a[apply.ChangeCause] != "sbw undo" || kind == workload.Deployment && a["dev.sbw/tag"] != "x/w:2" {
				t.Fatalf("annotations %v", a)
			}
			owned := false
			for _, m := range back.Object().GetManagedFields() {
				owned = owned || m.Manager == cluster.FieldManager && m.Operation == metav1.ManagedFieldsOperationApply
				if m.Manager == cluster.FieldManager && m.Operation == metav1.ManagedFieldsOperationUpdate {
					t.Error("what was put back is not owned as if applied")
				}
			}
			if !owned {
				t.Error("nothing is owned")
			}
			if got := numbers(b.list()); got != "4 c=x/w:2 current, 3 c=x/w:3, 1 c=x/w:1" {
				t.Error(got)
			}
			b.asKubectl()
			// Then go back to a number.
			to, err = revision.Pick(b.list(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if back, err = revision.Undo(t.Context(), b.conn, b.ref, to, nil, nil, nil); err != nil || back.Template().Spec.Containers[0].Image != "x/w:1" {
				t.Fatal(err)
			}
		})
	}
}

// A version that somebody else has rolled out meanwhile is not undone.
func TestUndoLeavesSomebodyElsesVersion(t *testing.T) {
	b := newBench(t, workload.Deployment)
	b.wait(b.create())
	ours := b.image("x/w:2")
	b.wait(ours)
	to, err := revision.Pick(b.list(), 0)
	if err != nil {
		t.Fatal(err)
	}
	b.image("x/w:theirs")
	if _, err := revision.Undo(t.Context(), b.conn, b.ref, to, ours, nil, nil); code(err) != "superseded" {
		t.Fatal(err)
	}
	w, err := workload.Get(t.Context(), b.kube, b.ref)
	if err != nil || w.Template().Spec.Containers[0].Image != "x/w:theirs" {
		t.Fatal(err)
	}
}

func TestPick(t *testing.T) {
	all := []revision.Revision{{Number: 7, Current: true}, {Number: 6, Failed: true}, {Number: 5}, {Number: 2}}
	for want, number := range map[string]int64{"5": 0, "2": 2, "6": 6, "revision-unknown": 4} {
		r, err := revision.Pick(all, number)
		got := code(err)
		if err == nil {
			got = fmt.Sprint(r.Number)
		}
		if got != want {
			t.Errorf("%d: %s, want %s", number, got, want)
		}
	}
	if _, err := revision.Pick(all[:2], 0); code(err) != "revision-none" {
		t.Error(err)
	}
}
