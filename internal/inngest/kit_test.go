package inngest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const (
	signingKey = "signkey-test-0123456789abcdef0123456789abcdef"
	otherKey   = "signkey-test-ffffffffffffffffffffffffffffffff"
	eventKey   = "evt"
	// These are the addresses of the cluster's Services, which only the double
	// resolves.
	clusterURL = "http://system-bus-worker:3111"
	hostURL    = "http://flagg:3111"
)

// services replaces the cluster's DNS and Services. The pod behind a name may
// change at any time, and new connections go to the new pod.
type services struct {
	mu   sync.Mutex
	pods map[string]*npmworkers.Process // keyed by host:port
}

func (s *services) set(url string, p *npmworkers.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods[url[len("http://"):]] = p
}

func (s *services) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	p := s.pods[addr]
	s.mu.Unlock()
	if p == nil {
		return nil, errors.New("no such host: " + addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, p.URL()[len("http://"):])
}

// kit is a double that reaches real workers through Services.
type kit struct {
	t      *testing.T
	ctx    context.Context
	double *inngestd.Server
	url    string
	dir    string
	*services
}

func newKit(t *testing.T, o inngestd.Options) *kit {
	t.Helper()
	dir := filepath.Join(require.Dir(t), "npm")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	if err := npmworkers.Install(ctx, dir); err != nil {
		t.Fatal(err)
	}
	s := &services{pods: map[string]*npmworkers.Process{}}
	o.SigningKey, o.EventKeys = signingKey, []string{eventKey}
	o.HTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: s.dial}}
	if o.Backoff == nil {
		o.Backoff = inngestd.Scaled(100)
	}
	d := inngestd.New(o)
	h := httptest.NewServer(d)
	t.Cleanup(func() { h.Close(); d.Close() })
	return &kit{t, ctx, d, h.URL, dir, s}
}

type env map[string]string

// pod starts a worker to which no Service routes yet.
func (k *kit) pod(sdk string, argv []string, e env) *npmworkers.Process {
	k.t.Helper()
	all := env{
		"INNGEST_DEV": "0", "INNGEST_SIGNING_KEY": signingKey, "INNGEST_EVENT_KEY": eventKey, "INNGEST_BASE_URL": k.url, "SLOW_MS": "1",
	}
	for name, v := range e {
		all[name] = v
	}
	p, err := npmworkers.Start(k.ctx, npmworkers.Options{Dir: k.dir, Name: sdk, Argv: argv, Env: all})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(p.Kill)
	return p
}

// cluster starts a worker behind the cluster's Service.
func (k *kit) cluster(e env) *npmworkers.Process {
	p := k.pod(npmworkers.SDK3, nil, e)
	k.set(clusterURL, p)
	return p
}

func (k *kit) client() *client.Client { return k.clientWith(signingKey) }

func (k *kit) clientWith(key string) *client.Client {
	k.t.Helper()
	c, err := client.New(client.Options{Server: wire.Endpoint{BaseURL: k.url}, Key: wire.NewSigningKey(key)})
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// forward makes a pod reachable as through a port-forward, at a separate
// address.
func (k *kit) forward(p *npmworkers.Process, advertised, key string) *sdk.Worker {
	k.t.Helper()
	w, err := sdk.New(sdk.Options{
		Endpoint: wire.Endpoint{BaseURL: p.URL(), Advertised: advertised}, Key: wire.NewSigningKey(key),
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return w
}

func (k *kit) options(p *npmworkers.Process) inngest.RefreshOptions {
	return inngest.RefreshOptions{
		Client: k.client(), Worker: k.forward(p, clusterURL, signingKey), App: "system-bus-cluster",
		Timeout: time.Minute, PathTimeout: time.Second, Poll: 5 * time.Millisecond,
	}
}

func (k *kit) mustRefresh(o inngest.RefreshOptions) *inngest.Refreshed {
	k.t.Helper()
	done, err := inngest.Refresh(k.ctx, o, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return done
}

func (k *kit) apps() []model.App {
	k.t.Helper()
	apps, err := k.client().Apps(k.ctx)
	if err != nil {
		k.t.Fatal(err)
	}
	return apps
}

func (k *kit) app(name string) model.App {
	k.t.Helper()
	apps := k.apps()
	i := slices.IndexFunc(apps, func(a model.App) bool { return a.Name == name })
	if i < 0 {
		k.t.Fatalf("%s is not registered: %+v", name, apps)
	}
	return apps[i]
}

func (k *kit) send(name string) {
	k.t.Helper()
	_, err := k.client().Send(k.ctx, wire.NewEventKey(eventKey), client.Event{Name: name})
	if err != nil {
		k.t.Fatal(err)
	}
}

// until polls the server, as its users must.
func (k *kit) until(what string, ok func() bool) {
	k.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-k.ctx.Done():
			k.t.Fatalf("waiting for %s: %v", what, k.ctx.Err())
		}
	}
}

// run returns the only run of a function, once it has that status.
func (k *kit) run(slug string, status model.RunStatus) (found model.Run) {
	k.t.Helper()
	k.until(slug+" "+string(status), func() bool {
		runs, err := inngest.Detailed(k.ctx, k.client(), client.RunFilter{})
		if err != nil {
			k.t.Fatal(err)
		}
		for _, r := range runs {
			if r.Slug == slug && r.Status == status {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func (k *kit) began(p *npmworkers.Process, step string) {
	k.t.Helper()
	if _, err := p.Began(k.ctx, step); err != nil {
		k.t.Fatal(err)
	}
}

// wantCode checks that an error is a finding of that code, with a remedy.
func wantCode(t *testing.T, err error, code pipeline.Code) *pipeline.Finding {
	t.Helper()
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok {
		t.Fatalf("error %v, want a finding %s", err, code)
	}
	if f.Code != code || f.What == "" || f.Fix == "" {
		t.Fatalf("finding %s (%v), want %s with a remedy", f.Code, f, code)
	}
	return f
}

// eachWorker runs a test with both SDKs under both runtimes.
func eachWorker(t *testing.T, f func(t *testing.T, sdk string, argv []string)) {
	require.Dir(t)
	for name, argv := range map[string][]string{"bun": nil, "node": {require.Tool(t, "node")}} {
		for _, sdk := range []string{npmworkers.SDK3, npmworkers.SDK4} {
			t.Run(sdk+" under "+name, func(t *testing.T) { f(t, sdk, argv) })
		}
	}
}
