//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// TestServerReplaced replaces the pod of the Inngest server at the beginning of every
// stage of a rollout after the preflight, except for the one that only writes a file,
// with each strategy. Each rollout waits for the server, proves its version and registers
// it, and runs of the new version complete.
func TestServerReplaced(t *testing.T) {
	s := up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shared.turn.Lock()
	defer shared.turn.Unlock()
	img := newStoryImages(ctx, t, s, npmworkers.SDK3)[npmworkers.SDK3]
	img.publish(ctx, t, "replaced1", "FUNCTIONS=approval-request", "SLOW_MS=1")
	img.publish(ctx, t, "replaced2", "FUNCTIONS=approval-request,parallel", "SLOW_MS=1")
	t.Run("strategies", func(t *testing.T) {
		for _, c := range []struct {
			strategy string
			kind     string // of the server's workload: the next pod of a StatefulSet has the same name
			stages   []string
		}{
			{"rolling", "StatefulSet", []string{"lock", "running steps", "apply", "watch", "probe", "refresh", "settle", "lost runs"}},
			{"switch", "Deployment", []string{"lock", "running steps", "apply", "hold", "watch", "probe", "prove", "switch",
				"refresh", "drain", "release", "settle", "lost runs"}},
		} {
			t.Run(c.strategy, func(t *testing.T) {
				t.Parallel()
				replaceServer(ctx, t, s, c.strategy, c.kind, c.stages)
			})
		}
	})
}

// ownServer is an Inngest server whose state outlives its pod.
const ownServer = `apiVersion: apps/v1
kind: KIND
metadata: {name: NAME, namespace: joelclaw, labels: {app: NAME}}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      enableServiceLinks: false # a variable NAME_PORT means something else to a server
      containers:
      - name: inngest
        image: IMAGE
        imagePullPolicy: Never
        envFrom: [{secretRef: {name: system-bus-env}}]
        env: [{name: INNGEST_STATE_FILE, value: /state/inngest}]
        volumeMounts: [{name: state, mountPath: /state}]
        readinessProbe: {httpGet: {path: /health, port: 8288}, periodSeconds: 1}
      volumes: [{name: state, hostPath: {path: DIR}}]
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: joelclaw, labels: {app: NAME}}
spec:
  selector: {app: NAME}
  ports: [{name: api, port: 8288, targetPort: 8288}]
`

// newStoryWithServer creates the checkout of a worker with an Inngest server of its own.
func newStoryWithServer(ctx context.Context, t testing.TB, s *sandbox.Sandbox, name, kind string) *story {
	t.Helper()
	var common appsv1.StatefulSet
	if err := get(ctx, s, &common, "statefulset/inngest"); err != nil {
		t.Fatal(err)
	}
	server, dir := name+"-inngest", t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // the server is not root
		t.Fatal(err)
	}
	objects := strings.NewReplacer("KIND", kind, "NAME", server, "DIR", dir, "IMAGE", common.Spec.Template.Spec.Containers[0].Image).Replace(ownServer)
	c, err := s.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, objects, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the worker's
		if _, err := c.Kubectl(context.WithoutCancel(ctx), objects, "delete", "-f", "-", "--cascade=foreground", "--wait"); err != nil {
			t.Error(err)
		}
	})
	w := newStory(ctx, t, s, name)
	w.server = server
	for file, edit := range map[string][2]string{"worker.yaml": {"inngest-svc", server}, ".sbw.yaml": {"inngest: {", "inngest: {service: " + server + ", "}} {
		path := filepath.Join(w.dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), edit[0], edit[1], 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var svc corev1.Service
	if err := get(ctx, s, &svc, "service/"+server); err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + svc.Spec.ClusterIP + ":8288"
	if err := w.serverAnswers(); err != nil {
		t.Fatal(err)
	}
	return w
}

// serverAnswers waits until the story's own server answers.
func (w *story) serverAnswers() error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	for {
		resp, err := client.Get(w.url + "/health")
		if err == nil {
			err = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return err
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return fmt.Errorf("the server never answered: %w", err)
		}
	}
}

// silentServer begins the note of a stage that waits for the server.
const silentServer = "Inngest does not answer; waiting for it"

// replaceServer rolls out a version while the server's pod is replaced at the beginning
// of every stage.
func replaceServer(ctx context.Context, t *testing.T, s *sandbox.Sandbox, strategy, kind string, stages []string) {
	w := newStoryWithServer(ctx, t, s, "replaced-"+strategy, kind)
	w.must(0, nil, "rollout", "--tag", "replaced1")
	c, err := s.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	scale := func(replicas string) error {
		_, err := c.Kubectl(ctx, "", "--namespace=joelclaw", "scale", kind+"/"+w.server, "--replicas="+replicas)
		return err
	}
	var replaced []string
	// The plugin is stopped until the pod is gone, so that it is in this stage when it
	// first notices that. In the stage that always needs the server, the next pod is not
	// started before it has noticed.
	replace := func(e event, plugin *os.Process) (err error) {
		if e.Stage == "refresh" && strings.HasPrefix(e.Text, silentServer) {
			return scale("1")
		}
		if e.Kind != pipeline.StageStarted || e.Stage == "preflight" || e.Stage == "stamp" {
			return nil
		}
		if err := plugin.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, plugin.Signal(syscall.SIGCONT)) }()
		if err := w.serverAnswers(); err != nil { // the previous replacement is complete
			return err
		}
		replaced = append(replaced, e.Stage)
		if e.Stage == "refresh" {
			if err := scale("0"); err != nil {
				return err
			}
		}
		_, err = c.Kubectl(ctx, "", "--namespace=joelclaw", "delete", "pod", "--selector=app="+w.server, "--wait")
		return err
	}
	r, err := followEach(ctx, w.emitting("rollout", "--tag", "replaced2", "--strategy", strategy), replace)
	if err != nil {
		t.Fatal(err)
	}
	if r.code != 0 || !slices.Equal(replaced, stages) {
		t.Fatalf("exit %d; the server was replaced in %q, want %q\n%s", r.code, replaced, stages, r.stderr)
	}
	if !r.said(silentServer) {
		t.Errorf("no stage waited for the server:\n%s", r.stderr)
	}
	if r.said("is not registered") {
		t.Errorf("the server has lost what it had:\n%s", r.stderr)
	}
	t.Logf("%d replacements:\n%s", len(replaced), r.timeline())
	if err := w.serverAnswers(); err != nil {
		t.Fatal(err)
	}
	w.registers("approval-request", "parallel")
	w.send("parallel/wanted")
	w.await("the end of the run", func(r run) bool { return r.Status == "COMPLETED" })
}
