//go:build linux

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// tolerated is something that happens during a rollout and must not keep it
// from completing.
var tolerated = map[string]func(context.Context, *place) error{
	"scaled-up":     scaledUp,
	"ended-pod":     endedPod,
	"crashes-twice": crashesTwice,
	"suspended":     suspended,
	"closed-pipe":   closedPipe,
	"lost-service":  lostService,
	"not-pinned":    notPinned,
	"restarted":     restarted,
	"without-http":  withoutHTTP,
	"h2c-and-tcp":   h2cAndTCP,
}

// TestTolerated runs all of them in parallel, each in its own namespace.
func TestTolerated(t *testing.T) {
	st := standin(t)
	shared.turn.Lock()
	defer shared.turn.Unlock()
	var names []string
	for n := range tolerated {
		names = append(names, n)
	}
	slices.Sort(names)
	places := st.places(t, names)
	errs := make([]error, len(names))
	var work errgroup.Group
	for i, n := range names {
		work.Go(func() error {
			errs[i] = tolerated[n](t.Context(), places[n])
			return nil
		})
	}
	_ = work.Wait() // each has its own error
	for i, n := range names {
		t.Run(n, func(t *testing.T) {
			if errs[i] != nil {
				t.Error(errs[i])
			}
		})
	}
}

// rollout runs a rollout of better that must succeed.
func (p *place) rollout(ctx context.Context, m moment, more ...string) (*command, error) {
	r, err := p.kubectl(ctx, m, nil, append([]string{"rollout", "--tag", "better", "--no-inngest"}, more...)...)
	if err == nil && r.code != 0 {
		err = fmt.Errorf("exit %d:\n%s", r.code, r.stderr)
	}
	return r, err
}

// found reports whether a run reported a finding with a code.
func (r *command) found(code string) bool {
	return slices.ContainsFunc(r.events, func(e event) bool { return e.Finding != nil && e.Finding.Code == code })
}

// scaledUp: a Deployment that was just scaled is not in the middle of a
// rollout.
func scaledUp(ctx context.Context, p *place) error {
	p.original = []byte(strings.Replace(string(p.original), "  replicas: 1\n", "", 1))
	if err := p.edit(map[string]string{"container": `startupProbe: {httpGet: {path: /, port: 3111}, initialDelaySeconds: 5}`}); err != nil {
		return err
	}
	if _, err := p.rollout(ctx, moment{}); err != nil {
		return err
	}
	// A patch, because the controller may be writing the status at the same time.
	if _, err := p.kube.AppsV1().Deployments(p.ns).Patch(ctx, "worker", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`),
		metav1.PatchOptions{FieldManager: "autoscaler"}, "scale"); err != nil {
		return err
	}
	r, err := p.kubectl(ctx, moment{}, nil, "rollout", "--tag", "good", "--no-inngest")
	if err != nil {
		return err
	}
	d, err := p.deployment(ctx)
	if r.code != 0 || err == nil && *d.Spec.Replicas != 2 {
		return fmt.Errorf("exit %d, %v:\n%s", r.code, d.Spec.Replicas, r.stderr)
	}
	return err
}

// endedPod: the kubelet ends a new pod, and its replacement works.
func endedPod(ctx context.Context, p *place) error {
	if err := p.edit(map[string]string{"container": `startupProbe: {httpGet: {path: /, port: 3111}, initialDelaySeconds: 5}`}); err != nil {
		return err
	}
	_, err := p.rollout(ctx, moment{pipeline.StageStarted, "watch", func(*os.Process) error {
		name, err := p.newPod(ctx)
		if err != nil {
			return err
		}
		_, err = p.kube.CoreV1().Pods(p.ns).Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"activeDeadlineSeconds":1}}`), metav1.PatchOptions{})
		return err
	}})
	return err
}

