package inngest_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// TestUnfinishedRuns lets real workers sleep, wait and execute, and reads what
// they have behind them, with GraphQL and without.
func TestUnfinishedRuns(t *testing.T) {
	for _, sdk := range []string{npmworkers.SDK3, npmworkers.SDK4} {
		for ui, o := range map[string]inngestd.Options{"with GraphQL": {}, "with --no-ui": {NoUI: true}} {
			t.Run(sdk+" "+ui, func(t *testing.T) {
				k := newKit(t, o)
				p := k.pod(sdk, nil, env{"SLOW_MS": "600000", "FUNCTIONS": "approval-request,napper,inviter"})
				k.set(clusterURL, p)
				app := k.mustRefresh(k.options(p)).App
				for _, event := range []string{"nap/wanted", "nap/wanted", "invite/wanted", "approval/requested"} {
					k.send(event)
				}
				k.began(p, "slow")
				var got inngest.Unfinished
				k.until("the pauses", func() bool {
					var err error
					if got, err = inngest.UnfinishedRuns(k.ctx, k.client(), app, 10); err != nil || got.Err != nil {
						t.Fatal(err, got.Err)
					}
					waiting := 0
					for _, u := range got.Runs {
						if u.State == judge.RunWaiting {
							waiting++
						}
					}
					return waiting == 3
				})
				want := map[string]string{
					"system-bus-cluster-napper":           "waiting [before] [nap]",
					"system-bus-cluster-inviter":          "waiting [] [answer]",
					"system-bus-cluster-approval-request": "executing [first] []",
				}
				if len(got.Runs) != 4 || got.More() != 0 {
					t.Errorf("%d runs and %d more", len(got.Runs), got.More())
				}
				for _, u := range got.Runs {
					if s := fmt.Sprint(u.State, " ", names(t, u.Finished), " ", names(t, u.Pending)); s != want[u.Slug] {
						t.Errorf("%s: %s, want %s", u.Slug, s, want[u.Slug])
					}
				}

				few, err := inngest.UnfinishedRuns(k.ctx, k.client(), app, 3)
				if err != nil || few.Err != nil || len(few.Runs) != 3 || few.More() != 1 || few.NotRead["system-bus-cluster-napper"] != 1 {
					t.Errorf("with a limit of 3: %+v %v", few, err)
				}
				for slug := range want {
					if !slices.ContainsFunc(few.Runs, func(u judge.UnfinishedRun) bool { return u.Slug == slug }) {
						t.Errorf("with a limit of 3, none is of %s", slug)
					}
				}
			})
		}
	}
}

// names checks that the server's ids are those that the SDK makes of the names.
func names(t *testing.T, steps []judge.Step) []string {
	t.Helper()
	all := make([]string, len(steps))
	for i, s := range steps {
		all[i] = s.Name
		if sum := sha1.Sum([]byte(s.Name)); s.ID != hex.EncodeToString(sum[:]) {
			t.Errorf("step %s has the id %s", s.Name, s.ID)
		}
	}
	return all
}

// TestUnfinishedRunsWithoutTraces: runs whose traces the server does not give are
// not read, and never left out.
func TestUnfinishedRunsWithoutTraces(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	p := k.cluster(env{"SLOW_MS": "600000"})
	app := k.mustRefresh(k.options(p)).App
	k.send("approval/requested")
	k.began(p, "slow")
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || bytes.Contains(body, []byte("runTrace(")) {
			http.Error(w, `{"errors":[{"message":"the database is locked"}]}`, http.StatusInternalServerError)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		k.double.ServeHTTP(w, r)
	}))
	t.Cleanup(broken.Close)
	c, err := client.New(client.Options{Server: wire.Endpoint{BaseURL: broken.URL}, Key: wire.NewSigningKey(signingKey)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := inngest.UnfinishedRuns(k.ctx, c, app, 10)
	if err != nil || len(got.Runs) != 0 || got.NotRead["system-bus-cluster-approval-request"] != 1 {
		t.Errorf("%+v %v", got, err)
	}
	wantCode(t, got.Err, "inngest-refused")
}
