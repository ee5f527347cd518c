package handover_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// endpoints counts the Ready pods that a Service selects.
func (b *bench) endpoints(ctx context.Context, service string) (int, error) {
	svc, err := b.kube.CoreV1().Services(b.ns).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	pods, err := b.kube.CoreV1().Pods(b.ns).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
	if err != nil {
		return 0, err
	}
	n := 0
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil && podutils.IsPodReady(&pods.Items[i]) {
			n++
		}
	}
	return n, nil
}

// observe reads the endpoints again and again until stop is called, which returns the
// first moment at which the Service had none. A moment that it misses fails no test.
func (b *bench) observe() (stop func() string) {
	ctx, cancel := context.WithCancel(b.Context())
	empty := ""
	var reading sync.WaitGroup
	reading.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for empty == "" {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for _, name := range names {
				if n, err := b.endpoints(ctx, name); err == nil && n == 0 {
					if n, err = b.endpoints(ctx, name); err == nil && n == 0 { // it was not switched between two reads
						empty = fmt.Sprintf("service/%s has no endpoint at %s", name, time.Now().Format(time.StampMilli))
					}
				}
			}
		}
	})
	return func() string { cancel(); reading.Wait(); return empty }
}

// quiet waits until the controllers have nothing left to do.
func (b *bench) quiet() {
	b.Helper()
	still := 0
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for last := ""; still < 5; {
		d := b.deployment()
		sets, err := b.kube.AppsV1().ReplicaSets(b.ns).List(b.Context(), metav1.ListOptions{})
		if err != nil {
			b.Fatal(err)
		}
		now := fmt.Sprint(d.Generation, d.Status.ObservedGeneration, d.Status.Replicas, d.Status.ReadyReplicas)
		done := d.Status.ObservedGeneration >= d.Generation
		for _, rs := range sets.Items {
			now += fmt.Sprint(" ", rs.Name, *rs.Spec.Replicas, rs.Status.Replicas, rs.Status.ReadyReplicas)
			done = done && rs.Status.ReadyReplicas == *rs.Spec.Replicas && rs.Status.Replicas == *rs.Spec.Replicas
		}
		if still++; now != last || !done {
			still, last = 0, now
		}
		select {
		case <-tick.C:
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		}
	}
}

// try runs a kubectl command that may be refused.
func (b *bench) try(args ...string) error {
	cmd := exec.CommandContext(b.Context(), require.Tool(b.T, "kubectl"), append([]string{"--kubeconfig", b.kubeconfig, "-n", b.ns, "--cache-dir", b.TempDir()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// holdKilled pins the Services in a run that is killed after some writes.
func (b *bench) holdKilled(writes int) {
	b.Helper()
	run := b.newRun()
	run.Guard = func(context.Context) error {
		if writes--; writes < 0 {
			return errors.New("killed")
		}
		return nil
	}
	if err := run.Hold(b.Context(), b.origin(), names); err == nil {
		b.Fatal("it was not killed")
	}
}

// stages of a hand-over at which a run is killed.
var stages = map[string]func(b *bench){
	"paused":        func(b *bench) { b.apply("x/w:2") },
	"partly pinned": func(b *bench) { b.apply("x/w:2"); b.holdKilled(1) },
	"pinned":        func(b *bench) { b.apply("x/w:2"); b.holdKilled(2) },
	"applied":       func(b *bench) { b.held("x/w:slow") },
	"ready":         func(b *bench) { b.ready(b.held("x/w:2")) },
	"switched":      (*bench).switched,
	"switched back": func(b *bench) {
		b.switched()
		if err := b.run.SwitchBack(b.Context()); err != nil {
			b.Fatal(err)
		}
	},
}

// others are what somebody does who knows nothing of the hand-over.
var others = map[string]func(b *bench) error{
	"apply":         func(b *bench) error { b.image("x/w:3"); return b.try("apply", "-f", b.file) },
	"apply stamped": func(b *bench) error { return b.try("apply", "-f", b.file) },
	"apply server-side": func(b *bench) error {
		b.image("x/w:3")
		return b.try("apply", "-f", b.file, "--server-side", "--force-conflicts", "--field-manager=somebody")
	},
	// The manifest sets fields that are held.
	"apply fields": func(b *bench) error {
		b.fields = "  minReadySeconds: 1\n  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n"
		b.image("x/w:3")
		return b.try("apply", "-f", b.file)
	},
	"replace":    func(b *bench) error { b.image("x/w:3"); return b.try("replace", "-f", b.file) },
	"resume":     func(b *bench) error { return b.try("rollout", "resume", "deployment/worker") },
	"delete set": func(b *bench) error { return b.try("delete", "replicaset", "-l", "pod-template-hash="+b.version()) },
	"set fields": func(b *bench) error {
		b.patch("deployment", `{"spec":{"minReadySeconds":1,"progressDeadlineSeconds":10}}`)
		return nil
	},
	"set image":  func(b *bench) error { return b.try("set", "image", "deployment/worker", "worker=x/w:3") },
	"set env":    func(b *bench) error { return b.try("set", "env", "deployment/worker", "A=b") },
	"restart":    func(b *bench) error { return b.try("rollout", "restart", "deployment/worker") },
	"undo":       func(b *bench) error { return b.try("rollout", "undo", "deployment/worker") },
	"scale up":   func(b *bench) error { return b.try("scale", "deployment/worker", "--replicas=3") },
	"scale down": func(b *bench) error { return b.try("scale", "deployment/worker", "--replicas=1") },
}

// TestOthersAfterAKill: a run was killed, and somebody who knows nothing of it changes the
// worker with kubectl. At no moment is a Service without a Ready endpoint, and neither is
// it when the next run ends what the killed one has left.
func TestOthersAfterAKill(t *testing.T) {
	for _, c := range []struct {
		stage, other string
		refused      bool // kubectl refuses to do that to a paused Deployment
	}{
		{"paused", "apply", false},
		{"partly pinned", "apply fields", false},
		{"partly pinned", "set image", false},
		{"pinned", "apply", false},
		{"pinned", "resume", false},
		{"pinned", "scale up", false},
		{"applied", "set image", false},
		{"applied", "undo", false},
		{"ready", "apply", false},
		{"ready", "apply fields", false},
		{"ready", "resume", false},
		{"ready", "apply server-side", false},
		{"ready", "restart", true},
		{"ready", "scale down", false},
		{"switched", "apply", false},
		{"switched", "apply stamped", false},
		{"switched", "apply server-side", false},
		{"switched", "set image", false},
		{"switched", "set env", false},
		{"switched", "restart", true},
		{"switched", "undo", true},
		{"switched", "scale up", false},
		{"switched back", "set image", false},
	} {
		t.Run(c.stage+"/"+c.other, func(t *testing.T) {
			b := newBench(t, "")
			stages[c.stage](b)
			stop := b.observe()
			if err := others[c.other](b); (err != nil) != c.refused {
				t.Error(err)
			}
			if c.stage != "applied" { // its pods never become Ready
				b.quiet()
			}
			p := b.decide()
			var err error
			switch p.Action() {
			case handover.None:
			case handover.Release:
				err = b.run.Release(t.Context(), p.ServicesFirst, b.watching())
			default:
				err = b.run.GoBack(t.Context(), b.watching())
			}
			if err != nil {
				t.Errorf("%+v: %v", p, err)
			}
			b.quiet()
			if empty := stop(); empty != "" {
				t.Errorf("%s\n%+v", empty, p)
			}
			b.clean()
			if b.deployment().Spec.Paused {
				t.Error("it is still paused")
			}
		})
	}
}