// newPod waits for a running pod other than the one that served.
func (p *place) newPod(ctx context.Context) (string, error) {
	w, err := p.kube.CoreV1().Pods(p.ns).Watch(ctx, metav1.ListOptions{LabelSelector: "app=worker", ResourceVersion: "0"})
	if err != nil {
		return "", err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if pod, ok := e.Object.(*corev1.Pod); ok && string(pod.UID) != p.pod && pod.Status.Phase == corev1.PodRunning {
			return pod.Name, nil
		}
	}
	return "", errors.Join(errors.New("no new pod was seen"), ctx.Err())
}

// crashesTwice is a worker that ends until its database is up.
func crashesTwice(ctx context.Context, p *place) error {
	if err := p.edit(map[string]string{"pod": `volumes: [{name: state, emptyDir: {}}]`,
		"container": `args: [-fails, "2"]` + "\n          volumeMounts: [{name: state, mountPath: /state}]"}); err != nil {
		return err
	}
	_, err := p.rollout(ctx, moment{})
	return err
}

// suspended: a process that was stopped for longer than its timeout finds a
// complete rollout.
func suspended(ctx context.Context, p *place) error {
	r, err := p.rollout(ctx, moment{pipeline.Tabled, "watch", func(proc *os.Process) error {
		if err := proc.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		c, err := p.Cluster()
		if err == nil {
			_, err = c.Kubectl(ctx, "", "--namespace="+p.ns, "rollout", "status", "deployment/worker", "--timeout=60s")
		}
		if err == nil {
			err = p.lockExpired(ctx)
		}
		return errors.Join(err, proc.Signal(syscall.SIGCONT))
	}}, "--timeout=15s")
	if err != nil {
		return err
	}
	if !r.said("this process was suspended") {
		return fmt.Errorf("the gap was not noticed:\n%s", r.stderr)
	}
	return p.serves(ctx, "better")
}

// lockExpired waits until a lock that is not renewed has expired, by the clock
// of the API server, which then ends the watch.
func (p *place) lockExpired(ctx context.Context) error {
	within := int64(35)
	w, err := p.kube.CoreV1().Events(p.ns).Watch(ctx, metav1.ListOptions{TimeoutSeconds: &within, ResourceVersion: "0"})
	if err != nil {
		return err
	}
	for range w.ResultChan() { // until the server ends it
	}
	return ctx.Err()
}

// closedPipe: `kubectl sbw rollout … 2>&1 | head`.
func closedPipe(ctx context.Context, p *place) error {
	cmd, err := p.command(ctx, nil, "rollout", "--tag", "crash", "--no-inngest")
	if err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(read)
	for lines.Scan() && !strings.Contains(lines.Text(), `"stage":"watch"`) {
	}
	if err := errors.Join(write.Close(), read.Close()); err != nil {
		return err
	}
	_ = cmd.Wait() // its state says how it ended
	if code := cmd.ProcessState.ExitCode(); code != int(pipeline.Restored) {
		return fmt.Errorf("exit %d (%s) after its reader had gone", code, cmd.ProcessState)
	}
	receipts, err := filepath.Glob(filepath.Join(p.dir, "state", "sbw", "receipts", "worker", "*"))
	if err != nil || len(receipts) != 1 {
		return errors.Join(fmt.Errorf("receipts: %v", receipts), err)
	}
	return errors.Join(p.restored(ctx), p.nothingLeft(ctx))
}

// lostService: a Service that selects nothing causes a warning, now and later.
func lostService(ctx context.Context, p *place) error {
	p.original = fmt.Appendf(p.original, "---\napiVersion: v1\nkind: Service\nmetadata: {name: worker, namespace: %s}\nspec: {selector: {app: wroker}, ports: [{port: 80, targetPort: 3111}]}\n", p.ns)
	if err := p.edit(nil); err != nil {
		return err
	}
	r, err := p.rollout(ctx, moment{})
	if err != nil {
		return err
	}
	status, err := p.kubectl(ctx, moment{}, nil, "status", "--no-inngest", "-o", "json")
	if err != nil {
		return err
	}
	if !r.found("service-unmatched") || status.code != 0 || !strings.Contains(status.stdout, "service-unmatched") {
		return fmt.Errorf("no warning says that the Service selects no pod:\n%s\n%s", r.stderr, status.stdout)
	}
	return nil
}

