package rollout

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// bake watches the new version for a while after the switch. Its error explains
// why the new version performs worse than the old one. Data that cannot be read is
// reported and does not cause a rollback. If the bake time is zero, only the pods
// are watched, until ctx ends together with the wait for the old pods.
func (r *Run) bake(ctx context.Context, rep *pipeline.Reporter, handed time.Time) error {
	over := r.Switch.Bake
	b := baking{Run: r, handed: handed, restarts: map[types.UID]int32{}, unready: map[types.UID]time.Time{}}
	for _, pod := range r.found.watched.NewPods() {
		b.restarts[pod.UID] = restartsOf(pod)
	}
	var end <-chan time.Time
	if over > 0 {
		rep.Notef("bakes for %s: it %s", over, handover.BakeRule)
		timer := time.NewTimer(time.Until(handed.Add(over)))
		defer timer.Stop()
		end = timer.C
	}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	blind := ""
	for {
		why, err := b.look(ctx)
		if ctx.Err() != nil {
			return nil // whoever canceled the context reports why
		}
		if why != "" {
			return &pipeline.Finding{Code: CodeBakeFailed, Severity: pipeline.Error, Where: r.where(),
				What: "the new version performs worse than the old one", Why: why, Fix: "see the logs of the new pods in the receipt"}
		}
		if err != nil && err.Error() != blind {
			blind = err.Error()
			rep.Notef("cannot read everything that a bake checks: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-end:
			if blind == "" {
				rep.Notef("baked for %s, and the new version does not perform worse", over)
			}
			return nil
		case <-tick.C:
		}
	}
}

type baking struct {
	*Run
	handed   time.Time
	restarts map[types.UID]int32 // before the switch
	unready  map[types.UID]time.Time
	failed   *int // runs that failed before the switch; nil while that is not known
}

// look compares once what has happened since the switch with the time before it.
func (b *baking) look(ctx context.Context) (why string, err error) {
	now := time.Now()
	since := now.Sub(b.handed)
	// A version whose runs fail now and then fails none in most short periods, so the time
	// before the switch is always taken as long as the whole bake.
	before, after := handover.Sample{Over: b.Switch.Bake}, handover.Sample{Over: since}
	if err := b.pods(ctx, &after, now); err != nil {
		return "", err
	}
	if b.Inngest.Off || b.Switch.Bake == 0 {
		return handover.Bake(before, after), nil
	}
	c, app, err := b.facts.ownApp(ctx)
	if err != nil || app == nil {
		return handover.Bake(before, after), err
	}
	was, is, err := b.countFailed(ctx, c.Client, *app, now)
	if err != nil {
		return handover.Bake(before, after), c.Explain("list failed runs", err)
	}
	before.FailedRuns, after.FailedRuns = was, is
	return handover.Bake(before, after), nil
}

// countFailed returns how many runs failed before the switch, for which it asks once, and
// how many have failed since.
func (b *baking) countFailed(ctx context.Context, c *client.Client, app model.App, now time.Time) (before, since int, err error) {
	if b.failed == nil {
		n, err := inngest.CountFailed(ctx, c, app, b.handed.Add(-b.Switch.Bake), b.handed)
		if err != nil {
			return 0, 0, err
		}
		b.failed = &n
	}
	since, err = inngest.CountFailed(ctx, c, app, b.handed, now)
	return *b.failed, since, err
}

// pods counts the new pods' restarts and records how long a pod has not been Ready.
func (b *baking) pods(ctx context.Context, to *handover.Sample, now time.Time) error {
	kube, err := b.Conn.Kube()
	if err != nil {
		return err
	}
	list, err := kube.CoreV1().
		Pods(b.Ref.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: appsv1.DefaultDeploymentUniqueLabelKey + "=" + b.found.fresh})
	if err != nil {
		return err
	}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		restarts := restartsOf(pod)
		if _, known := b.restarts[pod.UID]; !known {
			b.restarts[pod.UID] = restarts
		}
		to.Restarts += restarts - b.restarts[pod.UID]
		if podutils.IsPodReady(pod) {
			delete(b.unready, pod.UID)
		} else if _, known := b.unready[pod.UID]; !known && pod.Status.Phase == corev1.PodRunning {
			b.unready[pod.UID] = now
		}
		if at, known := b.unready[pod.UID]; known {
			to.Unready = max(to.Unready, now.Sub(at))
		}
	}
	return nil
}

func restartsOf(pod *corev1.Pod) (n int32) {
	for _, c := range pod.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}
