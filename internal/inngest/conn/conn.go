// Package conn connects to an Inngest server and to the worker whose functions
// it runs. Open reads keys and names from the worker's environment and returns
// a Conn. Its Client calls the server, and its WorkerAt calls one pod.
//
// The server is reached through a port-forward to its Service. If a
// port-forward is not allowed or not wanted, it is reached at an address that
// the Service has outside the cluster; see route. Connections are created on
// first use.
package conn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/containerenv"
	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// These are the codes of this package's findings.
const (
	CodeSigningKeyInvalid pipeline.Code = "signing-key-invalid"
	CodeSigningKeyUnread  pipeline.Code = "signing-key-unread"
	CodeUnreachable       pipeline.Code = "inngest-unreachable"
	CodeNoAddress         pipeline.Code = "service-no-address"
	CodeWorkerNotReady    pipeline.Code = "worker-not-ready"
)

// These are the variables that the SDK reads (inngest-js: helpers/consts.ts).
// What version 3 calls the serve host, version 4 calls the serve origin.
const (
	envSigningKey  = "INNGEST_SIGNING_KEY"
	envEventKey    = "INNGEST_EVENT_KEY"
	envServeHost   = "INNGEST_SERVE_HOST"
	envServeOrigin = "INNGEST_SERVE_ORIGIN"
	envAppID       = "INNGEST_APP_ID"
)

// patience is how long the server may be away in the middle of a command: its pod
// is replaced within that time.
const patience = 2 * time.Minute

// Options describe where the server and the worker are, and how to reach them.
type Options struct {
	Cluster *cluster.Conn
	Ref     workload.Ref
	Worker  worker.Worker
	Getenv  func(string) string // for keys that are given as env:NAME
	Dir     string              // for keys that are given as file:PATH
	URL     string              // the server's URL; empty means its Service
	Via     string              // ViaAuto, ViaForward or ViaDirect
	// Key and EventKey describe the sources of the keys. Zero values mean the
	// worker's own environment.
	Key      containerenv.Source
	EventKey containerenv.Source
}

// Conn is the connection to an Inngest server and to a worker. Close it after
// use.
type Conn struct {
	Client   *client.Client
	EventKey wire.EventKey
	App      string // the worker's INNGEST_APP_ID; empty when it is not known
	// Unsigned is the reason why requests are not signed; nil if they are.
	Unsigned *pipeline.Finding

	Options
	env  containerenv.Values
	key  wire.SigningKey
	kind string
	// rotating means that key is the worker's fallback, because the server does
	// not accept the worker's own key yet.
	rotating bool
	server   *route // the route to the Service; nil with a URL
	routes   []*route
}

// Open reads the container's environment and prepares the connection to the
// server. The container is that of the workload as it is, or as it will be.
func Open(ctx context.Context, o Options, container *corev1.Container) (*Conn, error) {
	kube, err := o.Cluster.Kube()
	if err != nil {
		return nil, err
	}
	c := &Conn{Options: o, App: o.Worker.Inngest.App}
	if c.env, err = containerenv.Resolve(ctx, kube, o.Ref.Namespace, container); err != nil {
		return nil, err
	}
	if app, ok := c.env.Lookup(envAppID); ok && strings.TrimSpace(app) != "" {
		c.App = strings.TrimSpace(app)
	}
	if err := c.findKey(ctx); err != nil {
		return nil, err
	}
	if err := c.findEventKey(ctx); err != nil {
		return nil, err
	}
	server := wire.Endpoint{BaseURL: o.URL}
	if o.URL == "" {
		target := ServerTarget(o.Ref.Namespace, o.Worker.Inngest)
		if c.server, err = c.newRoute(target, o.Via, c.findServer); err != nil {
			return nil, err
		}
		server.BaseURL, server.HTTP = target.URL().String(), &http.Client{Transport: c.server}
	}
	options := client.Options{Server: server, Key: c.key, Apps: []string{c.App}, Patience: patience}
	if c.Client, err = client.New(options); err != nil {
		return nil, err
	}
	return c, c.useFallback(ctx, options)
}

