//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/images"
)

const standinImage = "ghcr.io/joelhooks/standin"

// standins maps the tags of the stand-in worker to its behaviour.
var standins = map[string][]string{
	"good": nil, "better": {"-page", `{"count":3,"worker":{"role":"cluster"}}`},
	"crash": {"-exit=3"}, "ends": {"-exit=0"}, "eats": {"-eat"}, "deaf": {"-deaf"}, "unready": {"-unready"}, "dead": {"-dead", "-unready"},
	"broken": {"-status=500"}, "duplicates": {"-duplicates"}, "otherpage": {"-page", "another program"},
	"foreign": nil, "foreignbun": nil,
}

// blind makes every registry unreachable from here: nothing listens on this
// port.
var blind = []string{"HTTPS_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1"}

// stage holds what the rollouts of stand-ins share: one cluster with many
// namespaces.
type stage struct {
	*sandbox.Sandbox
	kube kubernetes.Interface
	env  map[string]string
	// rounds counts the calls of places.
	rounds atomic.Int64
}

var standinOnce struct {
	sync.Once
	*stage
	err error
}

// standin brings the sandbox up and pushes the stand-in's images.
func standin(t testing.TB) *stage {
	t.Helper()
	s := up(t)
	standinOnce.Do(func() { standinOnce.stage, standinOnce.err = newStage(s) })
	if standinOnce.err != nil {
		t.Fatal(standinOnce.err)
	}
	return standinOnce.stage
}

func newStage(s *sandbox.Sandbox) (*stage, error) {
	env, err := s.Env()
	if err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", env["KUBECONFIG"])
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	st := &stage{Sandbox: s, kube: kube, env: env}
	return st, st.pushStandins()
}

func (st *stage) pushStandins() error {
	// This is native code, labelled with the node's architecture: the tests
	// are about the cluster, and an emulator would only slow them down.
	binary := filepath.Join(st.Bin(), "standin")
	if err := st.compile(binary, runtime.GOARCH); err != nil {
		return err
	}
	// The kernel cannot execute this: it is an ELF header of a machine that
	// nothing here emulates (e_machine 0x1234).
	header := append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x34\x12\x01\x00\x00\x00"), make([]byte, 40)...)
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	native, err1 := images.PlainLayer([]images.File{{Path: "program", Mode: 0o755, Data: program}})
	foreign, err2 := images.PlainLayer([]images.File{{Path: "program", Mode: 0o755, Data: header}, {Path: "bun", Mode: 0o755, Data: header}})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	all := map[string]v1.Image{}
	for tag, args := range standins {
		layer, program := native, "/program"
		if strings.HasPrefix(tag, "foreign") {
			layer = foreign
		}
		if tag == "foreignbun" { // a runtime that a warm-up knows
			program = "/bun"
		}
		if all[tag], err = images.Of(v1.Config{Entrypoint: []string{program}, Cmd: args}, layer); err != nil {
			return err
		}
	}
	// They are pushed one after the other, because they share a layer and the
	// registry does not accept concurrent uploads of one layer.
	for tag, img := range all {
		ref, err := name.ParseReference(sandbox.RegistryAddr+"/joelhooks/standin:"+tag, name.Insecure)
		if err != nil {
			return err
		}
		if err := remote.Write(ref, img); err != nil {
			return err
		}
	}
	return nil
}

// compile builds the stand-in for an architecture.
func (st *stage) compile(binary, arch string) error {
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", binary, "./internal/sandbox/standin")
	build.Dir, build.Env = st.Root, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the stand-in: %w: %s", err, out)
	}
	return nil
}

// place is one namespace with its checkout, in which "good" already serves.
type place struct {
	*stage
	ns, dir  string
	original []byte // the committed manifest
	pod      string // the UID of the pod that serves
	replaced bool   // the pod was rightly replaced; any pod of the same image will do
}

const standinManifest = `# A worker that is shipped by hand.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker   # the only one
  namespace: %[1]s
  labels: {set: %[3]s}
spec:
  replicas: 1
  revisionHistoryLimit: 5
  selector: {matchLabels: {app: worker}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  # spec
  template:
    metadata:
      labels: {app: worker}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      imagePullSecrets: [{name: ghcr-pull}]
      # pod
      containers:
        - name: worker
          image: "%[2]s:good"  # stamped
          readinessProbe: {httpGet: {path: /ready, port: 3111}, periodSeconds: 1}
          # container
`

