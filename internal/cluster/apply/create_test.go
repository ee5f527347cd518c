package apply_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// stdin runs kubectl with a document on its standard input.
func (b *bench) stdin(doc string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), require.Tool(b.T, "kubectl"),
		append([]string{"--kubeconfig", b.kubeconfig, "-n", b.ns, "--cache-dir", b.TempDir()}, append(args, "-f", "-")...)...)
	cmd.Stdin = strings.NewReader(doc)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// docs returns the documents of the file.
func (b *bench) docs() []string {
	b.Helper()
	text, err := os.ReadFile(b.file)
	if err != nil {
		b.Fatal(err)
	}
	return strings.Split(string(text), "\n---\n")
}

func (b *bench) service() *corev1.Service {
	b.Helper()
	s, err := b.kube.CoreV1().Services(b.ns).Get(b.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// TestCreatedMeanwhile: somebody else creates an object between the moment when this run
// looked for it and its own attempt. It is treated as if it had been there before: what
// belongs to them is not overwritten, and a rollback does not delete it.
func TestCreatedMeanwhile(t *testing.T) {
	same := "apiVersion: v1\nkind: Service\nmetadata: {name: worker}\nspec: {selector: {app: worker}, ports: [{name: http, port: 3111, targetPort: http}]}\n"
	other := strings.ReplaceAll(same, "selector: {app: worker}", "selector: {app: theirs}")
	more := strings.ReplaceAll(same, "selector: {app: worker}", "selector: {app: worker}, sessionAffinity: ClientIP")
	for _, tt := range []struct {
		name string
		doc  string
		args []string
		o    apply.Options
		code string // of the error
	}{
		{"the same with create", same, []string{"create"}, apply.Options{}, ""},
		{"another with create", other, []string{"create"}, apply.Options{}, string(apply.CodeConflict)},
		{"another with create, forced", other, []string{"create"}, apply.Options{Force: true}, ""},
		{"more with create", more, []string{"create"}, apply.Options{}, ""},
		{"another with apply", other, []string{"apply"}, apply.Options{}, ""},
		{"another with server-side apply", other, []string{"apply", "--server-side"}, apply.Options{}, string(apply.CodeConflict)},
		{"the same with server-side apply", same, []string{"apply", "--server-side"}, apply.Options{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.image("example.test/w:1")
			b.stdin(b.docs()[0], "apply")
			b.image("example.test/w:2")
			var kept []apply.Kept
			writes := 0
			tt.o.Guard = func(context.Context) error {
				if writes++; writes == 2 { // the first one is that to the Deployment
					b.stdin(tt.doc, tt.args...)
				}
				return nil
			}
			tt.o.Keep = func(k apply.Kept) error { kept = append(kept, k); return nil }
			results, err := b.try(tt.o)
			if tt.code != "" && code(err) != tt.code || tt.code == "" && err != nil {
				t.Fatalf("%v %v", actions(results), err)
			}
			if tt.code == "" && results[1].Action == apply.Created {
				t.Errorf("%v", actions(results))
			}
			killed, err := apply.Resume(t.Context(), b.conn, kept)
			if err != nil || len(killed) != 2 {
				t.Fatal(killed, err)
			}
			if slices.ContainsFunc(killed, func(r apply.Result) bool { return r.Action == apply.Created }) {
				t.Errorf("after a kill: %v", actions(killed))
			}
			if _, err := apply.Restore(t.Context(), b.conn, results, apply.Options{Target: b.ref, Container: "worker"}); err != nil {
				t.Fatal(err)
			}
			want := &bench{T: t, kube: b.kube, ns: cptest.Namespace(t, b.kube, nil), kubeconfig: b.kubeconfig}
			want.stdin(tt.doc, tt.args...)
			is, should := b.service().Spec, want.service().Spec
			for _, s := range []*corev1.ServiceSpec{&is, &should} {
				s.ClusterIP, s.ClusterIPs = "", nil
			}
			if !equality.Semantic.DeepEqual(is, should) {
				t.Errorf("left %+v, want %+v", is, should)
			}
		})
	}
}

// TestTargetCreatedMeanwhile: the decisions of the preflight were about a workload that did
// not exist.
func TestTargetCreatedMeanwhile(t *testing.T) {
	for _, args := range [][]string{{"create"}, {"apply"}, {"apply", "--server-side"}, {"create", "--field-manager", "kubectl-sbw"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			b := newBench(t)
			b.image("example.test/w:hand")
			theirs := b.docs()[0]
			b.image("example.test/w:2")
			done := false
			o := apply.Options{Container: "worker", Absent: true, Guard: func(context.Context) error {
				if !done {
					done = true
					b.stdin(theirs, args...)
				}
				return nil
			}}
			results, err := b.try(o)
			if !errors.Is(err, workload.ErrReplaced) || len(results) > 0 {
				t.Errorf("%v %v", actions(results), err)
			}
			if d := b.deployment(); d.Spec.Template.Spec.Containers[0].Image != "example.test/w:hand" {
				t.Errorf("runs %s", d.Spec.Template.Spec.Containers[0].Image)
			}
		})
	}
}

// TestCreatedIsApplied: what was created belongs to an apply, so that the next one removes
// what the manifest no longer contains, and leaves alone what the API server has set.
func TestCreatedIsApplied(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.apply(apply.Options{Container: "worker"})
	for _, o := range []metav1.Object{b.deployment(), b.service()} {
		if got := managers(o); !slices.Equal(got, []string{"kubectl-sbw Apply"}) {
			t.Errorf("%s", got)
		}
		for _, m := range o.GetManagedFields() {
			if m.Manager != "kubectl-sbw" {
				continue
			}
			text, err := json.Marshal(m.FieldsV1)
			if err != nil {
				t.Fatal(err)
			}
			for _, defaulted := range []string{"f:sessionAffinity", "f:progressDeadlineSeconds", "f:terminationMessagePath", "f:clusterIP", "f:dnsPolicy"} {
				if strings.Contains(string(text), defaulted) {
					t.Errorf("owns %s: %s", defaulted, text)
				}
			}
		}
	}
	if r := b.apply(apply.Options{Container: "worker"}); r[0].Action != apply.Unchanged || r[1].Action != apply.Unchanged {
		t.Errorf("%v", actions(r))
	}
	b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:1"), `            - {name: OLD, value: "1"}`+"\n", "", 1))
	b.apply(apply.Options{Container: "worker"})
	if env := b.deployment().Spec.Template.Spec.Containers[0].Env; len(env) != 1 {
		t.Errorf("%v", env)
	}
}

// TestCreateUnanswered: the run does not get the answer to its request to create an object.
func TestCreateUnanswered(t *testing.T) {
	theirs := "apiVersion: v1\nkind: Service\nmetadata: {name: worker}\nspec: {selector: {app: worker}, ports: [{name: http, port: 3111, targetPort: http}]}\n"
	for _, tt := range []struct {
		name   string
		create func(b *bench, send func() error)
		left   bool
	}{
		{"the request is lost", func(*bench, func() error) {}, false},
		{"the answer is lost", func(b *bench, send func() error) {
			if err := send(); err != nil {
				b.Error(err)
			}
		}, false},
		{"the request is lost, and somebody else creates the same", func(b *bench, _ func() error) { b.stdin(theirs, "create") }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.image("example.test/w:1")
			conn := cptest.Connect(t, cptest.Shared(t), "admin", b.ns)
			conn.Config.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return cptest.RoundTrip(func(r *http.Request) (*http.Response, error) {
					if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/services") {
						return next.RoundTrip(r)
					}
					tt.create(b, func() error {
						resp, err := next.RoundTrip(r)
						if err != nil {
							return err
						}
						return resp.Body.Close()
					})
					return nil, io.ErrUnexpectedEOF
				})
			})
			o := apply.Options{Target: b.ref, Container: "worker"}
			results, err := apply.Apply(t.Context(), conn, b.load(), o)
			if err == nil {
				t.Fatal("no error")
			}
			if _, err := apply.Restore(t.Context(), b.conn, results, o); err != nil {
				t.Fatal(err)
			}
			_, err = b.kube.CoreV1().Services(b.ns).Get(t.Context(), "worker", metav1.GetOptions{})
			if left := !apierrors.IsNotFound(err); left != tt.left {
				t.Errorf("left: %t, want %t (%v)", left, tt.left, err)
			}
		})
	}
}
