package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// way carries requests to a Service or a pod: through a port-forward or, where
// none may be made (or none is wanted), to an address that the Service has
// outside of the cluster. Which one it is shows with the first request.
type way struct {
	via    string
	tunnel *forward.Tunnel
	// find looks for an address that answers as it should.
	find func(context.Context) (forward.Address, error)

	through http.RoundTripper // of the tunnel

	mu     sync.Mutex
	direct *forward.Address // once it was found
	// refused is why the tunnel was not taken; empty when it was not asked.
	refused string
}

// String says which way was taken.
func (w *way) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.direct == nil:
		return "a port-forward to " + w.tunnel.Target().String()
	case w.refused != "":
		return fmt.Sprintf("%s, since no port may be forwarded", w.direct)
	}
	return w.direct.String()
}

// detour is the way in words where it is not the one that was to be expected.
func (w *way) detour() string {
	w.mu.Lock()
	taken := w.direct != nil
	w.mu.Unlock()
	if !taken {
		return ""
	}
	return w.String()
}

// RoundTrip implements http.RoundTripper.
func (w *way) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := w.address(req.Context(), nil)
	if err != nil {
		return nil, err
	}
	if to == nil {
		resp, err := w.through.RoundTrip(req)
		if err == nil || w.via != viaAuto || !isForbidden(err) {
			return resp, err
		}
		if to, err = w.address(req.Context(), err); err != nil {
			return nil, err
		}
	}
	base, err := url.Parse(to.URL)
	if err != nil {
		return nil, err
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	// The Service's name in the cluster means nothing to an ingress; the name
	// that a worker is to register under stays.
	if again.Host == req.URL.Host {
		again.Host = base.Host
	}
	again.URL.Scheme, again.URL.Host = base.Scheme, base.Host
	return http.DefaultTransport.RoundTrip(again)
}

// isForbidden tells a refusal by RBAC: of the port-forward itself, or of what
// is read to find the pod.
func isForbidden(err error) bool {
	return isCode(err, "forward-forbidden") || isCode(err, "cluster-forbidden")
}

// address is the direct one, nil while the tunnel is the way. refusal is why
// the tunnel cannot be.
func (w *way) address(ctx context.Context, refusal error) (*forward.Address, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.direct != nil || refusal == nil && w.via != viaDirect {
		return w.direct, nil
	}
	found, err := w.find(ctx)
	if err == nil {
		w.direct = &found
		if refusal != nil {
			w.refused = refusal.Error()
		}
		return w.direct, nil
	}
	f, refused := errors.AsType[*pipeline.Finding](refusal)
	none, ok := errors.AsType[*pipeline.Finding](err)
	if !refused || !ok {
		return nil, errors.Join(refusal, err)
	}
	both := *f
	both.Why += "; and " + none.What
	if none.Why != "" {
		both.Why += ": " + none.Why
	}
	return nil, &both
}

// close ends the tunnel.
func (w *way) close() error { return w.tunnel.Close() }

// newWay prepares the way to a target; nothing is connected yet.
func (e *ends) newWay(t forward.Target, via string, find func(context.Context) (forward.Address, error)) (*way, error) {
	tunnel, err := forward.New(e.conn, t)
	if err != nil {
		return nil, err
	}
	w := &way{via: via, tunnel: tunnel, find: find, through: tunnel.Transport()}
	e.ways = append(e.ways, w)
	return w, nil
}

// askFor bounds the question whether an address is the right one: one that is
// not routed from here must not hold the others up.
const askFor = 3 * time.Second

// firstAnswering asks all addresses of a Service at once and takes the first in
// their order that answers as it should.
func (s *scope) firstAnswering(ctx context.Context, t forward.Target, ask func(ctx context.Context, url string) error) (forward.Address, error) {
	all, err := forward.Direct(ctx, s.conn, t)
	if err != nil {
		return forward.Address{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	answers := make([]chan error, len(all))
	for i, a := range all {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- ask(ctx, a.URL) }()
	}
	var tried []string
	for i, a := range all {
		err := <-answers[i]
		if err == nil {
			return a, nil
		}
		why := err.Error()
		if f, ok := errors.AsType[*pipeline.Finding](err); ok && f.Why != "" {
			why = f.Why
		}
		tried = append(tried, fmt.Sprintf("%s (%s)", a, why))
	}
	none := &pipeline.Finding{Code: "service-no-address", Severity: pipeline.Error, Where: t.Namespace,
		What: fmt.Sprintf("Service %s has no address outside of the cluster that answers from here", t.Service),
		Why:  "it is no NodePort or LoadBalancer, and no Ingress hands a host over to it",
		Fix:  "ask for the verb create on pods/portforward, or give the server's address with --inngest-url"}
	if len(tried) > 0 {
		none.Why = "tried " + strings.Join(tried, ", ")
	}
	return forward.Address{}, none
}

// findServer looks for Inngest's server outside of the cluster.
func (e *ends) findServer(ctx context.Context) (forward.Address, error) {
	return e.firstAnswering(ctx, e.serverTarget(), func(ctx context.Context, url string) error {
		c, err := client.New(client.Options{Server: wire.Endpoint{BaseURL: url}})
		if err != nil {
			return err
		}
		_, err = c.Health(ctx)
		return err
	})
}

// workerTarget is the worker's Service: the one under whose name the server
// calls it.
func (e *ends) workerTarget() forward.Target {
	t := forward.Target{Namespace: e.ref.Namespace, Service: e.ref.Name, Port: e.scope.worker.Probe.Port}
	if u, err := url.Parse(e.advertised()); err == nil { // else NewWorker says what is wrong with it
		if namespace, name, ok := conn.ServiceOf(u.Hostname(), e.ref.Namespace); ok {
			t.Namespace, t.Service = namespace, name
		}
	}
	return t
}

// findWorker looks for the worker's Service outside of the cluster.
func (e *ends) findWorker(ctx context.Context) (forward.Address, error) {
	return e.firstAnswering(ctx, e.workerTarget(), func(ctx context.Context, url string) error {
		// Without the key: what answers may be somebody else.
		w, err := sdk.New(sdk.Options{Endpoint: wire.Endpoint{BaseURL: url, Advertised: e.advertised()}, Path: e.scope.worker.Inngest.Path})
		if err != nil {
			return err
		}
		if _, err = w.Inspect(ctx); isCode(err, "worker-key-needed") {
			return nil // so it is an SDK
		}
		return err
	})
}
