package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestNoConfigurationIsTheSeedsRepository(t *testing.T) {
	c, err := Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Worker("")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(DefaultName), w); diff != "" {
		t.Error(diff)
	}
	if w.Build.Dockerfile != "packages/system-bus/Dockerfile" || w.Deploy.Manifest != "k8s/system-bus-worker.yaml" || w.Probe.Port != 3111 {
		t.Errorf("defaults: %+v", w)
	}
}

const full = `
workers:
  system-bus-worker:
    image: ghcr.io/joelhooks/system-bus-worker
    build:   {context: ., dockerfile: packages/system-bus/Dockerfile, platforms: [linux/arm64], args: {A: "1"}, layerReuse: false, compression: gzip}
    deploy:  {manifest: k8s/system-bus-worker.yaml, namespace: joelclaw, deployment: system-bus-worker, container: system-bus-worker, timeout: 90s}
    probe:   {path: /, port: 3111}
    inngest: {service: inngest-svc, port: 8288, app: system-bus-cluster, path: /api/inngest}
    allow:   {zeroRetries: {voice-worker-canary: "a canary; losing one is its signal"}}
    credentials: {command: [secrets, lease, ghcr_pat, --ttl, 20m]}
    hooks:   {receipt: [slog, write, --action, deploy, --tool, system-bus-worker]}
  docs-api:
    deploy: {kind: StatefulSet}
`

func TestSeveralWorkers(t *testing.T) {
	c, err := Parse(ConfigName, []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"docs-api", "system-bus-worker"}, c.Names()); diff != "" {
		t.Error(diff)
	}
	w, err := c.Worker("")
	if err != nil {
		t.Fatal(err)
	}
	if w.Deploy.Timeout != 90*time.Second || w.Credentials.Command[1] != "lease" || w.Build.Args["A"] != "1" || w.Build.LayerReuse || w.Build.Compression != "gzip" {
		t.Errorf("%+v", w)
	}
	d, err := c.Worker("docs-api")
	if err != nil {
		t.Fatal(err)
	}
	if d.Deploy.Kind != "StatefulSet" || d.Deploy.Deployment != "docs-api" || d.Build.Dockerfile != "Dockerfile" || d.Name != "docs-api" || !d.Build.LayerReuse || d.Build.Compression != "zstd" {
		t.Errorf("%+v", d)
	}
	if _, err := c.Worker("docs-ap"); err == nil || !strings.Contains(err.Error(), "did you mean docs-api?") {
		t.Errorf("%v", err)
	}
}

