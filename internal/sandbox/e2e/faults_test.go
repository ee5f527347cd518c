//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// fault is one way in which a rollout fails.
type fault struct {
	name string
	tag  string
	// edit maps the manifest's marks to the lines that replace them.
	edit map[string]string
	// prepare changes the namespace before the rollout, while the first
	// version already serves.
	prepare string
	// blind makes every registry unreachable from here, so the preflight
	// cannot see what the node will see. Without --no-pin, that refuses the
	// rollout.
	blind bool
	flags []string
	// at is the stage at whose beginning the command is stopped (SIGSTOP)
	// while do changes the cluster, as somebody else might do at that moment.
	at string
	do func(context.Context, *place) error

	code string // the code of the verdict
	exit int
	says string // text that its finding must contain
	// proof is a pattern over the states of pods, events and conditions. It
	// matches the first report of the API that proves the failure. It is empty
	// where the preflight refuses.
	proof string
	// within is how long after the proof the watch may end: after a grace
	// period or the given timeout.
	within time.Duration
	// ready means that the new pod is Ready for a moment, because one of its
	// containers has no probe. The controller then stops the old pod.
	ready bool
	// others means that something rightly differs from the state before the
	// rollout. left then checks the state that must remain.
	others bool
	left   func(context.Context, *place) error
}

// atOnce is the bound for causes that end the wait immediately. The machine
// may be busy.
const atOnce = 5 * time.Second

// twice is the bound where the node has to kill a container a second time.
const twice = 40 * time.Second

// endedTwice proves that a container keeps ending. A crash needs three ends,
// because a worker whose database was not up yet may end twice. The node
// decides when the next one happens; BenchmarkRollout counts from the first.
const (
	endedTwice  = `"state":\{"(terminated"|waiting":\{"reason":"CrashLoopBackOff").*"restartCount":[1-9]`
	endedThrice = `"state":\{"(terminated"|waiting":\{"reason":"CrashLoopBackOff").*"restartCount":[2-9]`
)

