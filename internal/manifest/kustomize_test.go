package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	digest1 = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	tag2    = "20260302-090000"
)

// between finds ⟦old|new⟧.
var between = regexp.MustCompile(`⟦([^|]*)\|([^⟧]*)⟧`)

// unpack writes the files of an archive and returns the directory and what
// the files must hold afterwards.
func unpack(t *testing.T, archive string) (dir string, want map[string]string) {
	t.Helper()
	dir, want = t.TempDir(), map[string]string{}
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, between.ReplaceAll(f.Data, []byte("$1")), 0o644); err != nil {
			t.Fatal(err)
		}
		want[f.Name] = between.ReplaceAllString(string(f.Data), "$2")
	}
	return dir, want
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		got[filepath.ToSlash(rel)] = string(data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

const workerYAML = `# the worker
apiVersion: apps/v1
kind: Deployment
metadata:
  name: w
spec:
  selector: {matchLabels: {app: w}}
  template:
    metadata: {labels: {app: w}}
    spec:
      containers:
      - name: w
        image: %s # here
`

func workerFile(image string) string { return strings.Replace(workerYAML, "%s", image, 1) }

func TestFindKustomized(t *testing.T) {
	pinned := "ghcr.io/o/w:" + tag2 + "@" + digest1
	head := "resources:\n- w.yaml\nnamespace: ns\n"
	for name, tt := range map[string]struct {
		archive  string
		ref      string // pinned when empty
		image    string // what is rendered; ref when empty
		together int
		workload string // w when empty
	}{
		"newTag":             {archive: "-- k/kustomization.yaml --\n" + head + "images:\n# ours\n- name: ghcr.io/o/w\n  newTag: \"⟦1|" + tag2 + "@" + digest1 + "⟧\" # tag\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0")},
		"newTag, not pinned": {ref: "ghcr.io/o/w:" + tag2, archive: "-- k/kustomization.yml --\n" + head + "images:\n- {name: ghcr.io/o/w, newTag: ⟦v1|" + tag2 + "⟧}\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0")},
		"newTag and digest":  {archive: "-- k/kustomization.yaml --\n" + head + "images:\n- digest: ⟦sha256:00|" + digest1 + "⟧\n  name: other\n  newName: ⟦x|ghcr.io/o/w⟧\n  newTag: '⟦1|" + tag2 + "⟧'\n-- k/w.yaml --\n" + workerFile("other")},
		"digest alone":       {image: "ghcr.io/o/w@" + digest1, archive: "-- k/kustomization.yaml --\n" + head + "images:\n- name: ghcr.io/o/w\n  digest: ⟦sha256:00|" + digest1 + "⟧\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0")},
		"the entry of two":   {archive: "-- k/kustomization.yaml --\n" + head + "images:\n- name: redis\n  newTag: v7\n- name: ghcr.io/o/w\n  newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0")},
		"resource":           {archive: "-- k/Kustomization --\n" + head + "-- k/w.yaml --\n" + workerFile("⟦ghcr.io/o/w:0|"+pinned+"⟧")},
		"entry without tag":  {archive: "-- k/kustomization.yaml --\n" + head + "images:\n- {name: a, newName: ghcr.io/o/w}\n-- k/w.yaml --\n" + workerFile("⟦ghcr.io/o/w:0|"+pinned+"⟧")},
		"overlay's entry": {archive: "-- base/kustomization.yaml --\nresources: [w.yaml]\nimages:\n- {name: ghcr.io/o/w, newTag: base}\n-- base/w.yaml --\n" + workerFile("ghcr.io/o/w:0") +
			"-- k/kustomization.yaml --\nresources: [../base]\nnamespace: ns\nimages:\n- name: ghcr.io/o/w\n  newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧\n"},
		"renamed by a prefix": {workload: "pre-w", archive: "-- k/kustomization.yaml --\nresources: [base]\nnamespace: ns\n-- k/base/kustomization.yaml --\nresources: [x.yaml]\nnamePrefix: pre-\n-- k/base/x.yaml --\n" +
			workerFile("⟦ghcr.io/o/w:0|"+pinned+"⟧")},
		"patch file": {archive: "-- k/kustomization.yaml --\n" + head + "patches:\n- path: p.yaml\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0") +
			"-- k/p.yaml --\nkind: Deployment\napiVersion: apps/v1\nmetadata: {name: w}\nspec: {template: {spec: {containers: [{name: w, image: '⟦ghcr.io/o/w:1|" + pinned + "⟧'}]}}}\n"},
		"with an init container": {together: 1, archive: "-- k/kustomization.yaml --\n" + head + "images:\n- name: ghcr.io/o/w\n  newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0") +
			"      initContainers:\n      - name: migrate\n        image: ghcr.io/o/w:0\n"},
		"there already": {archive: "-- k/kustomization.yaml --\n" + head + "-- k/w.yaml --\n" + workerFile(pinned)},
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := unpack(t, tt.archive)
			before := contents(t, dir)
			tt.ref, tt.image = orElse(tt.ref, pinned), orElse(tt.image, orElse(tt.ref, pinned))
			meant := target
			meant.Name = orElse(tt.workload, meant.Name)
			p, err := Find(t.Context(), Options{Files: []string{filepath.Join(dir, "k")}, Target: meant, Ref: tt.ref})
			if err != nil {
				t.Fatal(err)
			}
			if p.New != tt.image || len(p.Together) != tt.together || !strings.Contains(string(p.Rendered), "image: "+tt.image) {
				t.Errorf("plan = %+v\n%s", p.Edit, p.Rendered)
			}
			if d := cmp.Diff(before, contents(t, dir)); d != "" {
				t.Fatal("Find changed the disk", d)
			}
			w, err := p.Write()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, contents(t, dir)); d != "" {
				t.Fatalf("written (-want +got):\n%s", d)
			}
			if w == nil {
				if p.Changed() {
					t.Fatal("nothing was written")
				}
				return
			}
			if ok, err := w.Restore(); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if d := cmp.Diff(before, contents(t, dir)); d != "" {
				t.Errorf("restored (-want +got):\n%s", d)
			}
		})
	}
}