// places creates namespaces in which the stand-in serves, all in parallel, and
// deletes them at the end.
func (st *stage) places(t testing.TB, names []string) map[string]*place {
	t.Helper()
	ctx := t.Context()
	pull, err := st.kube.CoreV1().Secrets("joelclaw").Get(ctx, "ghcr-pull", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "type": pull.Type, "data": pull.Data, "metadata": map[string]any{"name": "ghcr-pull"}})
	if err != nil {
		t.Fatal(err)
	}
	// Those of the previous test, or of the same test with -count, may still be terminating.
	round := st.rounds.Add(1)
	set := fmt.Sprintf("%s-%d", strings.ToLower(strings.NewReplacer("/", "-").Replace(t.Name())), round)
	all := map[string]*place{}
	var objects strings.Builder
	for _, n := range names {
		p := &place{stage: st, ns: fmt.Sprintf("standin%d-%s", round, n), dir: filepath.Join(t.TempDir(), n)}
		p.original = fmt.Appendf(nil, standinManifest, p.ns, standinImage, set)
		all[n] = p
		fmt.Fprintf(&objects, "---\n{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {set: %s}}}\n", p.ns, set)
		fmt.Fprintf(&objects, "---\n%s\n---\n%s\n", strings.Replace(string(secret), `"name":`, `"namespace":"`+p.ns+`","name":`, 1), p.original)
		for file, text := range map[string]string{
			".git/HEAD": "", "worker.yaml": string(p.original),
			".sbw.yaml": fmt.Sprintf("workers:\n  worker:\n    deploy: {manifest: worker.yaml, namespace: %s, deployment: worker, container: worker, timeout: 60s}\n", p.ns),
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(p.dir, file)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(p.dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := st.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		if _, err := c.Kubectl(ctx, "", "delete", "namespace", "--selector=set="+set, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	if _, err := c.Kubectl(ctx, objects.String(), "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, "", "wait", "deployment", "--all-namespaces", "--selector=set="+set, "--for=condition=Available", "--timeout=180s"); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		pods, err := p.pods(ctx)
		if err != nil || len(pods) != 1 {
			t.Fatal(p.ns, len(pods), err)
		}
		p.pod = string(pods[0].UID)
	}
	return all
}

// pods returns the pods that are not being deleted.
func (p *place) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := p.kube.CoreV1().Pods(p.ns).List(ctx, metav1.ListOptions{LabelSelector: "app=worker"})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }), nil
}

func (p *place) deployment(ctx context.Context) (*appsv1.Deployment, error) {
	return p.kube.AppsV1().Deployments(p.ns).Get(ctx, "worker", metav1.GetOptions{})
}

func (p *place) manifest() ([]byte, error) { return os.ReadFile(filepath.Join(p.dir, "worker.yaml")) }

// edit replaces the manifest's marks "# spec", "# pod" and "# container" by
// lines.
func (p *place) edit(lines map[string]string) error {
	text := string(p.original)
	for mark, line := range lines {
		text = strings.Replace(text, "# "+mark+"\n", line+"\n", 1)
	}
	p.original = []byte(text)
	return os.WriteFile(filepath.Join(p.dir, "worker.yaml"), p.original, 0o644)
}

// restored checks that everything is as it was: the same pod serves, the
// Deployment names its image, and the manifest has the same bytes.
func (p *place) restored(ctx context.Context) error {
	var errs []error
	d, err := p.deployment(ctx)
	if err != nil {
		return err
	}
	if image := d.Spec.Template.Spec.Containers[0].Image; image != standinImage+":good" {
		errs = append(errs, fmt.Errorf("the Deployment names %s", image))
	}
	pods, err := p.pods(ctx)
	if err != nil {
		return err
	}
	serving := func(one corev1.Pod) bool {
		return (p.replaced || string(one.UID) == p.pod) && one.Spec.Containers[0].Image == standinImage+":good" && ready(&one)
	}
	if !slices.ContainsFunc(pods, serving) {
		errs = append(errs, errors.New("the pod that served is gone or not ready"))
	}
	now, err := p.manifest()
	if err != nil {
		return err
	}
	if !bytes.Equal(now, p.original) {
		errs = append(errs, fmt.Errorf("the manifest is not as it was:\n%s", now))
	}
	return errors.Join(errs...)
}

// names checks that the Deployment and the manifest name the image with this
// tag, and returns the image.
func (p *place) names(ctx context.Context, tag string) (image string, err error) {
	d, err := p.deployment(ctx)
	if err != nil {
		return "", err
	}
	image = d.Spec.Template.Spec.Containers[0].Image
	if !strings.HasPrefix(image, standinImage+":"+tag+"@sha256:") {
		return "", fmt.Errorf("the Deployment names %s", image)
	}
	text, err := p.manifest()
	if err != nil {
		return "", err
	}
	if want := strings.Replace(string(p.original), standinImage+":good", image, 1); string(text) != want {
		return "", fmt.Errorf("the manifest is\n%s", text)
	}
	return image, nil
}