var faults = []fault{
	// The preflight refuses these; nothing is changed.
	{name: "missing-tag", tag: "never", code: "image-not-found", exit: 3},
	{name: "no-pull-secret", tag: "better", prepare: "imagePullSecrets", code: "image-private", exit: 3},
	{name: "missing-secret-key", tag: "better", exit: 3, code: "reference-missing",
		edit: map[string]string{"container": `env: [{name: KEY, valueFrom: {secretKeyRef: {name: ghcr-pull, key: nothing}}}]`}},
	{name: "missing-configmap", tag: "better", exit: 3, code: "reference-missing",
		edit: map[string]string{"container": `envFrom: [{configMapRef: {name: nothing}}]`}},
	{name: "missing-claim", tag: "better", exit: 3, code: "reference-missing",
		edit: map[string]string{"pod": `volumes: [{name: v, persistentVolumeClaim: {claimName: nothing}}]`}},
	{name: "root-user", tag: "better", exit: 3, code: "run-as-root", edit: map[string]string{"pod": `securityContext: {runAsNonRoot: true}`}},
	{name: "paused", tag: "better", exit: 3, code: "paused", prepare: "pause"},
	{name: "quota-full", tag: "better", exit: 3, code: "quota", prepare: "quota"},

	// A warm-up finds these on the node, and nothing is changed either.
	{name: "prepull-missing-tag", tag: "never", blind: true, flags: []string{"--prepull"}, code: "image-not-found", exit: 1},
	{name: "prepull-denied", tag: "better", blind: true, prepare: "imagePullSecrets", flags: []string{"--prepull"}, code: "image-denied", exit: 1},
	{name: "prepull-wrong-architecture", tag: "foreignbun", flags: []string{"--prepull"}, code: "exec-format", exit: 1},

	// Only the node, the scheduler or admission can see these.
	{name: "missing-tag-unseen", tag: "never", blind: true, code: "image-not-found", exit: 4, proof: `ErrImagePull|ImagePullBackOff`, within: atOnce},
	{name: "denied-unseen", tag: "better", blind: true, prepare: "imagePullSecrets", code: "image-denied", exit: 4, proof: `ErrImagePull|ImagePullBackOff`, within: atOnce},
	{name: "registry-away", tag: "better", flags: []string{"--image=127.0.0.1:1/none", "--timeout=40s", "--no-pin"}, code: "image-network", exit: 4, proof: `ErrImagePull|ImagePullBackOff`, within: 45 * time.Second},
	{name: "image-name", tag: "better", edit: map[string]string{"container": "\n        - {name: side, image: 'Not/A Name'}"}, code: "image-name", exit: 4, proof: `InvalidImageName|InspectFailed`, within: atOnce},
	{name: "secret-deleted", tag: "better", edit: map[string]string{"container": `envFrom: [{secretRef: {name: later}}]`}, prepare: "later", at: "stamp", do: deleteLater,
		code: "config-missing", exit: 4, proof: `CreateContainerConfigError`, within: 10*time.Second + atOnce},
	{name: "volume", tag: "better", edit: map[string]string{"container": `volumeMounts: [{name: v, mountPath: /v}]`, "pod": `volumes: [{name: v, hostPath: {path: /no/such, type: Directory}}]`},
		flags: []string{"--timeout=40s"}, code: "volume", exit: 4, proof: `FailedMount`, within: 45 * time.Second},
	{name: "no-such-command", tag: "better", edit: map[string]string{"container": `command: [/nope]`}, code: "command-not-found", exit: 4, proof: `no such file or directory`, within: atOnce},
	{name: "crash", tag: "crash", code: "crash-loop", exit: 4, proof: endedThrice, within: atOnce},
	{name: "init-crash", tag: "better", edit: map[string]string{"pod": `initContainers: [{name: first, image: "` + standinImage + `:crash"}]`}, code: "crash-loop", exit: 4, proof: endedThrice, within: atOnce},
	{name: "sidecar-crash", tag: "better", edit: map[string]string{"container": "\n        - {name: side, image: '" + standinImage + ":crash'}"}, code: "crash-loop", exit: 4, proof: endedThrice, within: atOnce, ready: true},
	{name: "does-not-stay", tag: "ends", code: "exits", exit: 4, proof: endedTwice, within: atOnce},
	{name: "wrong-architecture", tag: "foreign", code: "exec-format", exit: 4, proof: `exec format error|"terminated"`, within: atOnce},
	{name: "out-of-memory", tag: "eats", edit: map[string]string{"container": `resources: {limits: {memory: 40Mi}}`}, code: "oom-killed", exit: 4, proof: `OOMKilled`, within: twice},
	{name: "never-ready", tag: "unready", flags: []string{"--timeout=40s"}, code: "not-ready", exit: 4, proof: `Readiness probe failed`, within: 45 * time.Second},
	{name: "port-not-open", tag: "deaf", flags: []string{"--timeout=40s"}, code: "not-ready", exit: 4, proof: `Readiness probe failed`, within: 45 * time.Second},
	{name: "killed-by-liveness", tag: "dead", edit: map[string]string{"container": `livenessProbe: {httpGet: {path: /live, port: 3111}, periodSeconds: 1, failureThreshold: 1}`},
		code: "liveness", exit: 4, proof: `failed liveness probe`, within: twice},
	{name: "no-node", tag: "better", edit: map[string]string{"container": `resources: {requests: {cpu: "1000"}}`}, flags: []string{"--timeout=10s"}, code: "unschedulable", exit: 4, proof: `Unschedulable`, within: 15 * time.Second},
	{name: "claim-deleted", tag: "better", edit: map[string]string{"pod": `volumes: [{name: v, persistentVolumeClaim: {claimName: later}}]`}, prepare: "later-claim", at: "stamp", do: deleteLater,
		code: "claim-missing", exit: 4, proof: `Unschedulable`, within: 10*time.Second + atOnce},
	{name: "quota-taken", tag: "better", at: "stamp", do: func(ctx context.Context, p *place) error { return p.prepare(ctx, "quota") }, flags: []string{"--timeout=10s"},
		code: "quota", exit: 4, proof: `exceeded quota`, within: 15 * time.Second},
	{name: "pod-security", tag: "better", prepare: "restricted", code: "pod-security", exit: 3},
	{name: "pod-security-late", tag: "better", at: "stamp", do: func(ctx context.Context, p *place) error { return p.prepare(ctx, "restricted") },
		code: "pod-security", exit: 4, proof: `violates PodSecurity`, within: atOnce},
	{name: "admission", tag: "better", prepare: "policy", code: "admission-denied", exit: 4, proof: `denied request`, within: atOnce},
	{name: "no-service-account", tag: "better", edit: map[string]string{"pod": `serviceAccountName: later`}, prepare: "later-account", at: "stamp", do: deleteLater,
		code: "service-account", exit: 4, proof: `serviceaccount`, within: 10*time.Second + atOnce},
	{name: "root-user-unseen", tag: "better", blind: true, edit: map[string]string{"pod": `securityContext: {runAsNonRoot: true}`}, code: "run-as-root", exit: 4, proof: `runAsNonRoot`, within: atOnce},
	{name: "scheduling-gate", tag: "better", edit: map[string]string{"pod": `schedulingGates: [{name: example.com/admission}]`}, flags: []string{"--timeout=10s"},
		code: "scheduling-gate", exit: 4, proof: `SchedulingGated`, within: 15 * time.Second},
	{name: "readiness-gate", tag: "better", edit: map[string]string{"pod": `readinessGates: [{conditionType: example.com/pier-open}]`}, flags: []string{"--timeout=30s"},
		code: "readiness-gate", exit: 4, proof: `ReadinessGatesNotReady`, within: 35 * time.Second},
	{name: "init-never-ends", tag: "better", edit: map[string]string{"pod": `initContainers: [{name: first, image: "` + standinImage + `:better"}]`}, flags: []string{"--timeout=30s"},
		code: "init-running", exit: 4, proof: `PodInitializing`, within: 35 * time.Second},
	{name: "sidecar-not-started", tag: "better", edit: map[string]string{"pod": `initContainers: [{name: otel, image: "` + standinImage + `:better", args: [-port, "4000"], restartPolicy: Always, startupProbe: {httpGet: {port: 4001}, failureThreshold: 30}}]`},
		flags: []string{"--timeout=30s"}, code: "not-started", exit: 4, proof: `Startup probe failed`, within: 35 * time.Second},
	{name: "sidecar-crash-late", tag: "better", edit: map[string]string{"container": "\n        - {name: side, image: '" + standinImage + ":better', args: [-port, '3999', -exit, '7', -after, 3s]}"}, code: "crash-loop", exit: 4, proof: endedThrice, within: twice, ready: true},
	{name: "host-port-held", tag: "better", exit: 3, code: "surge-blocked", prepare: "host-port"},
	{name: "post-start", tag: "better", edit: map[string]string{"container": `lifecycle: {postStart: {exec: {command: [/nope]}}}`}, code: "post-start", exit: 4, proof: `FailedPostStartHook`, within: twice},
	{name: "strategy-stuck", tag: "better", exit: 3, code: "strategy-stuck", edit: map[string]string{"spec": "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}"}},
	{name: "variable-twice", tag: "better", exit: 3, code: "env-twice", edit: map[string]string{"container": `env: [{name: A, value: "1"}, {name: A, value: "2"}]`}},
	{name: "progress-deadline", tag: "better", edit: map[string]string{"spec": "progressDeadlineSeconds: 4\n  minReadySeconds: 3", "container": `startupProbe: {httpGet: {path: /, port: 3111}, initialDelaySeconds: 30}`},
		code: "progress-deadline", exit: 4, says: "pod worker-", proof: `ProgressDeadlineExceeded`, within: atOnce},

	// The rollout completes, but what runs is not what should run.
	{name: "page-broken", tag: "broken", code: "probe-status", exit: 4},
	{name: "other-page", tag: "otherpage", flags: []string{"--probe-expect=functions"}, code: "probe-expect", exit: 4},
	{name: "duplicate-functions", tag: "duplicates", code: "probe-duplicates", exit: 4},
	{name: "probe-port", tag: "better", flags: []string{"--probe-port=3999"}, code: "probe-unreachable", exit: 4},

	// Somebody else makes a change at the same time.
	{name: "changed-by-another", tag: "unready", at: "watch", do: func(ctx context.Context, p *place) error {
		return p.patch(ctx, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"`+standinImage+`:better"}]}}}}`)
	}, code: "superseded", exit: 5, others: true},
	{name: "changed-in-settle", tag: "better", at: "settle", do: setOther, code: "superseded", exit: 5, others: true, left: otherRuns},
	{name: "changed-in-probe", tag: "broken", at: "probe", do: setOther, code: "superseded", exit: 5, others: true, left: otherRuns},
	{name: "suspended-and-overtaken", tag: "unready", at: "watch", do: overtake, code: "lock-lost", exit: 5, others: true, left: func(ctx context.Context, p *place) error {
		_, err := p.names(ctx, "better")
		return err
	}},
	{name: "deleted-by-another", tag: "unready", at: "watch", do: func(ctx context.Context, p *place) error {
		return p.kube.AppsV1().Deployments(p.ns).Delete(ctx, "worker", metav1.DeleteOptions{})
	}, code: "workload-replaced", exit: 5, others: true},
}

// TestFaults runs a failing rollout for every row of the table, all in
// parallel and each in its own namespace. It writes a table of the results to
// faults.md in the sandbox's directory.
func TestFaults(t *testing.T) {
	st := standin(t)
	shared.turn.Lock()
	defer shared.turn.Unlock()
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.name
	}
	places := st.places(t, names)
	eyes := st.look(t)
	rows := make([]row, len(faults))
	var work errgroup.Group
	work.SetLimit(8) // how long this takes depends on the node
	// Those that first wait for some time start first, because they leave the
	// machine to the others.
	for _, waits := range []bool{true, false} {
		for i, f := range faults {
			if waits == f.waits() {
				work.Go(func() error {
					rows[i] = f.run(t.Context(), places[f.name], eyes)
					return nil
				})
			}
		}
	}
	_ = work.Wait() // each row has its own error
	var table strings.Builder
	fmt.Fprintf(&table, "| way to fail | verdict | exit code | cluster knew → reported | whole command | afterwards |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if r.err != nil {
				t.Error(r.err)
			}
		})
		fmt.Fprintf(&table, "| %s | %s | %d | %s | %.1f s | %s |\n", r.name, r.code, r.exit, r.latency, r.took.Seconds(), r.after)
	}
	t.Logf("\n%s", table.String())
	if err := os.WriteFile(filepath.Join(st.Dir, "faults.md"), []byte(table.String()), 0o644); err != nil {
		t.Error(err)
	}
}

func (f fault) waits() bool {
	return strings.HasPrefix(f.code, "probe-") || slices.ContainsFunc(f.flags, func(flag string) bool { return strings.HasPrefix(flag, "--timeout") })
}

// row is the result of one fault.
type row struct {
	name, code, latency, after string
	exit                       int
	took                       time.Duration
	err                        error
}

func (f fault) run(ctx context.Context, p *place, eyes *eyes) row {
	out := row{name: f.name}
	if f.prepare != "" {
		if out.err = p.prepare(ctx, f.prepare); out.err != nil {
			return out
		}
	}
	if out.err = p.edit(f.edit); out.err != nil {
		return out
	}
	if f.proof != "" {
		eyes.watch(p.ns, f.proof)
	}
	var extra []string
	if f.blind {
		extra = blind
		f.flags = append(slices.Clone(f.flags), "--no-pin")
	}
	var m moment
	if f.do != nil {
		m = moment{pipeline.StageStarted, f.at, func(proc *os.Process) error {
			if err := proc.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
			return errors.Join(f.do(ctx, p), proc.Signal(syscall.SIGCONT))
		}}
	}
	p.replaced = p.replaced || f.ready || strings.HasPrefix(f.code, "probe-")
	args := append([]string{"rollout", "--tag", f.tag, "--no-inngest"}, f.flags...)
	r, err := p.kubectl(ctx, m, extra, args...)
	if err != nil {
		out.err = err
		return out
	}
	out.exit, out.took = r.code, r.took
	var errs []error
	last := r.events[len(r.events)-1].Outcome
	if last == nil || len(last.Findings) == 0 {
		out.err = fmt.Errorf("exit %d without a finding:\n%s", r.code, r.stderr)
		return out
	}
	out.code = last.Findings[0].Code
	if out.code != f.code || r.code != f.exit {
		errs = append(errs, fmt.Errorf("verdict %s and exit %d, want %s and %d:\n%s", out.code, r.code, f.code, f.exit, r.stderr))
	}
	if text := fmt.Sprintf("%+v", last.Findings[0]); !strings.Contains(text, f.says) {
		errs = append(errs, fmt.Errorf("%s does not name %q", text, f.says))
	}
	if f.proof != "" {
		reported, _ := r.finished("watch")
		knew, ok := eyes.first(p.ns)
		latency := reported.Time.Sub(knew)
		out.latency = "the cluster never reported it"
		if ok {
			out.latency = fmt.Sprintf("%.1f s", max(0, latency.Seconds()))
		}
		if !ok || latency > f.within {
			errs = append(errs, fmt.Errorf("reported %s after the cluster knew (%v), want %s", latency, ok, f.within))
		}
	}
	switch {
	case !f.others:
		errs = append(errs, p.restored(ctx))
	case f.left != nil:
		errs = append(errs, f.left(ctx, p))
	}
	switch out.err = errors.Join(errs...); {
	case out.err != nil:
		out.after = "**unexpected**"
	case r.code == 3, r.code == 1:
		out.after = "nothing was changed"
	case f.others:
		out.after = "left as the other user changed it"
	case p.replaced:
		out.after = "image, manifest, pods of the old version"
	default:
		out.after = "image, manifest; the old pod served throughout"
	}
	return out
}

func (p *place) patch(ctx context.Context, patch string) error {
	_, err := p.kube.AppsV1().Deployments(p.ns).Patch(ctx, "worker", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "another"})
	return err
}
