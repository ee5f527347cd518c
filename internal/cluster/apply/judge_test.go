package apply_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func (b *bench) judge(o apply.Options) []*pipeline.Finding {
	b.Helper()
	o.Target, o.Container = b.ref, "worker"
	_, err := apply.Judge(b.Context(), b.conn, b.load(), o)
	return pipeline.AsFindings("judge", err)
}

const keys = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {K: v}\n"

// lineWith returns the number of the first line that contains text.
func (b *bench) lineWith(text string) string {
	b.Helper()
	data, err := os.ReadFile(b.file)
	if err != nil {
		b.Fatal(err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		if strings.Contains(line, text) {
			return fmt.Sprintf("%s:%d", b.file, i+1)
		}
	}
	b.Fatalf("no line has %q", text)
	return ""
}

// What the API server would refuse in the middle of a rollout is found beforehand, as one
// Finding each with the line of the file and the other manager.
func TestJudge(t *testing.T) {
	edit := func(old, now string) func(*bench) {
		return func(b *bench) {
			b.Helper()
			text := fmt.Sprintf(manifest, "example.test/w:2")
			if !strings.Contains(text, old) {
				b.Fatalf("the manifest has no %q", old)
			}
			b.write(strings.Replace(text, old, now, 1))
		}
	}
	const role = "- {name: ROLE, value: cluster}"
	tests := []struct {
		name    string
		meddle  []string // kubectl's arguments, once the first version is live
		edit    func(*bench)
		force   bool
		code    pipeline.Code
		at      string // text of the line
		names   string
		warning bool
	}{
		{name: "nothing", edit: edit(role, role)},
		{name: "the image is always ours to take", meddle: []string{"set", "image", "deployment/worker", "worker=example.test/w:by-hand"}, edit: edit(role, role)},
		{name: "so it is after kubectl rollout undo", meddle: []string{"patch", "deployment/worker", "--type=json", `-p=[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.test/w:0"}]`}, edit: edit(role, role)},
		{name: "a variable by hand", meddle: []string{"set", "env", "deployment/worker", "ROLE=hand"}, edit: edit(role, role),
			code: apply.CodeConflict, at: role, names: "kubectl-set"},
		{name: "a variable by hand that becomes a reference", meddle: []string{"set", "env", "deployment/worker", "BERTH=y"},
			edit: edit(role, role+"\n            - {name: BERTH, valueFrom: {secretKeyRef: {name: keys, key: K}}}"),
			code: apply.CodeConflict, at: "name: BERTH", names: "kubectl-set"},
		{name: "with force it is taken", force: true, meddle: []string{"set", "env", "deployment/worker", "BERTH=y"},
			edit: edit(role, role+"\n            - {name: BERTH, valueFrom: {secretKeyRef: {name: keys, key: K}}}")},
		{name: "scaled by hand", meddle: []string{"scale", "deployment/worker", "--replicas=4"}, edit: edit(role, role),
			code: apply.CodeReplicas, at: "replicas: 1", names: "leave replicas out"},
		{name: "scaled by hand, and force does not scale back", force: true, meddle: []string{"scale", "deployment/worker", "--replicas=4"}, edit: edit(role, role),
			code: apply.CodeReplicas, at: "replicas: 1", names: "leave replicas out"},
		{name: "with force, the same number is not a reason", force: true, meddle: []string{"scale", "deployment/worker", "--replicas=1"}, edit: edit(role, role)},
		{name: "a variable twice", edit: edit(role, role+"\n            - {name: ROLE, value: second}"),
			code: apply.CodeEnvTwice, at: "value: second", names: "ROLE"},
		{name: "an exported revision", edit: edit("  labels: {app: worker}", "  labels: {app: worker}\n  annotations: {deployment.kubernetes.io/revision: \"7\"}"),
			code: apply.CodeExported, at: "deployment.kubernetes.io/revision", names: "exported"},
		{name: "an immutable selector", edit: func(b *bench) {
			text := fmt.Sprintf(manifest, "example.test/w:2")
			text = strings.Replace(text, "matchLabels: {app: worker}", "matchLabels: {app: worker, tier: back}", 1)
			b.write(strings.Replace(text, "      labels: {app: worker}", "      labels: {app: worker, tier: back}", 1))
		}, code: apply.CodeImmutable, at: "selector:", names: "selector"},
		{name: "no pod could be replaced", edit: edit("  selector:", "  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}\n  selector:"),
			code: apply.CodeStrategy, at: "maxUnavailable: 0", names: "maxUnavailable: 1"},
		{name: "a field that does not exist", edit: edit("  replicas: 1", "  replica: 1"), code: apply.CodeRefused, at: "replica: 1", names: "spec.replica"},
		{name: "Flux applies it", meddle: []string{"label", "deployment/worker", "kustomize.toolkit.fluxcd.io/name=apps", "kustomize.toolkit.fluxcd.io/namespace=flux-system"}, edit: edit(role, role),
			code: apply.CodeGitOps, at: "apiVersion: apps/v1", names: "flux-system/apps"},
		{name: "Argo CD applies it", meddle: []string{"annotate", "deployment/worker", "argocd.argoproj.io/tracking-id=shop:apps/Deployment:ns/worker"}, edit: edit(role, role),
			code: apply.CodeGitOps, at: "apiVersion: apps/v1", names: "shop"},
		{name: "Flux, and the user insists", force: true, meddle: []string{"label", "deployment/worker", "kustomize.toolkit.fluxcd.io/name=apps"}, edit: edit(role, role),
			code: apply.CodeGitOps, at: "apiVersion: apps/v1", warning: true},
		{name: "Flux is suspended for it", meddle: []string{"annotate", "deployment/worker", "kustomize.toolkit.fluxcd.io/reconcile=disabled"}, edit: edit(role, role)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.write(fmt.Sprintf(manifest, "example.test/w:1") + keys)
			b.apply(apply.Options{})
			if tt.meddle != nil {
				b.kubectl(tt.meddle...)
			}
			tt.edit(b)
			version := b.kubectl("get", "deployment/worker", "-o", "jsonpath={.metadata.generation}")
			found := b.judge(apply.Options{Force: tt.force})
			if after := b.kubectl("get", "deployment/worker", "-o", "jsonpath={.metadata.generation}"); after != version {
				t.Error("judging wrote something")
			}
			if tt.code == "" {
				if len(found) > 0 {
					t.Fatalf("%v", found)
				}
				b.applied(apply.Options{Force: tt.force})
				return
			}
			if len(found) != 1 {
				t.Fatalf("%d findings, want one: %v", len(found), found)
			}
			f := found[0]
			if f.Code != tt.code || f.Fix == "" || (f.Severity == pipeline.Warning) != tt.warning {
				t.Fatalf("%+v, want %s", f, tt.code)
			}
			if want := b.lineWith(tt.at); f.Where != want {
				t.Errorf("at %s, want %s", f.Where, want)
			}
			if text := f.Error(); !strings.Contains(text, tt.names) || len(text) > 500 {
				t.Errorf("%q does not name %q, or is too long", text, tt.names)
			}
		})
	}
}

