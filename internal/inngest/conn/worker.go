package conn

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// advertised is the URL under which the server reaches the worker, without the
// SDK's path.
func (c *Conn) advertised() string {
	if c.Worker.Inngest.Host != "" {
		return c.Worker.Inngest.Host
	}
	if host, ok := c.env.Lookup(envServeOrigin, envServeHost); ok && host != "" {
		return strings.TrimSuffix(host, "/")
	}
	return "http://" + c.Ref.Name + ":" + strconv.Itoa(c.Worker.Probe.Port)
}

// Wanted describes the worker's registration.
func (c *Conn) Wanted() model.Wanted {
	return model.Wanted{App: c.App, URL: c.advertised() + c.Worker.Inngest.Path}
}

// WorkerAt returns a client for the SDK in one pod, or in any ready pod of the
// workload if pod is empty.
func (c *Conn) WorkerAt(ctx context.Context, pod string) (*sdk.Worker, error) {
	target := forward.Target{Namespace: c.Ref.Namespace, Pod: pod, Port: c.Worker.Probe.Port}
	if pod == "" {
		var err error
		if target.Pod, err = c.readyPod(ctx); err != nil {
			return nil, err
		}
	}
	// --inngest-via applies to the server. The worker is reached by any route
	// that works.
	r, err := c.newRoute(target, ViaAuto, c.findWorker)
	if err != nil {
		return nil, err
	}
	if c.kind == "" {
		health, err := c.Client.Health(ctx)
		if err != nil {
			return nil, c.Explain("reach Inngest", err)
		}
		c.kind = health.Kind
	}
	return sdk.New(sdk.Options{
		Endpoint: wire.Endpoint{BaseURL: target.URL().String(), HTTP: &http.Client{Transport: r}, Advertised: c.advertised()},
		Path:     c.Worker.Inngest.Path, Key: c.key, Kind: c.kind,
	})
}

// readyPod returns the youngest pod of the workload that is ready and not
// being deleted. After a rollout that is a new pod.
func (c *Conn) readyPod(ctx context.Context) (string, error) {
	kube, err := c.Cluster.Kube()
	if err != nil {
		return "", err
	}
	w, err := workload.Get(ctx, kube, c.Ref)
	if err != nil {
		return "", err
	}
	pods, err := kube.CoreV1().Pods(c.Ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: w.Selector().String()})
	if err != nil {
		return "", cluster.Explain("list the pods of "+c.Ref.String(), err)
	}
	var best *corev1.Pod
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp == nil && podutils.IsPodReady(p) && (best == nil || best.CreationTimestamp.Before(&p.CreationTimestamp)) {
			best = p
		}
	}
	if best == nil {
		return "", &pipeline.Finding{
			Code: CodeWorkerNotReady, Severity: pipeline.Error, Where: c.Ref.Namespace + "/" + c.Ref.String(),
			What: "the worker does not have a ready pod", Why: "0 of its " + units.Count(len(pods.Items), "pod is", "pods are") + " ready",
			Fix: "run `kubectl sbw status` to see what is wrong with it",
		}
	}
	return best.Name, nil
}

// LiveSince returns when the oldest container of the worker that still runs
// has started, by the Inngest server's clock: nothing that began earlier can be
// running. Without containers it returns the current time, and zero if the time
// is not known, as it is when one of the clocks cannot be read.
func (c *Conn) LiveSince(ctx context.Context) (time.Time, error) {
	kube, err := c.Cluster.Kube()
	if err != nil {
		return time.Time{}, err
	}
	w, err := workload.Get(ctx, kube, c.Ref)
	if errors.Is(err, workload.ErrUnknown) {
		return c.Client.Now(), nil // a first rollout: no container runs
	}
	if err != nil {
		return time.Time{}, err
	}
	pods, err := kube.CoreV1().Pods(c.Ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: w.Selector().String()})
	if err != nil {
		return time.Time{}, cluster.Explain("list the pods of "+c.Ref.String(), err)
	}
	cluster, known := c.clusterAhead(ctx)
	if !known {
		return time.Time{}, nil
	}
	since, known := c.onServer(ctx, liveSince(pods.Items, c.Worker.Deploy.Container, time.Now().Add(cluster)))
	if !known {
		return time.Time{}, nil
	}
	return since, nil
}

