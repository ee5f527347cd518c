package conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// Liveness determines which of the workers behind registrations are dead:
// those whose URL names a Service that does not exist, while DNS does not know
// the host and nothing answers there from here. Everything that cannot be
// decided stays Unknown.
func (c *Conn) Liveness(ctx context.Context, apps []model.App) (map[string]judge.Worker, error) {
	kube, err := c.Cluster.Kube()
	if err != nil {
		return nil, err
	}
	// If the server is given by its URL, nobody knows where it runs or how it
	// resolves names.
	d := detective{
		kube: kube, own: ServerTarget(c.Ref.Namespace, c.Worker.Inngest).Namespace, worker: c.WorkerTarget().Service,
		inCluster: c.URL == "", lookup: net.DefaultResolver.LookupHost, ask: answers,
	}
	all := map[string]judge.Worker{}
	for _, app := range apps {
		all[app.ID] = d.judge(ctx, app)
	}
	return all, ctx.Err()
}

// detective contains what is needed to judge whether a worker is dead.
type detective struct {
	kube      kubernetes.Interface
	own       string // the server's namespace
	worker    string // the worker's Service
	inCluster bool   // the server runs in this cluster
	lookup    func(ctx context.Context, host string) ([]string, error)
	ask       func(ctx context.Context, url string) bool
}

func unknown(format string, args ...any) judge.Worker {
	return judge.Worker{Proof: fmt.Sprintf(format, args...)}
}

func (d detective) judge(ctx context.Context, app model.App) judge.Worker {
	u, err := url.Parse(app.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || app.Method == model.MethodConnect {
		return unknown("its worker dials the server")
	}
	host := u.Hostname()
	if !d.inCluster {
		return d.elsewhere(ctx, app.URL, unknown("the server may run outside this cluster, where %s means something else", host))
	}
	namespace, name, ok := ServiceOf(host, d.own)
	if !ok {
		return d.elsewhere(ctx, app.URL, unknown("%s is not the name of a Service", host))
	}
	if _, err := d.kube.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
		return unknown("Service %s exists in namespace %s", name, namespace)
	} else if !apierrors.IsNotFound(err) {
		return unknown("cannot read Service %s in namespace %s: %s", name, namespace, err)
	}
	gone := judge.Worker{Liveness: judge.Dead, Proof: fmt.Sprintf("Service %s does not exist in namespace %s", name, namespace)}
	if isClusterName(host) {
		return gone
	}
	// Outside the cluster's domain, the host may belong to the network. The
	// server's node may know it even if this machine does not.
	if !strings.Contains(host, ".") {
		if !strings.HasPrefix(host, d.worker) {
			return d.elsewhere(ctx, app.URL, unknown("%s may be a host of the server's network", host))
		}
	} else {
		_, err := d.kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return d.elsewhere(ctx, app.URL, unknown("%s is not the name of a Service: namespace %s does not exist", host, namespace))
		case err != nil:
			return unknown("cannot read namespace %s: %s", namespace, err)
		}
	}
	return d.elsewhere(ctx, app.URL, d.unlessResolved(ctx, host, gone))
}

// unlessResolved considers a Service gone only if DNS also says that the host
// does not exist.
func (d detective) unlessResolved(ctx context.Context, host string, gone judge.Worker) judge.Worker {
	_, err := d.lookup(ctx, host)
	if err == nil {
		return unknown("%s is not a Service, but a host of the network", host)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return gone
	}
	return unknown("cannot look up %s: %s", host, err)
}

// elsewhere returns Alive if something answers at the URL from here.
func (d detective) elsewhere(ctx context.Context, url string, otherwise judge.Worker) judge.Worker {
	if d.ask(ctx, url) {
		return judge.Worker{Liveness: judge.Alive, Proof: "something answers at " + url}
	}
	return otherwise
}

// isClusterName reports whether only the cluster's DNS can know a host.
func isClusterName(host string) bool {
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".cluster.local")
}

// answers reports whether anything answers HTTP at a URL.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // any answer counts
	return true
}
