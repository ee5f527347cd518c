//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cli/clitest"
	"github.com/joelhooks/gh-sbw/internal/kubecmd"
	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/images"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// A story about Inngest needs many rollouts, so its worker must start quickly:
// it is the real SDK on this machine's own Bun, without emulation, in an image
// that is labelled arm64 for the node. The image's environment controls its
// behaviour.
// says arm64 as the node wants it. Its behaviour is in the image's environment.
type storyImages struct {
	sdk    string
	layers []v1.Layer
}

// newStoryImages packs Bun, the libraries that it needs, and a worker with one
// SDK, which is bundled into a single file.
func newStoryImages(ctx context.Context, t testing.TB, s *sandbox.Sandbox, sdks ...string) map[string]*storyImages {
	t.Helper()
	dir := filepath.Join(s.Dir, "npm")
	if err := npmworkers.Install(ctx, dir); err != nil {
		t.Fatal(err)
	}
	bun := npmworkers.Bun(dir)
	runtime := []images.File{{Path: "tmp/", Mode: 0o777}, read(t, "usr/local/bin/bun", bun)}
	out, err := exec.CommandContext(ctx, "ldd", bun).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(/\S+) \(0x`).FindAllSubmatch(out, -1) {
		path := string(m[1])
		runtime = append(runtime, read(t, strings.TrimPrefix(path, "/"), path))
	}
	base := plainLayer(t, runtime)
	all := map[string]*storyImages{}
	for _, sdk := range sdks {
		bundle := filepath.Join(t.TempDir(), "serve.js")
		cmd := exec.CommandContext(ctx, bun, "build", npmworkers.Main(dir, sdk), "--target=bun", "--outfile="+bundle)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("bun build: %v\n%s", err, out)
		}
		all[sdk] = &storyImages{sdk, []v1.Layer{base, plainLayer(t, []images.File{read(t, "serve.js", bundle)})}}
	}
	return all
}

func read(t testing.TB, path, from string) images.File {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	return images.File{Path: path, Mode: 0o755, Data: raw}
}

func plainLayer(t testing.TB, files []images.File) v1.Layer {
	t.Helper()
	layer, err := images.PlainLayer(files)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

const storyRepository = "joelhooks/story"

// publish pushes an image whose worker has this environment.
func (i *storyImages) publish(ctx context.Context, t testing.TB, tag string, env ...string) {
	t.Helper()
	img, err := images.Of(v1.Config{Env: append([]string{"PATH=/usr/local/bin", "HOME=/tmp"}, env...), Entrypoint: []string{"bun", "/serve.js"}}, i.layers...)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(sandbox.RegistryAddr+"/"+storyRepository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		t.Fatal(err)
	}
}

// story is one worker in the cluster, with its own checkout and app.
type story struct {
	testing.TB
	ctx  context.Context
	s    *sandbox.Sandbox
	name string
	dir  string
	url  string // Inngest's URL, as seen from this machine
	// server is the name of the story's own Inngest server; empty if it uses the common one.
	server string
}

const storyManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: joelclaw, labels: {app: NAME}}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 30
      imagePullSecrets: [{name: ghcr-pull}]
      containers:
      - name: NAME
        image: ghcr.io/joelhooks/story:none
        envFrom: [{secretRef: {name: system-bus-env}}]
        env:
        - {name: INNGEST_DEV, value: "0"}
        - {name: INNGEST_APP_ID, value: NAME}
        - {name: INNGEST_BASE_URL, value: "http://inngest-svc:8288"}
        - {name: INNGEST_SERVE_HOST, value: "http://NAME:3111"}
        - {name: INNGEST_SERVE_ORIGIN, value: "http://NAME:3111"}
        - {name: HOST, value: 0.0.0.0}
        ports: [{containerPort: 3111, name: http}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: joelclaw, labels: {app: NAME}}
spec:
  type: NodePort
  selector: {app: NAME}
  ports: [{name: http, port: 3111, targetPort: 3111}]
`

// newStory creates the checkout of a worker.
func newStory(ctx context.Context, t testing.TB, s *sandbox.Sandbox, name string) *story {
	t.Helper()
	w := &story{TB: t, ctx: ctx, s: s, name: name, dir: t.TempDir()}
	for file, text := range map[string]string{
		"worker.yaml": strings.ReplaceAll(storyManifest, "NAME", name),
		".sbw.yaml": fmt.Sprintf("workers:\n  %s:\n    image: ghcr.io/%s\n    deploy: {manifest: worker.yaml, namespace: joelclaw}\n    inngest: {app: %s}\n",
			name, storyRepository, name),
	} {
		if err := os.WriteFile(filepath.Join(w.dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var svc corev1.Service
	if err := get(ctx, s, &svc, "service/inngest-svc"); err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + svc.Spec.ClusterIP + ":8288"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		c, err := s.Cluster()
		if err != nil {
			t.Error(err)
			return
		}
		// The pods go first: one that still runs would register again.
		_, err = c.Kubectl(ctx, "", "--namespace=joelclaw", "delete", "deployment,service", "--selector=app="+name, "--ignore-not-found", "--wait", "--cascade=foreground")
		if err := errors.Join(err, w.deleteApps(ctx, name)); err != nil {
			t.Error(err)
		}
	})
	return w
}

// ran is the result of running a plugin.
type ran struct {
	out, err string
	code     int
}

// sbw runs `kubectl sbw` in the checkout.
func (w *story) sbw(args ...string) ran {
	w.Helper()
	cmd, err := w.s.Command(w.ctx, w.dir, "kubectl", append([]string{"sbw"}, args...)...)
	if err != nil {
		w.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.Fatal(err)
	}
	return ran{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs `kubectl sbw` and checks its exit code and that its output
// contains these texts.
func (w *story) must(code int, says []string, args ...string) ran {
	w.Helper()
	r := w.sbw(args...)
	if r.code != code {
		w.Fatalf("kubectl sbw %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	for _, want := range says {
		if !strings.Contains(r.out+r.err, want) {
			w.Fatalf("kubectl sbw %s does not say %q:\n%s%s", strings.Join(args, " "), want, r.out, r.err)
		}
	}
	return r
}

// ask sends a query to the Inngest server.
func (w *story) ask(ctx context.Context, query string, vars map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return err
	}
	resp, err := post(ctx, w.url+"/v0/gql", body)
	if err != nil {
		return err
	}
	var out struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(resp, &out); err != nil {
		return err
	}
	if len(out.Errors) > 0 {
		return errors.New(out.Errors[0].Message)
	}
	return json.Unmarshal(out.Data, into)
}

func post(ctx context.Context, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("POST %s: %s: %s", url, resp.Status, text)
	}
	return text, err
}

// registeredApp is an app as the server lists it.
type registeredApp struct {
	ID, Name, URL, Checksum string
	Error                   *string
	Functions               []struct{ ID, Slug string }
}

func (a registeredApp) ids() []string {
	var all []string
	for _, f := range a.Functions {
		all = append(all, strings.TrimPrefix(f.Slug, a.Name+"-"))
	}
	slices.Sort(all)
	return all
}

func (w *story) apps(ctx context.Context) (map[string]registeredApp, error) {
	var out struct{ Apps []registeredApp }
	if err := w.ask(ctx, "{apps{id name url checksum error functions{id slug}}}", nil, &out); err != nil {
		return nil, err
	}
	all := map[string]registeredApp{}
	for _, a := range out.Apps {
		if _, twice := all[a.Name]; twice {
			return nil, fmt.Errorf("two apps are called %q", a.Name)
		}
		all[a.Name] = a
	}
	return all, nil
}

// registers checks that the server has exactly these functions for the worker,
// at the address of its Service.
func (w *story) registers(ids ...string) {
	w.Helper()
	apps, err := w.apps(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	a := apps[w.name]
	ids = slices.Sorted(slices.Values(ids))
	if a.URL != "http://"+w.name+":3111/api/inngest" || a.Error != nil || !slices.Equal(a.ids(), ids) {
		w.Fatalf("the registered functions are %v at %s (%v), want %v", a.ids(), a.URL, a.Error, ids)
	}
}

func (w *story) deleteApps(ctx context.Context, names ...string) error {
	apps, err := w.apps(ctx)
	for _, n := range names {
		if a, ok := apps[n]; ok && err == nil {
			var done struct{ DeleteApp string }
			err = w.ask(ctx, "mutation($id:String!){deleteApp(id:$id)}", map[string]any{"id": a.ID}, &done)
		}
	}
	return err
}

// send sends an event once the worker answers behind its Service. Before
// kube-proxy knows the new pod, a function without retries would fail.
func (w *story) send(name string) {
	w.Helper()
	w.answers()
	accounts, err := w.s.Accounts()
	if err != nil {
		w.Fatal(err)
	}
	if _, err := post(w.ctx, w.url+"/e/"+accounts.EventKey, []byte(`{"name":"`+name+`","data":{}}`)); err != nil {
		w.Fatal(err)
	}
}

// answers waits until the worker answers at the address of its Service, which
// Inngest calls. There is nothing to watch for that.
func (w *story) answers() {
	w.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := w.post("/finish")
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.Fatalf("the worker never answered behind its Service: %v", err)
		}
	}
}

// post sends a request to the worker through its Service.
func (w *story) post(path string) (string, error) {
	var svc corev1.Service
	if err := get(w.ctx, w.s, &svc, "service/"+w.name); err != nil {
		return "", err
	}
	answer, err := post(w.ctx, "http://"+svc.Spec.ClusterIP+":3111"+path, []byte("{}"))
	return string(answer), err
}

// run is a run as `kubectl sbw runs -o json` prints it.
type run struct {
	ID, Function, Status, Step, Error string
	Attempt                           int
	StartedAt, EndedAt                time.Time
}

// await polls the worker's newest run until it has the wanted state. The
// server offers nothing to watch.
func (w *story) await(what string, ok func(run) bool) run {
	w.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	var d struct{ Runs []run }
	for {
		r := w.must(0, nil, "runs", "--count", "1", "--output", "json")
		if err := json.Unmarshal([]byte(r.out), &d); err != nil {
			w.Fatal(err)
		}
		clitest.Document(w.TB, kubecmd.NewRoot, "kubectl sbw runs", "json", []byte(r.out))
		last := d.Runs
		if len(last) > 0 && ok(last[0]) {
			return last[0]
		}
		if len(last) > 0 && last[0].Status != "RUNNING" && last[0].Status != "QUEUED" {
			w.Fatalf("waiting for %s: the run has ended: %+v", what, last[0])
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.Fatalf("waiting for %s: %v; the last run is %+v", what, w.ctx.Err(), d.Runs)
		}
	}
}

// log returns what the worker's current pods have logged about their steps.
func (w *story) log() string {
	w.Helper()
	c, err := w.s.Cluster()
	if err != nil {
		w.Fatal(err)
	}
	out, err := c.Kubectl(w.ctx, "", "--namespace=joelclaw", "logs", "--selector=app="+w.name, "--tail=-1")
	if err != nil {
		w.Fatal(err)
	}
	return out
}