// liveSince returns the earliest start of a running container, by the API server's
// clock. For a pod whose node does not report, the time of its creation counts.
func liveSince(pods []corev1.Pod, container string, now time.Time) time.Time {
	oldest := now
	for _, p := range pods {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		since := p.CreationTimestamp.Time
		for _, s := range p.Status.ContainerStatuses {
			if (s.Name == container || container == "" && len(p.Status.ContainerStatuses) == 1) && s.State.Running != nil {
				since = s.State.Running.StartedAt.Add(-nodeAhead(&p))
			}
		}
		if since.Before(oldest) {
			oldest = since
		}
	}
	return oldest
}

// nodeAhead returns how far the clock of a pod's node may be ahead of the control
// plane's. It is at most the time between the scheduling of the pod, by the scheduler's
// clock, and its acceptance by the node, by the node's clock.
func nodeAhead(p *corev1.Pod) time.Duration {
	if p.Status.StartTime == nil {
		return 0
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return max(0, p.Status.StartTime.Sub(c.LastTransitionTime.Time))
		}
	}
	return 0
}

// findServer looks for the server outside the cluster.
func (c *Conn) findServer(ctx context.Context) (forward.Address, error) {
	return c.firstAnswering(ctx, ServerTarget(c.Ref.Namespace, c.Worker.Inngest), func(ctx context.Context, url string) error {
		other, err := client.New(client.Options{Server: wire.Endpoint{BaseURL: url}})
		if err != nil {
			return err
		}
		_, err = other.Health(ctx)
		return err
	})
}

// WorkerTarget returns the worker's Service, whose name the server uses to
// call it.
func (c *Conn) WorkerTarget() forward.Target {
	t := forward.Target{Namespace: c.Ref.Namespace, Service: c.Ref.Name, Port: c.Worker.Probe.Port}
	if u, err := url.Parse(c.advertised()); err == nil { // otherwise sdk.New reports the error
		if namespace, name, ok := ServiceOf(u.Hostname(), c.Ref.Namespace); ok {
			t.Namespace, t.Service = namespace, name
		}
	}
	return t
}

// findWorker looks for the worker's Service outside the cluster.
func (c *Conn) findWorker(ctx context.Context) (forward.Address, error) {
	return c.firstAnswering(ctx, c.WorkerTarget(), func(ctx context.Context, url string) error {
		// This request is sent without the key, because something else may
		// answer there.
		w, err := sdk.New(sdk.Options{Endpoint: wire.Endpoint{BaseURL: url, Advertised: c.advertised()}, Path: c.Worker.Inngest.Path})
		if err != nil {
			return err
		}
		if _, err = w.Inspect(ctx); errors.Is(err, sdk.ErrKeyNeeded) {
			return nil // only an SDK answers like that
		}
		return err
	})
}

// ServiceOf interprets a host like a pod in the namespace own does: NAME in
// its own namespace, NAME.NAMESPACE, or NAME.NAMESPACE.svc[.cluster.local].
func ServiceOf(host, own string) (namespace, name string, ok bool) {
	host = strings.TrimSuffix(strings.TrimSuffix(host, ".cluster.local"), ".svc")
	parts := strings.Split(host, ".")
	switch {
	case host == "" || host == "localhost" || strings.ContainsAny(host, ":"):
		return "", "", false
	case len(parts) == 1:
		return own, parts[0], true
	case len(parts) == 2:
		return parts[1], parts[0], true
	}
	return "", "", false
}
