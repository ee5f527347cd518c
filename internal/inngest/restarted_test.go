package inngest_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// replaceable is the connection to a server that can be replaced.
type replaceable struct {
	server atomic.Pointer[inngestd.Server]
}

func (r *replaceable) RoundTrip(req *http.Request) (*http.Response, error) {
	if s := r.server.Load(); s != nil {
		return inProcess{s}.RoundTrip(req)
	}
	return nil, errors.New("connection refused")
}

// TestConfirmSurvivesARestart: a server that is replaced while it executes the run of the
// confirming event forgets the run, so the event is sent again. Without knowing that the
// server was restarted, nothing is sent twice.
func TestConfirmSurvivesARestart(t *testing.T) {
	for name, known := range map[string]bool{"the restart is seen": true, "the restart is not seen": false} {
		file := filepath.Join(t.TempDir(), "state")
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := &replaceable{}
				worker := clockwork{register: func(body string) {
					resp, err := link.RoundTrip(mustRequest(t, "/fn/register", body))
					if err != nil || resp.StatusCode != http.StatusOK {
						t.Errorf("register: %v %v", resp, err)
					}
				}}
				start := func() *inngestd.Server {
					s := inngestd.New(inngestd.Options{File: file, HTTP: &http.Client{Transport: inProcess{worker}}})
					link.server.Store(s)
					return s
				}
				first := start()
				c, err := client.New(client.Options{
					Server: wire.Endpoint{BaseURL: "http://inngest:8288", HTTP: &http.Client{Transport: link}}, Patience: 2 * time.Minute,
				})
				if err != nil {
					t.Fatal(err)
				}
				worker.register(`{"appName":"app","url":"http://w:1/api/inngest","deployType":"ping","sdk":"js:v3.54.2","functions":` + clockworkFunctions + `}`)
				apps, err := c.Apps(t.Context())
				if err != nil || len(apps) != 1 {
					t.Fatalf("%+v %v", apps, err)
				}
				var started atomic.Pointer[time.Time]
				started.Store(&time.Time{})
				o := inngest.ConfirmOptions{Client: c, App: apps[0], Event: client.Event{Name: "slow/wanted"}, Timeout: 5 * time.Minute}
				if known {
					o.Started = func(context.Context) time.Time { return *started.Load() }
				}
				go func() {
					<-time.After(5 * time.Second)
					link.server.Store(nil) // its pod does not accept connections any more
					first.Close()
					<-time.After(3 * time.Second)
					now := time.Now()
					started.Store(&now)
					start()
				}()
				defer func() { link.server.Load().Close() }()
				done, err := inngest.ConfirmRun(t.Context(), o, nil)
				if !known {
					wantCode(t, err, "inngest-confirm-unfinished")
				} else if err != nil || len(done.Runs) != 1 || done.Runs[0].Status != model.Completed {
					t.Errorf("%+v %v", done, err)
				}
				all, err := c.Runs(t.Context(), client.RunFilter{})
				if want := map[bool]int{true: 2, false: 1}[known]; err != nil || len(all) != want {
					t.Errorf("%d runs, want %d: %v", len(all), want, err)
				}
			})
		})
	}
}

func mustRequest(t *testing.T, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://inngest:8288"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEventWhoseAnswerIsLost: an event that the server took before it went away is sent
// again, starts nothing a second time, and its run is found.
func TestEventWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lose := true
		var double *inngestd.Server
		link := roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := inProcess{double}.RoundTrip(r)
			if lose && strings.HasPrefix(r.URL.Path, "/e/") {
				lose = false
				return nil, errors.New("EOF")
			}
			return resp, err
		})
		double, _, w := inBubble(t)
		defer double.Close()
		c, err := client.New(client.Options{
			Server: wire.Endpoint{BaseURL: "http://inngest:8288", HTTP: &http.Client{Transport: link}}, Patience: time.Minute, Key: wire.NewSigningKey("00"),
		})
		if err != nil {
			t.Fatal(err)
		}
		done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, nil)
		if err != nil {
			t.Fatal(err)
		}
		confirmed, err := inngest.ConfirmRun(t.Context(), inngest.ConfirmOptions{Client: c, App: done.App, Event: client.Event{Name: "slow/wanted"}}, nil)
		if err != nil || lose || len(confirmed.Runs) != 1 {
			t.Errorf("%+v %v", confirmed, err)
		}
		if all, err := c.Runs(t.Context(), client.RunFilter{}); err != nil || len(all) != 1 {
			t.Errorf("%d runs: %v", len(all), err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRegistrationMeetsARestart: a worker that could not register, because its server was
// being replaced, registers again.
func TestRegistrationMeetsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, _, w := inBubbleWith(t, inngestd.Options{NoUI: true})
		defer double.Close()
		var away atomic.Bool
		link := roundTripper(func(r *http.Request) (*http.Response, error) {
			if away.Load() {
				return nil, errors.New("connection refused")
			}
			return inProcess{double}.RoundTrip(r)
		})
		c, err := client.New(client.Options{
			Server: wire.Endpoint{BaseURL: "http://inngest:8288", HTTP: &http.Client{Transport: link}}, Patience: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		refuseRegistration.Store(1)
		defer refuseRegistration.Store(0)
		onRefusal = func() {
			away.Store(true)
			time.AfterFunc(5*time.Second, func() { away.Store(false) })
		}
		var notes []string
		rep := pipeline.NewReporter("refresh", pipeline.SinkFunc(func(e pipeline.Event) { notes = append(notes, e.Text) }))
		if _, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, rep); err != nil {
			t.Errorf("%v; notes %q", err, notes)
		}
	})
}

// TestResyncNeedsGraphQL: a server that cannot delete apps is found out before anything
// changes.
func TestResyncNeedsGraphQL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, c, w := inBubbleWith(t, inngestd.Options{NoUI: true})
		defer double.Close()
		for _, resync := range []bool{false, true} {
			out := pipeline.Run(t.Context(), pipeline.Pipeline{Name: "refresh", Stages: []pipeline.Stage{{Name: "refresh",
				Run: func(ctx context.Context, rep *pipeline.Reporter) error {
					_, err := inngest.Refresh(ctx, inngest.RefreshOptions{Client: c, Worker: w, Resync: resync}, rep)
					return err
				}}}}, pipeline.SinkFunc(func(pipeline.Event) {}))
			if !resync && out.End != pipeline.Done || resync && out.End != pipeline.Unchanged {
				t.Errorf("resync %v: %v: %v", resync, out.End, out.Err)
			}
			if resync {
				wantCode(t, out.Err, "inngest-no-ui")
			}
		}
	})
}
