package conn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// These are the routes to a Service, by their names for --inngest-via.
const (
	ViaAuto    = "auto" // a port-forward, or the Service's own address if port-forwarding is not allowed
	ViaForward = "port-forward"
	ViaDirect  = "direct"
)

// route carries requests to a Service or a pod: through a port-forward, or to
// an address that the Service has outside the cluster if a port-forward is not
// allowed or not wanted. The first request decides.
type route struct {
	via    string
	tunnel *forward.Tunnel
	// find looks for an address that gives the expected answer.
	find func(context.Context) (forward.Address, error)

	through http.RoundTripper // of the tunnel

	mu     sync.Mutex
	direct *forward.Address // once it was found
	// refused is the reason why the tunnel is not used; empty if it was not
	// tried.
	refused string
}

// newRoute prepares the route to a target without connecting.
func (c *Conn) newRoute(t forward.Target, via string, find func(context.Context) (forward.Address, error)) (*route, error) {
	tunnel, err := forward.New(c.Cluster, t)
	if err != nil {
		return nil, err
	}
	r := &route{via: via, tunnel: tunnel, find: find, through: tunnel.Transport()}
	c.routes = append(c.routes, r)
	return r, nil
}

// String describes the route in use.
func (r *route) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.direct == nil:
		return "a port-forward to " + r.tunnel.Target().String()
	case r.refused != "":
		return fmt.Sprintf("%s, because port-forwarding is not allowed", r.direct)
	}
	return r.direct.String()
}

// detour describes the route if it is not a port-forward.
func (r *route) detour() string {
	r.mu.Lock()
	taken := r.direct != nil
	r.mu.Unlock()
	if !taken {
		return ""
	}
	return r.String()
}

// RoundTrip implements http.RoundTripper.
func (r *route) RoundTrip(req *http.Request) (*http.Response, error) {
	to, err := r.address(req.Context(), nil)
	if err != nil {
		return nil, err
	}
	if to == nil {
		resp, err := r.through.RoundTrip(req)
		if err == nil || r.via != ViaAuto || !isForbidden(err) {
			return resp, err
		}
		if to, err = r.address(req.Context(), err); err != nil {
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
	// An ingress does not know the Service's name in the cluster. The name
	// under which a worker should register is not changed.
	if again.Host == req.URL.Host {
		again.Host = base.Host
	}
	again.URL.Scheme, again.URL.Host = base.Scheme, base.Host
	return http.DefaultTransport.RoundTrip(again)
}

// isForbidden reports whether RBAC refused the port-forward itself, or reading
// what is needed to find the pod.
func isForbidden(err error) bool {
	return errors.Is(err, forward.ErrForbidden) || apierrors.IsForbidden(err)
}

// address is the direct address, and nil while the tunnel is the route.
// refusal is the reason why the tunnel cannot be used.
func (r *route) address(ctx context.Context, refusal error) (*forward.Address, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.direct != nil || refusal == nil && r.via != ViaDirect {
		return r.direct, nil
	}
	found, err := r.find(ctx)
	if err == nil {
		r.direct = &found
		if refusal != nil {
			r.refused = refusal.Error()
		}
		return r.direct, nil
	}
	f, refused := errors.AsType[*pipeline.Finding](refusal)
	none, ok := errors.AsType[*pipeline.Finding](err)
	if !refused || !ok {
		return nil, errors.Join(refusal, err)
	}
	why := f.Why + "; and " + none.What
	if none.Why != "" {
		why += ": " + none.Why
	}
	return nil, f.With(func(f *pipeline.Finding) { f.Why = why })
}

func (r *route) close() error { return r.tunnel.Close() }

// askFor limits the check of one address, so that an unreachable address does
// not delay the others.
const askFor = 3 * time.Second

// firstAnswering sends a request to all addresses of a Service at the same
// time and returns the first one, in their order, that gives the expected
// answer.
func (c *Conn) firstAnswering(
	ctx context.Context,
	t forward.Target,
	ask func(ctx context.Context, url string) error,
) (forward.Address, error) {
	all, err := forward.Direct(ctx, c.Cluster, t)
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
	none := &pipeline.Finding{
		Code: CodeNoAddress, Severity: pipeline.Error, Where: t.Namespace,
		What: fmt.Sprintf("Service %s does not have an address outside the cluster that answers from here", t.Service),
		Why:  "its type is neither NodePort nor LoadBalancer, and no Ingress routes a host to it",
		Fix:  "ask for the verb create on pods/portforward, or give the server's address with --inngest-url",
	}
	if len(tried) > 0 {
		none.Why = "tried " + strings.Join(tried, ", ")
	}
	return forward.Address{}, none
}
