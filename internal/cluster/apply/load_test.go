package apply_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestLoad(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cm := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	one := write("one.yaml", cm("one"))
	write("two.json", `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two"}},{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"three"}}]}`)
	write("sub/deep.yml", cm("deep"))
	write("notes.txt", "no manifest")
	kustom := write("k/base.yaml", fmt.Sprintf(manifest, "example.test/w:1"))
	write("k/kustomization.yaml", "namePrefix: my-\nresources: [base.yaml]\n")
	_ = kustom
	names := func(s apply.Source) []string {
		t.Helper()
		objects, err := apply.Load(b.Context(), b.conn, s)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, o := range objects {
			if o.GetNamespace() != b.ns {
				t.Errorf("%s is in namespace %q", o.GetName(), o.GetNamespace())
			}
			all = append(all, o.GetName())
		}
		return all
	}
	tests := []struct {
		name   string
		source apply.Source
		want   []string
	}{
		{"file", apply.Source{Filenames: []string{one}}, []string{"one"}},
		{"directory", apply.Source{Filenames: []string{dir}}, []string{"one", "two", "three"}},
		{"kustomize", apply.Source{Kustomize: filepath.Join(dir, "k")}, []string{"my-worker", "my-worker"}},
		{"stdin", apply.Source{Filenames: []string{"-"}, Stdin: strings.NewReader(cm("in"))}, []string{"in"}},
		{"override", apply.Source{Filenames: []string{one}, Override: map[string][]byte{one: []byte(cm("changed"))}}, []string{"changed"}},
		{"override in a directory", apply.Source{Filenames: []string{dir}, Override: map[string][]byte{one: []byte(cm("changed"))}}, []string{"changed", "two", "three"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, names(tt.source)); diff != "" {
				t.Error(diff)
			}
		})
	}
	refused := map[string]apply.Source{
		"manifest-unreadable": {Filenames: []string{filepath.Join(dir, "none.yaml")}},
		"manifest-kind":       {Filenames: []string{write("kind.yaml", "apiVersion: v7\nkind: Nothing\nmetadata: {name: x}\n")}},
	}
	for want, s := range refused {
		if _, err := apply.Load(b.Context(), b.conn, s); code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, meta := range []string{"{generateName: migrate-}", "{labels: {a: b}}"} {
		nameless := write("nameless.yaml", cm("named")+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: "+meta+"\n")
		_, err := apply.Load(b.Context(), b.conn, apply.Source{Filenames: []string{nameless}})
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != apply.CodeUnreadable || !strings.HasPrefix(f.Where, nameless) || f.Fix == "" {
			t.Errorf("%s: %v", meta, err)
		}
	}
	other := write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: elsewhere}\n")
	if _, err := apply.Load(b.Context(), b.conn, apply.Source{Filenames: []string{other}, RequireNamespace: true}); code(err) != "manifest-unreadable" {
		t.Error(err)
	}
}

func TestSetImage(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	objects := b.load()
	if err := apply.SetImage(objects, b.ref, "worker", "example.test/w:2"); err != nil {
		t.Fatal(err)
	}
	if err := apply.SetImage(objects, b.ref, "no", "x"); code(err) != "container-unknown" {
		t.Error(err)
	}
	if err := apply.SetImage(objects, workload.Ref{Kind: "Deployment", Namespace: b.ns, Name: "no"}, "worker", "x"); code(err) != "manifest-target" {
		t.Error(err)
	}
	results, err := apply.Apply(b.Context(), b.conn, objects, apply.Options{Target: b.ref})
	if err != nil {
		t.Fatal(err)
	}
	if _, w, err := apply.Find(results, b.ref); err != nil || w.Template().Spec.Containers[0].Image != "example.test/w:2" {
		t.Fatal(err)
	}
	if _, _, err := apply.Find(results, workload.Ref{Kind: "DaemonSet", Namespace: b.ns, Name: "worker"}); code(err) != "manifest-target" {
		t.Fatal(err)
	}
}