// findKey reads the signing key from the source that the user named, or from
// the worker's own environment.
func (c *Conn) findKey(ctx context.Context) error {
	if c.Options.Key.IsZero() {
		if key, ok := c.env.Lookup(envSigningKey); ok {
			c.key = wire.NewSigningKey(key)
		} else {
			c.Unsigned = unsignedBecause(c.env.Get(envSigningKey))
		}
		return nil
	}
	text, err := c.Options.Key.Read(ctx, c.place())
	if err != nil {
		return err
	}
	c.key = wire.NewSigningKey(text)
	if err := c.key.Check(); err != nil {
		return &pipeline.Finding{
			Code: CodeSigningKeyInvalid, Severity: pipeline.Error, Err: err,
			What: c.Options.Key.String() + " does not hold a signing key", Why: err.Error(),
			Fix: "put the value of INNGEST_SIGNING_KEY there: an even number of hexadecimal digits, with or without signkey-…- in front",
		}
	}
	return nil
}

// findEventKey does the same for the key that allows events to be sent.
func (c *Conn) findEventKey(ctx context.Context) error {
	if c.Options.EventKey.IsZero() {
		if key, ok := c.env.Lookup(envEventKey); ok {
			c.EventKey = wire.NewEventKey(key)
		}
		return nil
	}
	text, err := c.Options.EventKey.Read(ctx, c.place())
	c.EventKey = wire.NewEventKey(text)
	return err
}

// place returns what the source of a key is relative to.
func (c *Conn) place() containerenv.Place {
	return containerenv.Place{Getenv: c.Getenv, Dir: c.Dir, Kube: c.Cluster.Kube, Namespace: c.Ref.Namespace}
}

func unsignedBecause(v containerenv.Value) *pipeline.Finding {
	f := &pipeline.Finding{
		Code: CodeSigningKeyUnread, Severity: pipeline.Warning, What: "requests to the worker go out unsigned",
		Fix: "give the key with --signing-key-from, as env:NAME or file:PATH, or ask for the verb get on secrets: " +
			"a worker in cloud mode answers only signed requests",
	}
	switch v.State {
	case containerenv.Refused:
		f.Why = fmt.Sprintf("the signing key is in %s, which you may not read", v.Source)
	case containerenv.Missing:
		f.Why = fmt.Sprintf("%s does not exist", v.Source)
	case containerenv.Runtime:
		f.Why = "the signing key is known only inside the pod"
	default:
		// Its image may set one, or it may not need one.
		f.Severity, f.Why = pipeline.Note, "the container does not set "+envSigningKey
	}
	return f
}

// Route describes how the server is reached.
func (c *Conn) Route() string {
	if c.server == nil {
		return c.URL
	}
	return c.server.String()
}

// Detour returns the route if it is not the usual one, and "" otherwise.
func (c *Conn) Detour() string {
	if c.server == nil {
		return ""
	}
	return c.server.detour()
}

// Explain turns an error on the way to the server into a finding, which begins with
// "cannot" and doing. Findings and interrupts are returned unchanged.
func (c *Conn) Explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pipeline.Finding](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, pipeline.ErrInterrupted) {
		return err
	}
	return &pipeline.Finding{
		Code: CodeUnreachable, Severity: pipeline.Error, What: "cannot " + doing, Why: err.Error(), Err: errors.Join(model.ErrUnreachable, err),
		Fix: "check inngest.service and inngest.port of .sbw.yaml, or give --inngest-url",
	}
}

// Close ends all connections.
func (c *Conn) Close() error {
	if c == nil {
		return nil
	}
	var errs []error
	for _, r := range c.routes {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// ServerTarget returns the server's Service, which is given as NAME in the
// worker's namespace or as NAMESPACE/NAME.
func ServerTarget(own string, w worker.Inngest) forward.Target {
	t := forward.Target{Namespace: own, Service: w.Service, Port: w.Port}
	if namespace, name, ok := strings.Cut(t.Service, "/"); ok {
		t.Namespace, t.Service = namespace, name
	}
	return t
}
