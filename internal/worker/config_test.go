package worker

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func TestWhatIsWrongIsSaidWithItsLine(t *testing.T) {
	for name, tc := range map[string]struct {
		src  string
		want []string
	}{
		"unknown key": {"workers:\n  w:\n    probe:\n      prot: 1\n", []string{".sbw.yaml:4: unknown key workers.w.probe.prot; did you mean port?"}},
		"unknown top": {"worker:\n  w: {}\n", []string{".sbw.yaml:1: unknown key worker; did you mean workers?"}},
		"far key":     {"workers: {w: {deploy: {zzz: 1}}}\n", []string{"unknown key workers.w.deploy.zzz; known keys: manifest, namespace"}},
		"wrong types": {"workers:\n  w:\n    probe: {port: http}\n    build: {platforms: linux/arm64}\n    deploy: {timeout: 180}\n",
			[]string{`.sbw.yaml:3: workers.w.probe.port must be a whole number, not "http"`, `.sbw.yaml:4: workers.w.build.platforms must be a list`, `.sbw.yaml:5: workers.w.deploy.timeout must be a duration`}},
		"not a bool":  {"workers:\n  w: {build: {layerReuse: maybe}}\n", []string{`.sbw.yaml:2: workers.w.build.layerReuse must be true or false, not "maybe"`}},
		"compression": {"workers:\n  w: {build: {compression: xz}}\n", []string{`build.compression "xz"`}},
		"twice":       {"workers:\n  w: {image: a.b/c, image: a.b/d}\n", []string{"workers.w.image is given twice"}},
		"not yaml":    {"workers:\n\t- x\n", []string{".sbw.yaml:2: not valid YAML"}},
		"a list":      {"- a\n", []string{".sbw.yaml:1: the configuration must be a mapping, not a list"}},
		"upper case":  {"workers:\n  w: {image: ghcr.io/JoelHooks/w}\n", []string{"upper case"}},
		"reason":      {"workers:\n  w: {allow: {zeroRetries: {f: ' '}}}\n", []string{"has no reason"}},
		"kind":        {"workers:\n  w: {deploy: {kind: Job}}\n", []string{`deploy.kind "Job"`}},
		"port":        {"workers:\n  w: {probe: {port: 99999}}\n", []string{"99999 is no port"}},
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

func TestUnreadable(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, ConfigName), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root); err == nil || !strings.Contains(err.Error(), "cannot read .sbw.yaml") {
		t.Errorf("%v", err)
	}
}

// TestValuesAreRefusedAtTheirLine: names of images and platforms have one
// grammar, and what it refuses is refused here, at the line of the value.
func TestValuesAreRefusedAtTheirLine(t *testing.T) {
	for _, value := range []string{
		"image: ghcr.io/o/a..b", "image: ghcr.io/o/a___b", "image: ghcr.io/o/a._b", "image: o/n", "image: ghcr.io/o/n:t",
		"image: ghcr.io/o/n@sha256:x", "image: ghcr.io/", "image: [a]", "image: https://ghcr.io/o/n",
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
