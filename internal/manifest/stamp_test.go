package manifest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const newRef = "ghcr.io/o/w:20260302-090000@sha256:0000000000000000000000000000000000000000000000000000000000000001"

var target = Target{File: "k8s/w.yaml", Kind: "Deployment", Namespace: "ns", Name: "w", Container: "w"}

// deployment returns a manifest with the given containers.
func deployment(containers string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: w\n  namespace: ns\nspec:\n  template:\n    spec:\n      containers:\n" + containers
}

// In these sources the bytes that must be replaced are between ⟦ and ⟧.
var stamped = map[string]string{
	"plain":                deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"no newline at end":    deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧"),
	"comment after":        deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧   # keep me: ghcr.io/o/w:1\n"),
	"comment before":       deployment("      - name: w\n        # image: ghcr.io/o/w:1\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"image before name":    deployment("      - image: ⟦ghcr.io/o/w:1⟧\n        name: w\n"),
	"on the next line":     deployment("      - name: w\n        image:\n          ⟦ghcr.io/o/w:1⟧\n"),
	"single quotes":        deployment("      - name: w\n        image: '⟦ghcr.io/o/w:1⟧' # x\n"),
	"double quotes":        deployment("      - name: w\n        image: \"⟦ghcr.io/o/w:1⟧\"\n"),
	"escapes":              deployment("      - name: w\n        image: \"⟦ghcr.io/o\\x2fw:1⟧\"\n"),
	"escaped quote":        deployment("      - name: w\n        image: \"⟦a\\\"b⟧\"\n"),
	"doubled quote":        deployment("      - name: w\n        image: '⟦a''b⟧'\n"),
	"empty quotes":         deployment("      - name: w\n        image: \"⟦⟧\"\n"),
	"quoted over lines":    deployment("      - name: w\n        image: \"⟦ghcr.io/o/\\\n          w:1⟧\"\n"),
	"quoted key":           deployment("      - \"name\": w\n        'image': ⟦ghcr.io/o/w:1⟧\n"),
	"explicit key":         deployment("      - name: w\n        ? image\n        : ⟦ghcr.io/o/w:1⟧\n"),
	"unused anchor":        deployment("      - name: w\n        image: &img ⟦ghcr.io/o/w:1⟧\n"),
	"tag":                  deployment("      - name: w\n        image: !!str ⟦ghcr.io/o/w:1⟧\n"),
	"anchor and tag":       deployment("      - name: w\n        image: &i !!str\n          # here\n          '⟦ghcr.io/o/w:1⟧'\n"),
	"tag on quotes":        deployment("      - name: w\n        image: ! \"⟦ghcr.io/o/w:1⟧\"\n"),
	"folded block":         deployment("      - name: w\n        image: >-\n          ⟦ghcr.io/o/w:1⟧\n        tty: true\n"),
	"literal block":        deployment("      - name: w\n        image: |- # why\n          ⟦ghcr.io/o/w:1⟧\n\n        tty: true\n"),
	"flow":                 deployment("        [{name: w, image: ⟦ghcr.io/o/w:1⟧, tty: true}]\n"),
	"flow, tight":          deployment("        [{\"name\":\"w\",\"image\":\"⟦ghcr.io/o/w:1⟧\"}]\n"),
	"second container":     deployment("      - name: side\n        image: ghcr.io/o/w:1\n      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"init container":       deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n      initContainers:\n      - name: w\n        image: ghcr.io/o/w:1\n"),
	"env that looks alike": deployment("      - name: w\n        env:\n        - {name: image, value: 'ghcr.io/o/w:1'}\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"wide characters":      deployment("      - {name: w, tty: true, workingDir: \"/日本語/🙂\", image: ⟦ghcr.io/o/w:1⟧}\n"),
	"tabs":                 deployment("      - name:\tw\n        image:\t \t⟦ghcr.io/o/w:1⟧\t# tab\n"),
	"no namespace":         strings.Replace(deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"), "  namespace: ns\n", "", 1),
	"byte order mark":      "\ufeff" + deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"mark, first line":     "\ufeff{kind: Deployment, metadata: {name: w}, spec: {template: {spec: {containers: [{name: w, image: ⟦a/b⟧}]}}}}",
	"CRLF":                 strings.ReplaceAll("# über\n"+deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n        tty: true\n"), "\n", "\r\n"),
	"CR":                   strings.ReplaceAll(deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n        tty: true\n"), "\n", "\r"),
	"mixed line ends":      strings.Replace(deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"), "\n", "\r\n", 3),
	"line separator":       "# a\u2028# b\n" + deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"documents": "# first\n---\napiVersion: v1\nkind: Service\nmetadata: {name: w, namespace: ns}\n---\n" +
		deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n") + "...\n--- # last\nkind: ConfigMap\ndata:\n  x: |\n    image: ghcr.io/o/w:1\n",
	"another deployment": strings.ReplaceAll(deployment("      - name: w\n        image: ghcr.io/o/w:1\n"), "name: w\n  namespace", "name: v\n  namespace") +
		"---\n" + deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"another namespace": strings.ReplaceAll(deployment("      - name: w\n        image: ghcr.io/o/w:1\n"), "namespace: ns", "namespace: prod") +
		"---\n" + deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"another kind": strings.ReplaceAll(deployment("      - name: w\n        image: ghcr.io/o/w:1\n"), "Deployment", "DaemonSet") +
		"---\n" + deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"List":                "apiVersion: v1\nkind: List\nitems:\n- kind: Service\n  metadata: {name: w}\n- kind: Deployment\n  metadata: {name: w}\n  spec: {template: {spec: {containers: [{name: w, image: ⟦ghcr.io/o/w:1⟧}]}}}\n",
	"DeploymentList":      "kind: DeploymentList\nitems:\n- metadata: {name: w}\n  spec: {template: {spec: {containers: [{name: w, image: ⟦ghcr.io/o/w:1⟧}]}}}\n",
	"duplicate elsewhere": deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n        tty: true\n        tty: false\n"),
	"merge that overrides": "x-base: &base\n  image: ghcr.io/o/w:0\n  tty: true\n" +
		deployment("      - <<: *base\n        name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"),
	"merged, used once": "x-base: &base\n  image: ⟦ghcr.io/o/w:1⟧\n  tty: true\n" +
		deployment("      - <<: *base\n        name: w\n"),
	"alias, used once":              "x-image: &img ⟦ghcr.io/o/w:1⟧\n" + deployment("      - name: w\n        image: *img\n"),
	"anchored container overridden": deployment("      - &c\n        name: w\n        image: ⟦ghcr.io/o/w:1⟧\n      - <<: *c\n        name: v\n        image: b\n"),
	"anchor of other things":        deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n        env: &e []\n      - name: v\n        env: *e\n"),
	"JSON":                          `{"kind":"Deployment","metadata":{"name":"w","namespace":"ns"},"spec":{"template":{"spec":{"containers":[{"name":"w","image":"⟦ghcr.io/o/w:1⟧"}]}}}}` + "\n",
	"JSON, indented with tabs":      "{\n\t\"kind\": \"Deployment\",\n\t\"metadata\": {\"name\": \"w\"},\n\t\"spec\": {\"template\": {\"spec\": {\"containers\": [\n\t\t{\"name\": \"w\",\n\t\t\"image\": \"⟦ghcr.io\\/o\\\\\\\"/w:1⟧\"}\n\t]}}}\n}",
	"JSON with surrogates":          `{"x":"\ud83d\ude00\"","kind":"Deployment","metadata":{"name":"w"},"spec":{"template":{"spec":{"containers":[{"image":"⟦ghcr.io/o/w:1⟧","name":"w"}]}}}}`,
	"JSON stream":                   `{"kind":"Service","metadata":{"name":"w"}}` + "\n" + `{"kind":"Deployment","metadata":{"name":"w"},"spec":{"template":{"spec":{"containers":[{"image":"⟦ghcr.io/o/w:1⟧","name":"w"}]}}}}`,
}

func split(marked string) (src, want string) {
	before, rest, _ := strings.Cut(marked, "⟦")
	old, after, _ := strings.Cut(rest, "⟧")
	return before + old + after, before + newRef + after
}

func TestStamp(t *testing.T) {
	for name, marked := range stamped {
		t.Run(name, func(t *testing.T) {
			src, want := split(marked)
			out, e, err := Stamp([]byte(src), target, newRef)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, string(out)); d != "" {
				t.Errorf("stamped (-want +got):\n%s", d)
			}
			if e.New != newRef || !e.Changed() {
				t.Errorf("edit = %+v", e)
			}
			// Stamping again changes nothing, and stamping the old value restores the
			// original bytes if that value needs no quotes.
			again, e2, err := Stamp(out, target, newRef)
			if err != nil || e2.Changed() || string(again) != string(out) {
				t.Errorf("stamping again: %v, %+v", err, e2)
			}
			if plainRef.MatchString(e.Old) && strings.Contains(src, e.Old) && !strings.Contains(name, "over lines") && !strings.Contains(name, "escapes") {
				back, _, err := Stamp(out, target, e.Old)
				if err != nil || string(back) != src {
					t.Errorf("stamping back: %v, %s", err, cmp.Diff(src, string(back)))
				}
			}
		})
	}
}

func TestStampQuotesWhatWouldBeANumber(t *testing.T) {
	src, _ := split(deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1⟧\n"))
	for ref, want := range map[string]string{"12:30": `image: "12:30"`, "1e3": `image: "1e3"`, "null": `image: "null"`, "yes": `image: "yes"`, "redis:7": `image: redis:7`} {
		out, _, err := Stamp([]byte(src), target, ref)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: got %s", ref, out)
		}
	}
}

func TestStampWorker(t *testing.T) {
	src, err := os.ReadFile("testdata/worker.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const ref = "ghcr.io/joelhooks/system-bus-worker:20260302-090000"
	out, e, err := Stamp(src, Target{Kind: "Deployment", Namespace: "joelclaw", Name: "system-bus-worker", Container: "system-bus-worker"}, ref)
	if err != nil {
		t.Fatal(err)
	}
	if e.Line != 27 || e.Old != "ghcr.io/joelhooks/system-bus-worker:20260301-101500" || len(e.Also) != 0 {
		t.Errorf("edit = %+v", e)
	}
	if want := strings.Replace(string(src), ":20260301-101500", ":20260302-090000", 1); string(out) != want {
		t.Error(cmp.Diff(want, string(out)))
	}
}

func TestStampRefuses(t *testing.T) {
	plain := "      - name: w\n        image: ghcr.io/o/w:1\n"
	for name, tt := range map[string]struct{ src, code, where, says string }{
		"no YAML":                           {"kind: Deployment\n  bad: [\n", "manifest-not-yaml", "k8s/w.yaml:2", "neither"},
		"UTF-16":                            {"\xff\xfek\x00", "manifest-encoding", "k8s/w.yaml", "UTF-8"},
		"template":                          {"{{- if .Values.on }}\nkind: Deployment\n{{ end }}\n", "manifest-template", "k8s/w.yaml:1", "template"},
		"template expression":               {deployment("      - name: w\n        image: {{ .Values.image }}\n"), "manifest-template", "k8s/w.yaml:11", "template"},
		"quoted expression":                 {deployment("      - name: w\n        image: \"{{ .Values.image }}\"\n"), "manifest-template", "k8s/w.yaml:11", "placeholder"},
		"envsubst":                          {deployment("      - name: w\n        image: ghcr.io/o/w:${TAG}\n"), "manifest-template", "k8s/w.yaml:11", "${TAG}"},
		"empty":                             {"", "manifest-no-workload", "k8s/w.yaml", "Deployment ns/w"},
		"comments only":                     {"# nothing\n", "manifest-no-workload", "k8s/w.yaml", "no object"},
		"other name":                        {strings.Replace(deployment(plain), "name: w\n  n", "name: v\n  n", 1), "manifest-no-workload", "k8s/w.yaml", "it has Deployment ns/v"},
		"other namespace":                   {strings.Replace(deployment(plain), "namespace: ns", "namespace: prod", 1), "manifest-no-workload", "k8s/w.yaml", "prod/w"},
		"twice":                             {deployment(plain) + "---\n" + deployment(plain), "manifest-ambiguous", "k8s/w.yaml:13", "2 times"},
		"with and without ns":               {strings.Replace(deployment(plain), "  namespace: ns\n", "", 1) + "---\n" + deployment(plain), "manifest-ambiguous", "k8s/w.yaml:12", "2 times"},
		"other container":                   {deployment("      - name: app\n        image: x\n      - name: web\n"), "manifest-no-container", "k8s/w.yaml:1", "it has app, web"},
		"no containers":                     {"kind: Deployment\nmetadata: {name: w}\n", "manifest-no-container", "k8s/w.yaml:1", "no containers"},
		"two containers with the same name": {deployment(plain + plain), "manifest-duplicate-key", "k8s/w.yaml:12", "name: w"},
		"no image":                          {deployment("      - name: w\n        tty: true\n"), "manifest-no-image", "k8s/w.yaml:10", "no image"},
		"empty image":                       {deployment("      - name: w\n        image:\n"), "manifest-no-image", "k8s/w.yaml:11", "empty"},
		"image is a list":                   {deployment("      - name: w\n        image: [a]\n"), "manifest-no-image", "k8s/w.yaml:11", "not a text"},
		"duplicate image":                   {deployment(plain + "        image: ghcr.io/o/w:2\n"), "manifest-duplicate-key", "k8s/w.yaml:12", `"image" occurs 2 times`},
		"duplicate containers":              {deployment(plain) + "      containers: []\n", "manifest-duplicate-key", "k8s/w.yaml:12", "containers"},
		"duplicate name":                    {strings.Replace(deployment(plain), "  name: w\n", "  name: w\n  name: v\n", 1), "manifest-duplicate-key", "k8s/w.yaml:5", "name"},
		"alias":                             {"metadata: {annotations: {i: &img ghcr.io/o/w:1}}\nkind: X\n---\n" + deployment("      - name: w\n        image: *img\n"), "manifest-shared-image", "k8s/w.yaml:1", "2 places"},
		"anchor used by another":            {deployment("      - name: w\n        image: &i ghcr.io/o/w:1\n      - name: v\n        image: *i\n"), "manifest-shared-image", "k8s/w.yaml:11", "2 places"},
		"container used again":              {deployment("      - &c\n        name: w\n        image: ghcr.io/o/w:1\n      - <<: *c\n        name: v\n"), "manifest-shared-image", "k8s/w.yaml:12", "2 places"},
		"two lines":                         {deployment("      - name: w\n        image: ghcr.io/o/w:1\n          more\n"), "manifest-image-form", "k8s/w.yaml:11", "form"},
		"clipped block":                     {deployment("      - name: w\n        image: |\n          ghcr.io/o/w:1\n"), "manifest-image-form", "k8s/w.yaml:11", "form"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Stamp([]byte(tt.src), target, newRef)
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok {
				t.Fatalf("got %v, want a finding", err)
			}
			if string(f.Code) != tt.code || f.Where != tt.where || !strings.Contains(f.Error(), tt.says) || f.Fix == "" || strings.Contains(f.Error(), "\n") {
				t.Errorf("got %s: %v", f.Code, f)
			}
		})
	}
}

func TestStampRefusesReferences(t *testing.T) {
	for _, ref := range []string{"", "a b", "a: b", "a:", "a #b", "'a'", "a\nb", "{a}", "*a", "ghcr.io/o/w:1\n"} {
		_, _, err := Stamp([]byte(deployment("      - name: w\n        image: a\n")), target, ref)
		if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != "manifest-image-ref" {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

func TestAlso(t *testing.T) {
	src := deployment("      - name: w\n        image: ghcr.io/o/w:1\n        env: [{name: SELF, value: 'ghcr.io/o/w:1'}, {name: REPO, value: ghcr.io/o/w}]\n        args: [--image=x, 'ghcr.io/o/w:0']\n"+
		"      - name: side\n        image: ghcr.io/o/w@sha256:aa\n      - name: db\n        image: redis:7\n      initContainers:\n      - name: w\n        image: ghcr.io/o/w\n") + `---
kind: StatefulSet
metadata: {name: v}
spec: {template: {spec: {containers: [{name: v, image: ghcr.io/o/w:9}]}}}
---
apiVersion: v1
kind: List
items:
- kind: CronJob
  metadata: {name: nightly, namespace: ns}
  spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: n, image: "ghcr.io/o/w:1"}]}}}}}
- {kind: Pod, metadata: {name: p}, spec: {containers: [{name: n, image: ghcr.io/o/w-other:1}]}}
- {kind: Robot, metadata: {name: r}, spec: {runner: {image: ghcr.io/o/w:1}}}
- {kind: ConfigMap, metadata: {name: c}, data: {image: ghcr.io/o/w:2, of: ghcr.io/o, text: "see ghcr.io/o/w:1"}}
`
	_, e, err := Stamp([]byte(src), target, newRef)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range e.Also {
		got = append(got, fmt.Sprintf("%s:%d %s %s", u.File, u.Line, u, u.Image))
	}
	if d := cmp.Diff([]string{
		"k8s/w.yaml:12 env SELF of container w of Deployment ns/w ghcr.io/o/w:1",
		"k8s/w.yaml:13 args[1] of container w of Deployment ns/w ghcr.io/o/w:0",
		"k8s/w.yaml:15 container side of Deployment ns/w ghcr.io/o/w@sha256:aa",
		"k8s/w.yaml:20 container w of Deployment ns/w ghcr.io/o/w",
		"k8s/w.yaml:24 container v of StatefulSet v ghcr.io/o/w:9",
		"k8s/w.yaml:31 container n of CronJob ns/nightly ghcr.io/o/w:1",
		"k8s/w.yaml:33 spec.runner.image of Robot r ghcr.io/o/w:1",
		"k8s/w.yaml:34 data.image of ConfigMap c ghcr.io/o/w:2",
	}, got); d != "" {
		t.Error(d)
	}
}

// TestNames checks short names, which may also be those of a host or a label.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		value   string
		isImage bool
		want    bool
	}{
		{"lamp", true, true}, {"lamp:v2", true, true}, {"lamp", false, false}, {"lamp:3111", false, false}, {"lamp:v1", false, true},
		{"lamp/x", true, false}, {"", true, false}, {"docker.io/lamp:v1", true, false},
	} {
		if got := names(tt.value, tt.isImage, "lamp:v1", "ghcr.io/o/lamp:v2"); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestRepository(t *testing.T) {
	for ref, want := range map[string]string{
		"redis": "redis", "redis:7": "redis", "localhost:5000/a": "localhost:5000/a",
		"localhost:5000/a:1@sha256:aa": "localhost:5000/a", "ghcr.io/o/w@sha256:aa": "ghcr.io/o/w", "": "",
	} {
		if got := Repository(ref); got != want {
			t.Errorf("Repository(%q) = %q, want %q", ref, got, want)
		}
	}
}
