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
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
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
// server, and the worker's SDK. The ways there are made as they are used.
type ends struct {
	*scope
	env      environ.Values
	key      wire.SigningKey
	eventKey wire.EventKey
	app      string
	client   *client.Client
	kind     string
	url      string // that a person gave
	server   *way   // without one
	ways     []*way
	// unsigned says why requests go out unsigned; nil when they are signed.
	unsigned *pipeline.Finding
	// live is the workload as it runs; nil in a rollout.
	live *workload.Workload
}

// newEnds reads the container's environment and prepares the way to the server.
func (s *scope) newEnds(ctx context.Context, c *corev1.Container, f inngestFlags) (*ends, error) {
	kube, err := s.conn.Kube()
	if err != nil {
		return nil, err
	}
	e := &ends{scope: s, app: s.worker.Inngest.App, url: f.url}
	if e.env, err = environ.Resolve(ctx, kube, s.ref.Namespace, c); err != nil {
		return nil, err
	}
	if app, ok := e.env.Lookup(envAppID); ok && strings.TrimSpace(app) != "" {
		e.app = strings.TrimSpace(app)
	}
	if err := e.findKey(ctx, f); err != nil {
		return nil, err
	}
	if err := e.findEventKey(ctx, f); err != nil {
		return nil, err
	}
	server := wire.Endpoint{BaseURL: f.url}
	if f.url == "" {
		if e.server, err = e.newWay(s.serverTarget(), f.via, e.findServer); err != nil {
			return nil, err
		}
		server.BaseURL, server.HTTP = s.serverTarget().URL().String(), &http.Client{Transport: e.server}
	}
	e.client, err = client.New(client.Options{Server: server, Key: e.key, Apps: []string{e.app}})
	return e, err
}

// findKey takes the signing key from where a person said, else from the
// worker's own environment.
func (e *ends) findKey(ctx context.Context, f inngestFlags) error {
	if f.key.IsZero() {
		if key, ok := e.env.Lookup(envSigningKey); ok {
			e.key = wire.NewSigningKey(key)
		} else {
			e.unsigned = unsignedBecause(e.env.Get(envSigningKey))
		}
		return nil
	}
	text, err := f.key.Read(ctx, e.place())
	if err != nil {
		return err
	}
	e.key = wire.NewSigningKey(text)
	if err := e.key.Check(); err != nil {
		return &pipeline.Finding{Code: "signing-key-invalid", Severity: pipeline.Error, Err: err,
			What: f.key.String() + " holds no signing key", Why: err.Error(),
			Fix: "put the value of INNGEST_SIGNING_KEY there: signkey-…- and an even number of hexadecimal digits"}
	}
	return nil
}

// findEventKey does the same for the key that lets an event be sent.
func (e *ends) findEventKey(ctx context.Context, f inngestFlags) error {
	if f.eventKey.IsZero() {
		if key, ok := e.env.Lookup(envEventKey); ok {
			e.eventKey = wire.NewEventKey(key)
		}
		return nil
	}
	text, err := f.eventKey.Read(ctx, e.place())
	e.eventKey = wire.NewEventKey(text)
	return err
}

// place is what the source of a key is relative to.
func (e *ends) place() environ.Place {
	return environ.Place{Getenv: e.scope.kube.env.Getenv, Dir: e.scope.kube.env.Dir, Kube: e.conn.Kube, Namespace: e.ref.Namespace}
}

// way says how Inngest's server is reached.
func (e *ends) way() string {
	if e.server == nil {
		return e.url
	}
	return e.server.String()
}

// tellWay says it where it is not the usual one.
func (e *ends) tellWay() error {
	if e.server == nil || e.server.detour() == "" {
		return nil
	}
	return e.scope.kube.env.Notef("Inngest is reached by %s", e.server.detour())
}

func unsignedBecause(v environ.Value) *pipeline.Finding {
	f := &pipeline.Finding{Code: "signing-key-unread", Severity: pipeline.Warning, What: "requests to the worker go out unsigned",
		Fix: "give the key with --signing-key-from, as env:NAME or file:PATH, or ask for the verb get on secrets; a worker in cloud mode shows nothing to unsigned requests"}
	switch v.State {
	case environ.Refused:
		f.Why = fmt.Sprintf("the signing key is in %s, which may not be read by you", v.Source)
	case environ.Missing:
		f.Why = fmt.Sprintf("%s is not there", v.Source)
	case environ.Runtime:
		f.Why = "the signing key is known in the pod alone"
	default:
		// Its image may set one, or it needs none.
		f.Severity, f.Why = pipeline.Note, "the container has no "+envSigningKey
	}
	return f
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
func (e *ends) wanted() model.Wanted {
	return model.Wanted{App: e.app, URL: e.advertised() + e.scope.worker.Inngest.Path}
}

// workerAt is the SDK's endpoint of one pod, or of the worker's Service when
// pod is empty.
func (e *ends) workerAt(ctx context.Context, pod string) (*sdk.Worker, error) {
	target := forward.Target{Namespace: e.ref.Namespace, Pod: pod, Port: e.worker.Probe.Port}
	if pod == "" {
		name, err := e.readyPod(ctx)
		if err != nil {
			return nil, err
		}
		target.Pod = name
	}
	// --inngest-via is about Inngest: the worker is reached as it can be.
	to, err := e.newWay(target, viaAuto, e.findWorker)
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
	return sdk.New(sdk.Options{
		Endpoint: wire.Endpoint{
			BaseURL: target.URL().String(), HTTP: &http.Client{Transport: to}, Advertised: e.advertised(),
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

// close ends the ways.
func (e *ends) close() error {
	if e == nil {
		return nil
	}
	var errs []error
	for _, w := range e.ways {
		errs = append(errs, w.close())
	}
	return errors.Join(errs...)
}
