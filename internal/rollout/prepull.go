package rollout

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/warmup"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// prepull lets the nodes pull the image and execute a harmless program of it before
// anything is changed. Its pods are deleted again, so they are not a change of this run.
func (f *facts) prepull(ctx context.Context, rep *pipeline.Reporter, timeout time.Duration) error {
	next, err := f.next.Get(ctx)
	if err != nil {
		return err
	}
	img, err := f.resolved.Get(ctx)
	if err != nil {
		return err
	}
	kube, err := f.Conn.Kube()
	if err != nil {
		return err
	}
	nodes, err := f.nodes(ctx)
	if err != nil {
		rep.Notef("it is unknown on which nodes the worker runs, so one node warms up the image: %v", err)
	}
	proofs, err := warmup.Run(ctx, kube, warmup.Options{
		Ref: f.Ref, Template: next.Template(), Container: f.container(), Image: img.String(), Argv: img.argv(), Nodes: nodes,
		By: lock.Me(), Timeout: timeout, Reporter: rep,
	})
	for _, p := range proofs {
		on := "a node"
		if p.Node != "" {
			on = "node " + p.Node
		}
		switch {
		case p.Skipped != "":
			rep.Notef("no warm-up on %s: %s", on, p.Skipped)
		case p.Executed:
			rep.Notef("%s has pulled the image and can execute it", on)
		case p.Why != "":
			rep.Notef("%s has pulled the image; whether it can execute the worker is not known: %s", on, p.Why)
		}
	}
	return err
}

// argv returns what the image executes by itself; nil if that is not known.
func (i resolvedImage) argv() []string {
	if i.found == nil || len(i.found.Variants) == 0 {
		return nil
	}
	c := i.found.Variants[0].File.Config
	return slices.Concat(c.Entrypoint, c.Cmd)
}

// mostNodes limits how many nodes warm up an image.
const mostNodes = 16

// nodes returns the nodes that run the worker's pods now: most likely the new ones get
// there, too.
func (f *facts) nodes(ctx context.Context) ([]string, error) {
	live, err := f.live.Get(ctx)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	kube, err := f.Conn.Kube()
	if err != nil {
		return nil, err
	}
	pods, err := kube.CoreV1().Pods(f.Ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: live.Selector().String()})
	if err != nil {
		return nil, err
	}
	var nodes []string
	for i := range pods.Items {
		if node := pods.Items[i].Spec.NodeName; node != "" && !slices.Contains(nodes, node) && len(nodes) < mostNodes {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes, nil
}

// prepullRights are the permissions that a warm-up needs.
func (f *facts) prepullRights() []preflight.Right {
	var all []preflight.Right
	for _, verb := range []string{"create", "delete"} {
		all = append(all, preflight.Right{Verb: verb, Resource: "pods", Namespace: f.Ref.Namespace, For: "warm up the image (--prepull)"})
	}
	return all
}

// removeWarmUps deletes, under the lock, the warm-up pods that killed runs have left.
func (g *guard) removeWarmUps(ctx context.Context, rep *pipeline.Reporter) {
	if g.held == nil {
		return // without the lock, they may be those of a run that is working
	}
	kube, err := g.Conn.Kube()
	if err != nil {
		return // the next step reports it
	}
	left, err := warmup.Left(ctx, kube, g.Ref)
	if err == nil && len(left) > 0 {
		if err = warmup.Delete(ctx, kube, left); err == nil {
			rep.Notef("%s that a killed run had left %s deleted", count(len(left), "warm-up pod"), were(len(left)))
		}
	}
	for _, f := range pipeline.AsFindings("cannot look for warm-up pods", err) {
		rep.Finding(f.WithSeverity(min(f.Severity, pipeline.Warning)))
	}
}

func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// warmUps reports the warm-up pods that exist although nobody is working on the worker.
func (t *Target) warmUps(ctx context.Context) ([]*pipeline.Finding, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	left, err := warmup.Left(ctx, kube, t.Ref)
	if err != nil || len(left) == 0 {
		return nil, err
	}
	if who, _, err := lock.Holder(ctx, kube, t.Ref); err != nil || who != "" {
		return nil, err // whoever holds the lock deletes them
	}
	var found []*pipeline.Finding
	for _, pod := range left {
		found = append(found, warmup.Finding(pod).WithSeverity(pipeline.Note))
	}
	return found, nil
}