func TestMistakesAreReportedWithTheirLine(t *testing.T) {
	for name, tc := range map[string]struct {
		src  string
		want []string
	}{
		"unknown key": {"workers:\n  w:\n    probe:\n      prot: 1\n", []string{".sbw.yaml:4: unknown key workers.w.probe.prot; did you mean port?"}},
		"unknown top": {"worker:\n  w: {}\n", []string{".sbw.yaml:1: unknown key worker; did you mean workers?"}},
		"no worker":   {"catalog: {indexes: [a.ts]}\n", []string{".sbw.yaml:1: unknown key catalog; write it under a worker's name: workers.NAME.catalog"}},
		"far key":     {"workers: {w: {deploy: {zzz: 1}}}\n", []string{"unknown key workers.w.deploy.zzz; known keys: manifest, namespace"}},
		"wrong types": {"workers:\n  w:\n    probe: {port: http}\n    build: {platforms: linux/arm64}\n    deploy: {timeout: 180}\n",
			[]string{`.sbw.yaml:3: workers.w.probe.port must be a whole number, not "http"`, `.sbw.yaml:4: workers.w.build.platforms must be a list`, `.sbw.yaml:5: workers.w.deploy.timeout must be a duration`}},
		"a fraction":  {"workers:\n  w: {probe: {port: 3.5}}\n", []string{`port must be a whole number, not "3.5"; write digits alone`}},
		"not a bool":  {"workers:\n  w: {build: {layerReuse: maybe}}\n", []string{`.sbw.yaml:2: workers.w.build.layerReuse must be true or false, not "maybe"`}},
		"compression": {"workers:\n  w: {build: {compression: xz}}\n", []string{`build.compression "xz"`}},
		"twice":       {"workers:\n  w: {image: a.b/c, image: a.b/d}\n", []string{"workers.w.image occurs twice"}},
		"no anchor":   {"workers:\n  a: {build: &b {}}\n  c:\n    build: *bb # *b\n    probe: *b\n", []string{".sbw.yaml:4: the file is not valid YAML"}},
		"not yaml":    {"workers:\n\t- x\n", []string{".sbw.yaml:2: the file is not valid YAML"}},
		"a list":      {"- a\n", []string{".sbw.yaml:1: the configuration must be a mapping, not a list"}},
		"upper case":  {"workers:\n  w: {image: ghcr.io/JoelHooks/w}\n", []string{"upper case"}},
		"reason":      {"workers:\n  w: {allow: {zeroRetries: {f: ' '}}}\n", []string{"has no reason"}},
		"kind":        {"workers:\n  w: {deploy: {kind: Job}}\n", []string{`deploy.kind "Job"`}},
		"port":        {"workers:\n  w: {probe: {port: 99999}}\n", []string{"99999 is not a valid port"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(ConfigName, []byte(tc.src))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in\n%v", want, err)
				}
			}
			for _, f := range pipeline.AsFindings("config", err) {
				if f.End != pipeline.Usage {
					t.Errorf("%v: end %v, want usage", f, f.End)
				}
			}
		})
	}
}

