//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestServerRestart stops the API server while a rollout is watched and starts
// it again without the versions from which the watches could continue. The
// rollout reports that it is waiting for the server, and completes.
func TestServerRestart(t *testing.T) {
	st := standin(t)
	shared.turn.Lock()
	defer shared.turn.Unlock()
	p := st.places(t, []string{"restart"})["restart"]
	// The pod does not become ready before the server is stopped.
	if err := p.edit(map[string]string{"container": `startupProbe: {httpGet: {path: /, port: 3111}, initialDelaySeconds: 10}`}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	bounce := moment{pipeline.Tabled, "watch", func(*os.Process) error { return p.bounce(ctx) }}
	r, err := p.kubectl(ctx, bounce, nil, "rollout", "--tag", "better", "--no-inngest")
	if err != nil {
		t.Fatal(err)
	}
	if r.code != 0 || !r.said("the API server does not answer") || !r.said("the API server answers again") {
		t.Fatalf("exit %d:\n%s", r.code, r.stderr)
	}
	if err := p.serves(ctx, "better"); err != nil {
		t.Errorf("%v\n%s", err, r.stderr)
	}
}

// bounce restarts the API server. Its caches start with the current state, so
// they do not contain any earlier version.
func (p *place) bounce(ctx context.Context) error {
	before, err := p.kube.CoreV1().Pods(p.ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if _, err := p.kube.CoreV1().ConfigMaps(p.ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "later"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	c, err := p.Cluster()
	if err != nil {
		return err
	}
	if err := c.RestartAPIServer(ctx); err != nil {
		return err
	}
	w, err := p.kube.CoreV1().Pods(p.ns).Watch(ctx, metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err == nil {
		defer w.Stop()
		if e := <-w.ResultChan(); e.Type == watch.Error {
			err = apierrors.FromObject(e.Object)
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		return errors.Join(fmt.Errorf("version %s is not expired after the restart", before.ResourceVersion), err)
	}
	return nil
}