// applied applies in earnest what was judged to be fine.
func (b *bench) applied(o apply.Options) {
	b.Helper()
	o.Target, o.Container = b.ref, "worker"
	if _, err := apply.Apply(b.Context(), b.conn, b.load(), o); err != nil {
		b.Fatalf("judged to be fine, and refused: %v", err)
	}
	d := b.deployment()
	c := d.Spec.Template.Spec.Containers[0]
	if c.Image != "example.test/w:2" {
		b.Errorf("image %s", c.Image)
	}
	for _, e := range c.Env {
		if e.Name == "BERTH" && (e.Value != "" || e.ValueFrom == nil) {
			b.Errorf("variable %+v, want the reference alone", e)
		}
	}
}

// TestOwnFields: the image, the change cause and the last applied configuration are
// a rollout's to set, whoever set them last, in the dry run as in the real one.
func TestOwnFields(t *testing.T) {
	const mine = "sbw rollout 2"
	o := apply.Options{Annotations: map[string]string{apply.ChangeCause: mine}}
	tests := []struct {
		name   string
		meddle func(*bench)
	}{
		{"kubectl annotate", func(b *bench) {
			b.kubectl("annotate", "--overwrite", "deployment/worker", apply.ChangeCause+"=by hand")
		}},
		{"kubectl set image and annotate", func(b *bench) {
			b.kubectl("set", "image", "deployment/worker", "worker=example.test/w:by-hand")
			b.kubectl("annotate", "--overwrite", "deployment/worker", apply.ChangeCause+"=by hand")
		}},
		{"kubectl apply --server-side", func(b *bench) {
			b.kubectl("apply", "--server-side", "--force-conflicts", "-f", b.file)
		}},
		{"another applier", func(b *bench) {
			b.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=ci", "-f", b.file)
			b.kubectl("set", "image", "deployment/worker", "worker=example.test/w:by-hand", "--field-manager=jenkins")
		}},
	}
	for _, tt := range tests {
		start := func(t *testing.T) *bench {
			b := newBench(t)
			b.image("example.test/w:1")
			b.kubectl("apply", "-f", b.file)
			tt.meddle(b)
			b.image("example.test/w:2")
			return b
		}
		check := func(b *bench) {
			b.Helper()
			if d := b.deployment(); d.Annotations[apply.ChangeCause] != mine || d.Spec.Template.Spec.Containers[0].Image != "example.test/w:2" {
				b.Errorf("%v %s", d.Annotations, d.Spec.Template.Spec.Containers[0].Image)
			}
		}
		t.Run(tt.name, func(t *testing.T) {
			b := start(t)
			if found := b.judge(o); len(found) > 0 {
				t.Fatal(found)
			}
			b.applied(o)
			check(b)
		})
		t.Run(tt.name+" with the image alone", func(t *testing.T) {
			b := start(t)
			o := o
			o.Target, o.Container = b.ref, "worker"
			for _, o.DryRun = range []bool{true, false} {
				if _, err := apply.Image(t.Context(), b.conn, b.ref, "worker", "example.test/w:2", o); err != nil {
					t.Fatalf("dry run %t: %v", o.DryRun, err)
				}
			}
			check(b)
		})
	}
}