// serves checks that a tag is live: stamped in the manifest, named by the
// Deployment, and run by all of its pods.
func (p *place) serves(ctx context.Context, tag string) error {
	image, err := p.names(ctx, tag)
	if err != nil {
		return err
	}
	pods, err := p.pods(ctx)
	if err != nil {
		return err
	}
	if len(pods) != 1 || pods[0].Spec.Containers[0].Image != image || !ready(&pods[0]) {
		return fmt.Errorf("there are %d pods, and the first runs %s", len(pods), pods[0].Spec.Containers[0].Image)
	}
	return nil
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// event is a line of --events, with the fields that the tests read.
type event struct {
	Time    time.Time
	Kind    pipeline.Kind
	Stage   string
	Text    string
	Error   string
	Finding *struct {
		Code, What, Why string
		Severity        string
	}
	Outcome *struct {
		End      string
		ExitCode int
		Findings []struct{ Code, What, Why string }
	}
}

// command is a command that has ended.
type command struct {
	code   int
	events []event
	stdout string
	stderr string
	took   time.Duration
	ended  time.Time
}

// finished returns the event that ended a stage.
func (r *command) finished(stage string) (event, bool) {
	i := slices.IndexFunc(r.events, func(e event) bool { return e.Kind == pipeline.StageFinished && e.Stage == stage })
	if i < 0 {
		return event{}, false
	}
	return r.events[i], true
}

// said reports whether a note or finding contains a text.
func (r *command) said(text string) bool {
	return slices.ContainsFunc(r.events, func(e event) bool {
		return strings.Contains(e.Text, text) || e.Finding != nil && strings.Contains(e.Finding.What+": "+e.Finding.Why, text)
	})
}

// moment is a point in a command's run, and what to do then.
type moment struct {
	kind  pipeline.Kind
	stage string
	do    func(*os.Process) error
}

func (m moment) is(e event) bool { return m.do != nil && e.Kind == m.kind && e.Stage == m.stage }

// kubectl runs `kubectl sbw …` in the place's checkout with --events. extra
// are environment variables, NAME=VALUE.
func (p *place) kubectl(ctx context.Context, m moment, extra []string, args ...string) (*command, error) {
	cmd, err := p.command(ctx, extra, args...)
	if err != nil {
		return nil, err
	}
	return follow(ctx, cmd, m)
}

// command returns `kubectl sbw --events …` for the place's checkout.
func (p *place) command(ctx context.Context, extra []string, args ...string) (*exec.Cmd, error) {
	return p.program(ctx, extra, "kubectl", append([]string{"sbw", "--events"}, args...)...)
}

// program returns a command of the sandbox for the place's checkout.
func (p *place) program(ctx context.Context, extra []string, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = p.dir, os.Environ()
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Env = append(cmd.Env, "HOME="+p.dir, "XDG_STATE_HOME="+filepath.Join(p.dir, "state"))
	cmd.Env = append(cmd.Env, extra...)
	path, err := lookPath(p.env["PATH"], name)
	if err != nil {
		return nil, err
	}
	cmd.Path, cmd.Err = path, nil
	return cmd, nil
}

// follow runs a plugin's command that prints events, and executes m when its
// moment has come.
func follow(ctx context.Context, cmd *exec.Cmd, m moment) (*command, error) {
	done := m.do == nil
	r, err := followEach(ctx, cmd, func(e event, p *os.Process) error {
		if done || !m.is(e) {
			return nil
		}
		done = true
		return m.do(p)
	})
	if err == nil && !done {
		err = fmt.Errorf("the command ended with %d before %s of %s:\n%s", r.code, m.kind, m.stage, r.stderr)
	}
	return r, err
}

// followEach runs a plugin's command that prints events, and executes do for each of
// them.
func followEach(ctx context.Context, cmd *exec.Cmd, do func(event, *os.Process) error) (*command, error) {
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	r := &command{}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		r.stderr += line
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && e.Kind != "" {
			r.events = append(r.events, e)
			if err := do(e, cmd.Process); err != nil {
				return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
			}
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait() // its state says how it ended
	r.code, r.stdout, r.ended = cmd.ProcessState.ExitCode(), stdout.String(), time.Now()
	r.took = r.ended.Sub(begin)
	return r, ctx.Err()
}

// lookPath finds a program on the given PATH instead of this process's own.
func lookPath(path, program string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, program)
		if info, err := os.Stat(p); err == nil && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("no %s on %s", program, path)
}
