package inngest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// TestProve makes the server call the worker, along paths that are whole and
// broken. A failed call leaves nothing behind.
func TestProve(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	p := k.cluster(nil)
	k.mustRefresh(k.options(p))
	other := k.pod("v3", nil, env{"INNGEST_APP_ID": "other"})
	k.set("http://other:3111", other)
	elsewhere := k.pod("v3", nil, env{"INNGEST_SERVE_HOST": "http://elsewhere:3111"})
	k.set("http://misled:3111", elsewhere)
	stranger := k.pod("v3", nil, env{"INNGEST_SIGNING_KEY": otherKey})
	k.set("http://stranger:3111", stranger)
	for name, c := range map[string]struct{ url, why string }{
		"a whole path":                         {clusterURL + "/api/inngest", ""},
		"nothing behind the URL":               {"http://nowhere:3111/api/inngest", "nothing answered"},
		"a path that the worker does not have": {clusterURL + "/api/elsewhere", "does not serve the SDK"},
		"another worker":                       {"http://other:3111/api/inngest", "leads to other pods"},
		"a worker with another URL of its own": {"http://misled:3111/api/inngest", "did not register the worker under that URL"},
		"a worker with another key":            {"http://stranger:3111/api/inngest", "another signing key"},
	} {
		t.Run(name, func(t *testing.T) {
			note, err := inngest.Prove(k.ctx, inngest.ProveOptions{
				Client: k.client(), Want: model.Wanted{App: "system-bus-cluster", URL: c.url}, Timeout: 100 * time.Millisecond, Poll: 10 * time.Millisecond,
			})
			if note != nil {
				t.Errorf("note %v", note)
			}
			if c.why == "" {
				if err != nil {
					t.Error(err)
				}
			} else if f := wantCode(t, err, model.CodePathBroken); !strings.Contains(f.Why, c.why) {
				t.Errorf("the reason is %q, want %q in it", f.Why, c.why)
			}
			for _, a := range k.apps() {
				if a.Name == "" {
					t.Errorf("the call left %+v", a)
				}
			}
		})
	}
}

// TestProveKeepsWhatWasThere: a stub that somebody else left stays.
func TestProveKeepsWhatWasThere(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	resp, err := http.Post(k.url+"/v0/gql", "application/json", strings.NewReader(`{"query":"mutation{createApp(input:{url:\"http://nowhere:3111/api/inngest\"}){id}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	_, err = inngest.Prove(k.ctx, inngest.ProveOptions{
		Client: k.client(), Want: model.Wanted{URL: "http://nowhere:3111/api/inngest"}, Timeout: 50 * time.Millisecond, Poll: 10 * time.Millisecond,
	})
	if err == nil {
		t.Error("a call to nowhere succeeded")
	}
	if apps := k.apps(); len(apps) != 1 {
		t.Errorf("apps %v", apps)
	}
}

// TestProveWithoutGraphQL says what could not be proven.
func TestProveWithoutGraphQL(t *testing.T) {
	k := newKit(t, inngestd.Options{NoUI: true})
	done := k.mustRefresh(k.options(k.cluster(nil)))
	if !slices.ContainsFunc(done.Findings, func(f *pipeline.Finding) bool { return f.Code == model.CodePathUnproven && f.Severity == pipeline.Note }) {
		t.Errorf("findings %v", done.Findings)
	}
}

// TestRefreshDoesNotMoveToABrokenPath: a registration that works stays where it is
// when the new URL leads nowhere.
func TestRefreshDoesNotMoveToABrokenPath(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	p := k.cluster(nil)
	k.mustRefresh(k.options(p))
	o := k.options(p)
	o.Worker, o.PathTimeout = k.forward(p, "http://system-bus-wrker:3111", signingKey), 100*time.Millisecond
	_, err := inngest.Refresh(k.ctx, o, nil)
	wantCode(t, err, model.CodePathBroken)
	if app := k.app("system-bus-cluster"); app.URL != clusterURL+"/api/inngest" || app.Error != "" || len(k.apps()) != 1 {
		t.Errorf("apps %+v", k.apps())
	}
}
