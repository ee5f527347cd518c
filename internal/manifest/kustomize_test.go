package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	digest1 = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	tag2    = "20260302-090000"
)

// between matches ⟦old|new⟧.
var between = regexp.MustCompile(`⟦([^|]*)\|([^⟧]*)⟧`)

// unpack writes the files of an archive and returns the directory and the content
// that the files must have in the end.
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
		together []string
		also     []string
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
		"with an init container": {together: []string{"k/w.yaml:16 container migrate of Deployment ns/w " + pinned}, archive: "-- k/kustomization.yaml --\n" + head + "images:\n- name: ghcr.io/o/w\n  newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0") +
			"      initContainers:\n      - name: migrate\n        image: ghcr.io/o/w:0\n"},
		"with a value": {together: []string{"k/w.yaml:14 env SELF of container w of Deployment ns/w " + pinned}, archive: "-- k/kustomization.yaml --\n" + head +
			"images: [{name: ghcr.io/o/w, newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧}]\nreplacements:\n- source: {kind: Deployment, name: w, fieldPath: 'spec.template.spec.containers.[name=w].image'}\n" +
			"  targets: [{select: {kind: Deployment}, fieldPaths: ['spec.template.spec.containers.[name=w].env.[name=SELF].value']}]\n" +
			"-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0") + "        env: [{name: SELF, value: x}]\n"},
		"with its tag": {ref: "ghcr.io/o/w:" + tag2, together: []string{"k/w.yaml:14 env TAG of container w of Deployment ns/w " + tag2}, archive: "-- k/kustomization.yaml --\n" + head +
			"images: [{name: ghcr.io/o/w, newTag: ⟦v1|" + tag2 + "⟧}]\nreplacements:\n- source: {kind: Deployment, name: w, fieldPath: 'spec.template.spec.containers.[name=w].image', options: {delimiter: ':', index: 1}}\n" +
			"  targets: [{select: {kind: Deployment}, fieldPaths: ['spec.template.spec.containers.[name=w].env.[name=TAG].value']}]\n" +
			"-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0") + "        env: [{name: TAG, value: x}]\n"},
		"with a variable": {together: []string{"k/w.yaml:14 args[0] of container w of Deployment ns/w --self=" + pinned}, archive: "-- k/kustomization.yaml --\n" + head +
			"images: [{name: ghcr.io/o/w, newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧}]\nvars:\n- {name: SELF, objref: {apiVersion: apps/v1, kind: Deployment, name: w}, fieldref: {fieldpath: 'spec.template.spec.containers[0].image'}}\n" +
			"-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0") + "        args: ['--self=$(SELF)']\n"},
		"with a CronJob, prefixed": {workload: "pre-w", together: []string{"k/c.yaml:4 container n of CronJob ns/pre-nightly " + pinned}, also: []string{"k/c.yaml:8 container w of Pod ns/pre-p ghcr.io/o/w:p"},
			archive: "-- k/kustomization.yaml --\nresources: [w.yaml, c.yaml]\nnamespace: ns\nnamePrefix: pre-\nimages: [{name: w, newName: ghcr.io/o/w, newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧}]\n-- k/w.yaml --\n" + workerFile("w") +
				"-- k/c.yaml --\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: n, image: w}]}}}}}\n" +
				"---\n{apiVersion: v1, kind: Pod, metadata: {name: p}, spec:\n {containers: [\n  {name: w, image: 'ghcr.io/o/w:p'}]}}\n"},
		"digest of both": {image: "ghcr.io/o/w@" + digest1, together: []string{"k/w.yaml:16 container migrate of Deployment ns/w ghcr.io/o/w@" + digest1},
			archive: "-- k/kustomization.yaml --\n" + head + "images: [{name: ghcr.io/o/w, digest: ⟦sha256:00|" + digest1 + "⟧}]\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0") +
				"      initContainers:\n      - name: migrate\n        image: ghcr.io/o/w:0\n"},
		// kubernetes-sigs/kustomize#2758, #6001. The transformer no longer matches, but the rendered result is
		// right.
		"a transformer's file": {archive: "-- k/kustomization.yaml --\n" + head + "transformers: [t.yaml]\n-- k/t.yaml --\napiVersion: builtin\nkind: ImageTagTransformer\nmetadata: {name: t}\n" +
			"imageTag: {name: old, newName: ghcr.io/o/w, newTag: v1}\n-- k/w.yaml --\n" + workerFile("⟦old|"+pinned+"⟧")},
		"a component's entry": {archive: "-- k/kustomization.yaml --\n" + head + "components: [c]\n-- k/c/kustomization.yaml --\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n" +
			"images: [{name: ghcr.io/o/w, newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧}]\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0")},
		"two containers with different tags": {together: []string{"k/w.yaml:14 container client of Deployment ns/w " + pinned}, archive: "-- k/kustomization.yaml --\n" + head +
			"images: [{name: ghcr.io/o/w, newTag: ⟦v1|" + tag2 + "@" + digest1 + "⟧}]\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:agent-0") + "      - {name: client, image: 'ghcr.io/o/w:client-0'}\n"},
		"its digest there already": {image: "ghcr.io/o/w@" + digest1, archive: "-- k/kustomization.yaml --\n" + head + "images: [{name: ghcr.io/o/w, digest: '" + digest1 + "'}]\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0")},
		"there already":            {archive: "-- k/kustomization.yaml --\n" + head + "-- k/w.yaml --\n" + workerFile(pinned)},
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
			if p.New != tt.image || !strings.Contains(string(p.Rendered), "image: "+tt.image) {
				t.Errorf("plan = %+v\n%s", p.Edit, p.Rendered)
			}
			if d := cmp.Diff(tt.together, described(t, dir, p.Together)); d != "" {
				t.Errorf("together (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.also, described(t, dir, p.Also)); d != "" {
				t.Errorf("also (-want +got):\n%s", d)
			}
			if d := cmp.Diff(before, contents(t, dir)); d != "" {
				t.Fatal("Find changed the disk", d)
			}
			w, err := p.Write()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := build(filesys.MakeFsOnDisk(), filepath.Join(dir, "k")); err != nil || string(again) != string(p.Rendered) {
				t.Errorf("the stamped files are rendered differently (%v):\n%s", err, cmp.Diff(string(p.Rendered), string(again)))
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

func described(t *testing.T, dir string, all []Use) (lines []string) {
	t.Helper()
	for _, u := range all {
		rel, err := filepath.Rel(dir, u.File)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s:%d %s %s", filepath.ToSlash(rel), u.Line, u, u.Image))
	}
	return lines
}

// TestKustomizeAdvice checks that following the advice creates a place for the
// image that the next run stamps, and does not change any other container.
func TestKustomizeAdvice(t *testing.T) {
	const prefix = "-- over/kustomization.yaml --\nresources: [../base]\nnamespace: ns\n"
	for name, tt := range map[string]struct{ archive, fix, add, file string }{
		"alone": {prefix + "-- base/kustomization.yaml --\nresources: [w.yaml]\n-- base/w.yaml --\n" + workerFile("ghcr.io/o/w:v1"),
			"images: in", "images: [%s]\n", ""},
		"another container": {prefix + "-- base/kustomization.yaml --\nresources: [w.yaml]\n-- base/w.yaml --\n" + workerFile("ghcr.io/o/w:v1") + "      - {name: edge, image: 'ghcr.io/o/w:edge-3'}\n",
			"container edge of Deployment ns/w", "patches: [{path: w-image.yaml}]\n", "over/w-image.yaml"},
		"a prefix": {prefix + "-- base/kustomization.yaml --\nresources: [w.yaml]\nnamePrefix: pre-\n-- base/w.yaml --\n" + workerFile("ghcr.io/o/w:v1") + "      - {name: edge, image: 'ghcr.io/o/w:v1'}\n",
			"container edge of Deployment ns/pre-w", "patches: [{path: w-image.yaml}]\n", "over/w-image.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := unpack(t, tt.archive)
			o := Options{Kustomize: filepath.Join(dir, "over"), Target: target, Ref: newRef}
			if strings.Contains(tt.archive, "namePrefix") {
				o.Target.Name = "pre-w"
			}
			_, err := Find(t.Context(), o)
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok || f.Code != "manifest-outside" || !strings.Contains(f.Fix, tt.fix) || strings.Contains(f.Fix, "edit set image") {
				t.Fatalf("err = %+v", err)
			}
			brace := f.Fix[strings.IndexByte(f.Fix, '{') : strings.LastIndexByte(f.Fix, '}')+1]
			file := filepath.Join(dir, "over", "kustomization.yaml")
			add := tt.add
			if tt.file == "" {
				add = fmt.Sprintf(add, brace)
			} else if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(brace+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, append(text, add...), 0o644); err != nil {
				t.Fatal(err)
			}
			before, err := build(filesys.MakeFsOnDisk(), filepath.Join(dir, "over"))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(before), newRef); n != 1 {
				t.Errorf("the advice moves %d images:\n%s", n, before)
			}
			o.Ref = "ghcr.io/o/w:next"
			p, err := Find(t.Context(), o)
			if err != nil || len(p.Together) > 0 || p.New != o.Ref {
				t.Errorf("the next run: %+v, %v", p, err)
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
		"a kustomization that cannot be built": {"-- k/kustomization.yaml --\nresources: [none.yaml]\n", "manifest-kustomize", "k"},
		"another workload":                     {"-- k/kustomization.yaml --\n" + head + "namePrefix: x-\n-- k/w.yaml --\n" + workerFile("ghcr.io/o/w:0"), "manifest-no-workload", "k"},
		"no kustomization":                     {"-- k/w.yaml --\n" + workerFile("a"), "manifest-not-found", "k/kustomization.yaml"},
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