func TestFindKustomizedRefuses(t *testing.T) {
	head := "resources:\n- w.yaml\nnamespace: ns\n"
	for name, tt := range map[string]struct{ archive, code, where string }{
		"base outside": {"-- base/kustomization.yaml --\nresources: [w.yaml]\n-- base/w.yaml --\n" + workerFile("ghcr.io/o/w:0") +
			"-- k/kustomization.yaml --\nresources: [../base]\nnamespace: ns\n", "manifest-outside", "base/w.yaml:13"},
		"inline patch": {"-- k/kustomization.yaml --\n" + head + "patches:\n- patch: |-\n    kind: Deployment\n    apiVersion: apps/v1\n    metadata: {name: w}\n    spec: {template: {spec: {containers: [{name: w, image: a/b}]}}}\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0"),
			"manifest-kustomize", "k/kustomization.yaml"},
		"not to be built":  {"-- k/kustomization.yaml --\nresources: [none.yaml]\n", "manifest-kustomize", "k"},
		"another workload": {"-- k/kustomization.yaml --\n" + head + "namePrefix: x-\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0"), "manifest-no-workload", "k"},
		"no kustomization": {"-- k/w.yaml --\n" + workerFile("a"), "manifest-not-found", "k/kustomization.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := unpack(t, tt.archive)
			_, err := Find(t.Context(), Options{Kustomize: filepath.Join(dir, "k"), Target: target, Ref: newRef})
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok || string(f.Code) != tt.code || !strings.HasSuffix(filepath.ToSlash(f.Where), "/"+tt.where) || f.Fix == "" {
				t.Errorf("got %v, want %s at %s", err, tt.code, tt.where)
			}
		})
	}
}