// notPinned: what was shipped by its tag alone also runs.
func notPinned(ctx context.Context, p *place) error {
	// The node may have an older image of that tag.
	if err := p.edit(map[string]string{"container": `imagePullPolicy: Always`}); err != nil {
		return err
	}
	if _, err := p.rollout(ctx, moment{}, "--no-pin"); err != nil {
		return err
	}
	r, err := p.kubectl(ctx, moment{}, nil, "status", "--no-inngest", "-o", "json")
	if err == nil && r.code != 0 {
		err = fmt.Errorf("status ended with %d:\n%s", r.code, r.stdout)
	}
	return err
}

// restarted: somebody restarts the worker while old pods are terminating. The
// image is still the one that was shipped.
func restarted(ctx context.Context, p *place) error {
	r, err := p.rollout(ctx, moment{pipeline.StageStarted, "settle", func(proc *os.Process) error {
		if err := proc.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		return errors.Join(p.patch(ctx, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`), proc.Signal(syscall.SIGCONT))
	}})
	if err == nil && !r.found("template-changed") {
		err = fmt.Errorf("the restart was not reported:\n%s", r.stderr)
	}
	return err
}

// withoutHTTP is a worker that listens on no port and does not use Inngest.
func withoutHTTP(ctx context.Context, p *place) error {
	p.original = []byte(strings.Replace(string(p.original), "          readinessProbe: {httpGet: {path: /ready, port: 3111}, periodSeconds: 1}\n", "", 1))
	if err := p.edit(nil); err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(p.dir, ".sbw.yaml"))
	if err != nil {
		return err
	}
	config = append(config, "    inngest: none\n    probe: none\n    hooks: {proven: [sh, -c, 'cat >proven.json'], provenRequired: true}\n"...)
	if err := os.WriteFile(filepath.Join(p.dir, ".sbw.yaml"), config, 0o644); err != nil {
		return err
	}
	for _, argv := range [][]string{{"rollout", "--tag", "deaf"}, {"status"}} {
		r, err := p.kubectl(ctx, moment{}, nil, argv...)
		if err != nil || r.code != 0 {
			return errors.Join(err, fmt.Errorf("%s: exit %d:\n%s", argv[0], r.code, r.stderr))
		}
	}
	if _, err := p.names(ctx, "deaf"); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "proven.json"))
	if err == nil && !strings.Contains(string(text), `"tag":"deaf"`) {
		err = fmt.Errorf("the hook was given\n%s", text)
	}
	if err != nil {
		return err
	}
	r, err := p.kubectl(ctx, moment{}, nil, "undo")
	if err == nil && r.code != 0 {
		err = fmt.Errorf("undo: exit %d:\n%s", r.code, r.stderr)
	}
	if err != nil {
		return err
	}
	d, err := p.deployment(ctx)
	if err == nil && !strings.HasPrefix(d.Spec.Template.Spec.Containers[0].Image, standinImage+":good") {
		err = fmt.Errorf("after undo the Deployment names %s", d.Spec.Template.Spec.Containers[0].Image)
	}
	return err
}

// h2cAndTCP probes the new pods with HTTP/2 and with TCP instead of a page
// over HTTP/1.1.
func h2cAndTCP(ctx context.Context, p *place) error {
	if _, err := p.rollout(ctx, moment{}, "--probe", "h2c"); err != nil {
		return err
	}
	for _, tcp := range []struct {
		port string
		code int
	}{{"4000", 4}, {"3111", 0}} { // nothing listens on 4000, so the rollout of good restores better
		r, err := p.kubectl(ctx, moment{}, nil, "rollout", "--tag", "good", "--no-inngest", "--probe", "tcp", "--probe-port", tcp.port, "--timeout", "20s")
		if err != nil || r.code != tcp.code {
			return errors.Join(err, fmt.Errorf("port %s: exit %d:\n%s", tcp.port, r.code, r.stderr))
		}
	}
	return nil
}