// TestJudgeFindsEverythingAtOnce: several problems in several objects, none of
// which hides another.
func TestJudgeFindsEverythingAtOnce(t *testing.T) {
	b := newBench(t)
	job := func(image string) string {
		return fmt.Sprintf("---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: m, image: %q}]\n", image)
	}
	b.write(fmt.Sprintf(manifest, "example.test/w:1") + job("example.test/m:1"))
	b.apply(apply.Options{})
	b.kubectl("scale", "deployment/worker", "--replicas=4")
	b.kubectl("set", "env", "deployment/worker", "ROLE=hand")
	b.write(fmt.Sprintf(manifest, "example.test/w:2") + job("example.test/m:2"))
	codes := map[pipeline.Code]int{}
	for _, f := range b.judge(apply.Options{}) {
		codes[f.Code]++
		if text := f.Error(); len(text) > 500 || strings.Contains(text, "core.PodTemplateSpec{") {
			t.Errorf("a dump of Go structs: %s", text)
		}
	}
	if len(codes) != 3 || codes[apply.CodeReplicas] != 1 || codes[apply.CodeConflict] != 1 || codes[apply.CodeImmutable] != 1 {
		t.Errorf("%v", codes)
	}
}

// The API server cannot validate an object of a kind that the same file defines.
func TestKindThatTheManifestDefines(t *testing.T) {
	b := newBench(t)
	b.write(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: piers.example.com}
spec: {group: example.com, scope: Namespaced, names: {kind: Pier, plural: piers}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}
---
apiVersion: example.com/v1
kind: Pier
metadata: {name: one}
`)
	_, err := apply.Load(t.Context(), b.conn, apply.Source{Filenames: []string{b.file}})
	if code(err) != string(apply.CodeCRD) {
		t.Fatal(err)
	}
}