func TestAmbiguousWorker(t *testing.T) {
	c, err := Parse(ConfigName, []byte("workers: {a: {}, b: {}}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Worker(""); err == nil || !strings.Contains(err.Error(), "--worker: a, b") {
		t.Errorf("%v", err)
	}
}

// TestChoice: the note names the worker that was chosen by default.
func TestChoice(t *testing.T) {
	for _, tt := range []struct{ src, name, want string }{
		{"", "", ""}, {"workers: {a: {}}", "", ""}, {"workers: {system-bus-worker: {}}", "", ""},
		{"workers: {b: {}, system-bus-worker: {}, a: {}}", "", "worker system-bus-worker, the default of .sbw.yaml; choose another one with --worker: a, b"},
		{"workers: {b: {}, system-bus-worker: {}}", "b", ""},
	} {
		c, err := Parse(ConfigName, []byte(tt.src))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Choice(tt.name); got != tt.want {
			t.Errorf("%s: %q", tt.src, got)
		}
	}
}

// TestUnreadable: an unreadable configuration is never treated as a missing one.
func TestUnreadable(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"directory":        func(path string) error { return os.Mkdir(path, 0o755) },
		"link to nowhere":  func(path string) error { return os.Symlink("nowhere", path) },
		"link to itself":   func(path string) error { return os.Symlink(ConfigName, path) },
		"link to a device": func(path string) error { return os.Symlink(os.DevNull, path) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := create(filepath.Join(root, ConfigName)); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(root); err == nil || !strings.Contains(err.Error(), "cannot read .sbw.yaml") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestValuesAreRefusedAtTheirLine: names of images and platforms have one
// grammar, and what it refuses is refused here, at the line of the value.
func TestValuesAreRefusedAtTheirLine(t *testing.T) {
	for _, value := range []string{
		"image: ghcr.io/o/a..b", "image: ghcr.io/o/a___b", "image: ghcr.io/o/a._b", "image: o/n", "image: ghcr.io/o/n:t",
		"image: ghcr.io/o/n@sha256:x", "image: ghcr.io/", "image: [a]", "image: https://ghcr.io/o/n",
		"deploy: {kind: Job}", "deploy: {namespace: A_b}", "deploy: {container: ''}", "deploy: {restarts: -1}", "build: {compression: xz}",
		"inngest: {port: 0}", "inngest: {path: api}", "inngest: {path: '/a b'}", "allow: {zeroRetries: {a.b: ' '}}",
		"build: {platforms: [linux/riscv]}", "build: {platforms: [arm64]}", "build: {platforms: [linux/amd64/v9]}", "build: {platforms: [{}]}",
	} {
		_, err := Parse(ConfigName, []byte("workers:\n  w:\n    probe: {port: 80}\n    "+value+"\n"))
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != "config" || f.End != pipeline.Usage || f.Where != ".sbw.yaml:4" {
			t.Errorf("%s: %+v, %v", value, f, err)
		}
	}
	c, err := Parse(ConfigName, []byte("workers: {w: {image: ghcr.io/o/n, build: {platforms: [linux/arm64/v8, linux/amd64]}}}"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Worker("")
	if err != nil || w.Image.String() != "ghcr.io/o/n" || !slices.Equal(imageref.PlatformNames(w.Build.Platforms), []string{"linux/arm64", "linux/amd64"}) {
		t.Errorf("%+v, %v", w, err)
	}
}

// TestProbePaths: a path may only contain what a request line can.
func TestProbePaths(t *testing.T) {
	for path, ok := range map[string]bool{
		"/": true, "/healthz?full=1": true, "/a%20b": true, "/é": false, "healthz": false, "": false, `"healthz\nx"`: false, `"/x\n"`: false, "'/a b'": false, "/a#b": false,
		"/a%zz": false, "http://x/y": false, `"/\0"`: false,
	} {
		_, err := Parse(ConfigName, []byte("workers:\n  w:\n    probe:\n      path: "+path+"\n"))
		f, _ := errors.AsType[*pipeline.Finding](err)
		if path == "" {
			ok = true // a key without a value keeps the default
		}
		if ok != (err == nil) || f != nil && (f.Where != ".sbw.yaml:4" || f.End != pipeline.Usage) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestOneDocument: a second document is not silently dropped.
func TestOneDocument(t *testing.T) {
	const first = "workers:\n  a: {}\n"
	for text, where := range map[string]string{
		first:                                  "",
		"---\n" + first:                        "",
		"---\n" + first + "...\n":              "",
		first + "---\n":                        "",
		first + "---\n# nothing\n---\n":        "",
		first + "---\nworkers:\n  b: {}\n":     ".sbw.yaml:3",
		first + "\n# x\n---\n# y\nworkers: {}": ".sbw.yaml:5",
		first + "---\n---\nworkers: {}\n":      ".sbw.yaml:4",
		"---\n---\n" + first:                   ".sbw.yaml:2",
		first + "---\n\tx\n":                   ".sbw.yaml:4",
	} {
		_, err := Parse(ConfigName, []byte(text))
		f, ok := errors.AsType[*pipeline.Finding](err)
		if ok != (where != "") || ok && (f.Where != where || f.End != pipeline.Usage) {
			t.Errorf("%q: %v, want %q", text, err, where)
		}
	}
}

// TestSchema: the schema accepts valid files, refuses what Parse refuses, and describes
// every key.
func TestSchema(t *testing.T) {
	text, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", raw); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for src, ok := range map[string]bool{
		full: true, "workers:": true, "workers: {w: {}}": true, "workers: {w: {probe: {path: }}}": true, "workers: {w: }": true,
		"worker: {}": false, "workers: {w: {prob: {}}}": false, "workers: {w: {probe: {port: 99999}}}": false, "workers: {w: {probe: {path: x}}}": false,
		"workers: {w: {deploy: {kind: Job}}}": false, "workers: {w: {deploy: {timeout: 180}}}": false, "workers: {w: {build: {platforms: linux/arm64}}}": false,
		"workers: {w: {build: {layerReuse: maybe}}}": false, "workers: {w: {probe: tcp, inngest: none}}": true, "workers: {w: {probe: udp}}": false,
		"workers: {w: {inngest: off}}": false, "workers: {w: {probe: {type: h2c, path: /health}}}": true, "workers: {w: {probe: {type: udp}}}": false,
		"workers: {w: {hooks: {proven: [a], provenRequired: true}}}": true, "workers: {w: {hooks: {provenRequired: 1}}}": false, "workers: {w: {catalog: {checks: {x: loud}}}}": false, "workers: {w: {build: {compression: xz}}}": false,
	} {
		var v any
		if err := yaml.Unmarshal([]byte(src), &v); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); (err == nil) != ok {
			t.Errorf("%s: %v", src, err)
		}
	}
	used := map[string]bool{}
	var walk func(at string, v map[string]any)
	walk = func(at string, v map[string]any) {
		properties, _ := v["properties"].(map[string]any)
		for key, p := range properties {
			path := strings.TrimPrefix(at+"."+key, ".")
			used[path] = true
			if descriptions[path] == "" {
				t.Errorf("%s is not described", path)
			}
			walk(path, p.(map[string]any))
		}
	}
	walk("", Schema()["properties"].(map[string]any)["workers"].(map[string]any)["additionalProperties"].(map[string]any))
	for path := range descriptions {
		if !used[path] {
			t.Errorf("%s is described, but is not a key", path)
		}
	}
}

// TestWithoutInngestOrHTTP: one word turns a section off or names its type.
func TestWithoutInngestOrHTTP(t *testing.T) {
	for src, want := range map[string]struct {
		off         bool
		kind, path  string
		port, index int
	}{
		"":                {false, ProbeHTTP, "/", 3111, 2},
		"inngest: none":   {true, ProbeHTTP, "/", 3111, 0},
		"inngest: 'none'": {true, ProbeHTTP, "/", 3111, 0},
		"inngest: none, catalog: {indexes: [a.ts]}": {true, ProbeHTTP, "/", 3111, 1},
		"inngest: ":                      {false, ProbeHTTP, "/", 3111, 2},
		"probe: none":                    {false, ProbeNone, "", 3111, 2},
		"probe: tcp":                     {false, ProbeTCP, "", 3111, 2},
		"probe: {type: tcp, port: 9080}": {false, ProbeTCP, "", 9080, 2},
		"probe: {type: none, path: }":    {false, ProbeNone, "", 3111, 2},
		"probe: h2c":                     {false, ProbeH2C, "/", 3111, 2},
		"probe: {type: h2c, path: /health, port: 9080}": {false, ProbeH2C, "/health", 9080, 2},
		"probe: {path: /health, port: 3838}":            {false, ProbeHTTP, "/health", 3838, 2},
		"probe: {type: }":                               {false, ProbeHTTP, "/", 3111, 2},
	} {
		c, err := Parse(ConfigName, []byte("workers: {system-bus-worker: {"+src+"}}"))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		w, err := c.Worker("")
		if err != nil {
			t.Fatal(err)
		}
		if w.Inngest.Off != want.off || w.Probe.Type != want.kind || w.Probe.Path != want.path || w.Probe.Port != want.port || len(w.Catalog.Indexes) != want.index {
			t.Errorf("%s: %+v %+v %v", src, w.Inngest, w.Probe, w.Catalog.Indexes)
		}
	}
	for _, src := range []string{
		"probe: udp", "probe: ''", "probe: 3111", "probe: [tcp]", "inngest: off", "inngest: false", "inngest: tcp", "probe: {type: udp}", "probe: {type: TCP}",
		"probe: {type: tcp, path: /healthz}", "probe: {type: none, expect: ok}", "hooks: {provenRequired: true}", "hooks: {proven: run.sh}",
	} {
		_, err := Parse(ConfigName, []byte("workers:\n  w:\n    image: ghcr.io/o/n\n    "+src+"\n"))
		if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.End != pipeline.Usage || f.Where != ".sbw.yaml:4" {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("workers: &a {w: *a}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse(ConfigName, src)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
	})
}
