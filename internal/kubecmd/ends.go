package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/environ"
	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// The variables that the SDK reads (inngest-js: helpers/consts.ts). The serve
// host of version 3 is the serve origin of version 4.
const (
	envSigningKey  = "INNGEST_SIGNING_KEY"
	envEventKey    = "INNGEST_EVENT_KEY"
	envServeHost   = "INNGEST_SERVE_HOST"
	envServeOrigin = "INNGEST_SERVE_ORIGIN"
	envAppID       = "INNGEST_APP_ID"
)

// ends are the two ends of the conversation about registrations: Inngest's
// server, and the worker's SDK. Tunnels are made as they are used.
type ends struct {
	*scope
	env      environ.Values
	key      inngest.SigningKey
	eventKey inngest.EventKey
	app      string
	client   *inngest.Client
	kind     string
	tunnels  []*forward.Tunnel
	// unsigned is why requests go out unsigned; empty when they are signed.
	unsigned string
}

// newEnds reads the container's environment and prepares the way to the server.
func (s *scope) newEnds(ctx context.Context, c *corev1.Container, url string) (*ends, error) {
	kube, err := s.conn.Kube()
	if err != nil {
		return nil, err
	}
	e := &ends{scope: s, app: s.scopeApp()}
	if e.env, err = environ.Resolve(ctx, kube, s.ref.Namespace, c); err != nil {
		return nil, err
	}
	if app, ok := e.env.Lookup(envAppID); ok && strings.TrimSpace(app) != "" {
		e.app = strings.TrimSpace(app)
	}
	if key, ok := e.env.Lookup(envSigningKey); ok {
		e.key = inngest.NewSigningKey(key)
	} else {
		e.unsigned = unsignedBecause(e.env.Get(envSigningKey))
	}
	if key, ok := e.env.Lookup(envEventKey); ok {
		e.eventKey = inngest.NewEventKey(key)
	}
	server := inngest.Endpoint{BaseURL: url}
	if url == "" {
		t, err := s.tunnel(e, s.serverTarget())
		if err != nil {
			return nil, err
		}
		server.BaseURL, server.HTTP = t.Target().URL().String(), &http.Client{Transport: t.Transport()}
	}
	e.client, err = inngest.NewClient(inngest.ClientOptions{Server: server, Key: e.key, Apps: []string{e.app}})
	return e, err
}

func (s *scope) scopeApp() string { return s.worker.Inngest.App }

func unsignedBecause(v environ.Value) string {
	switch v.State {
	case environ.Refused:
		return fmt.Sprintf("%s may not be read by you", v.Source)
	case environ.Missing:
		return fmt.Sprintf("%s is not there", v.Source)
	default:
		return "the container has no " + envSigningKey
	}
}

// serverTarget is Inngest's Service: NAME in the worker's namespace, or
// NAMESPACE/NAME.
func (s *scope) serverTarget() forward.Target {
	t := forward.Target{Namespace: s.ref.Namespace, Service: s.worker.Inngest.Service, Port: s.worker.Inngest.Port}
	if namespace, name, ok := strings.Cut(t.Service, "/"); ok {
		t.Namespace, t.Service = namespace, name
	}
	return t
}

func (s *scope) tunnel(e *ends, t forward.Target) (*forward.Tunnel, error) {
	tunnel, err := forward.New(s.conn, t)
	if err != nil {
		return nil, err
	}
	e.tunnels = append(e.tunnels, tunnel)
	return tunnel, nil
}

// advertised is the URL under which the server reaches the worker.
func (e *ends) advertised() string {
	if e.worker.Inngest.Host != "" {
		return e.worker.Inngest.Host
	}
	if host, ok := e.env.Lookup(envServeOrigin, envServeHost); ok && host != "" {
		return strings.TrimSuffix(host, "/")
	}
	return "http://" + e.ref.Name + ":" + strconv.Itoa(e.worker.Probe.Port)
}

// wanted names the worker's registration.
func (e *ends) wanted() inngest.Wanted {
	return inngest.Wanted{App: e.app, URL: e.advertised() + e.scope.worker.Inngest.Path}
}

// workerAt is the SDK's endpoint of one pod, or of the worker's Service when
// pod is empty.
func (e *ends) workerAt(ctx context.Context, pod string) (*inngest.Worker, error) {
	target := forward.Target{Namespace: e.ref.Namespace, Pod: pod, Port: e.worker.Probe.Port}
	if pod == "" {
		name, err := e.readyPod(ctx)
		if err != nil {
			return nil, err
		}
		target.Pod = name
	}
	tunnel, err := e.tunnel(e, target)
	if err != nil {
		return nil, err
	}
	if e.kind == "" {
		health, err := e.client.Health(ctx)
		if err != nil {
			return nil, e.explain("ask Inngest", err)
		}
		e.kind = health.Kind
	}
	return inngest.NewWorker(inngest.WorkerOptions{
		Endpoint: inngest.Endpoint{
			BaseURL: tunnel.Target().URL().String(), HTTP: &http.Client{Transport: tunnel.Transport()}, Advertised: e.advertised(),
		},
		Path: e.worker.Inngest.Path, Key: e.key, Kind: e.kind,
	})
}

// readyPod is a pod of the workload that is ready.
func (e *ends) readyPod(ctx context.Context) (string, error) {
	kube, err := e.conn.Kube()
	if err != nil {
		return "", err
	}
	w, err := workload.Get(ctx, kube, e.ref)
	if err != nil {
		return "", err
	}
	return readyPod(ctx, kube, w)
}

// explain words an error of the way to the server. What the server itself said
// comes as a Finding already.
func (e *ends) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pipeline.Finding](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	return &pipeline.Finding{Code: "inngest-unreachable", Severity: pipeline.Error, What: "could not " + doing, Why: err.Error(), Err: err,
		Fix: "check inngest.service and inngest.port of .sbw.yaml, or give --inngest-url"}
}

// close ends the tunnels.
func (e *ends) close() error {
	if e == nil {
		return nil
	}
	var errs []error
	for _, t := range e.tunnels {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}
