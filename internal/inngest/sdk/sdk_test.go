package sdk

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func wantFinding(t *testing.T, err error, code string) *pipeline.Finding {
	t.Helper()
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || string(f.Code) != code || f.What == "" || f.Why == "" || f.Fix == "" {
		t.Fatalf("%v, want %s with cause and remedy", err, code)
	}
	return f
}

func workerOf(t *testing.T, key string, h http.Handler) *Worker {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	w, err := New(Options{Endpoint: wire.Endpoint{BaseURL: s.URL, Advertised: "http://system-bus-worker:3111"}, Key: wire.NewSigningKey(key)})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWorkerRequests checks what is sent: the Service's host whatever is
// dialled, a signature of exactly this body, and the server's kind.
func TestWorkerRequests(t *testing.T) {
	const key = "signkey-test-0011"
	var seen []*http.Request
	var bodies []string
	w := workerOf(t, key, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen, bodies = append(seen, r), append(bodies, string(body))
		rw.Header().Set("X-Inngest-Sdk-Handled", "true")
		rw.Header().Set("X-Inngest-Sync-Kind", r.Header.Get("X-Inngest-Sync-Kind"))
		_, _ = io.WriteString(rw, `{"message":"Successfully registered","modified":true}`)
	}))
	if w.URL() != "http://system-bus-worker:3111/api/inngest" {
		t.Errorf("URL %s", w.URL())
	}
	_, errInspect := w.Inspect(t.Context())
	_, errFunctions := w.Functions(t.Context())
	_, errRegister := w.Register(t.Context())
	if err := errors.Join(errInspect, errFunctions, errRegister); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ method, body, kind string }{
		{"GET", "", ""}, {"PUT", `{"url":"http://system-bus-worker:3111/api/inngest"}`, "in_band"}, {"PUT", "", ""},
	} {
		r := seen[i]
		if r.Method != want.method || r.URL.Path != "/api/inngest" || r.Host != "system-bus-worker:3111" || bodies[i] != want.body || r.Header.Get("X-Inngest-Sync-Kind") != want.kind {
			t.Errorf("request %d: %s %s Host %s %q %v", i, r.Method, r.URL, r.Host, bodies[i], r.Header)
		}
		if r.Header.Get("X-Inngest-Server-Kind") != "cloud" {
			t.Errorf("request %d: kind %q", i, r.Header.Get("X-Inngest-Server-Kind"))
		}
		var unix int64
		if _, err := fmt.Sscanf(r.Header.Get("X-Inngest-Signature"), "t=%d&", &unix); err != nil || wire.NewSigningKey(key).Sign([]byte(bodies[i]), time.Unix(unix, 0)) != r.Header.Get("X-Inngest-Signature") {
			t.Errorf("request %d: signature %q", i, r.Header.Get("X-Inngest-Signature"))
		}
	}
}

func TestWorkerErrors(t *testing.T) {
	answer := func(status int, body string, header ...string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	handled := []string{"X-Inngest-Sdk-Handled", "true"}
	for name, c := range map[string]struct {
		key  string
		h    http.Handler
		do   string
		code string
	}{
		"a page":                      {"", answer(200, "<html>"), "inspect", "worker-not-an-sdk"},
		"no such path":                {"", answer(404, "404 Not Found"), "functions", "worker-not-an-sdk"},
		"no such path, registering":   {"", answer(404, "404 Not Found"), "register", "worker-not-an-sdk"},
		"JSON of something else":      {"", answer(200, `{"status":"running"}`), "register", "worker-not-an-sdk"},
		"unsigned":                    {"", answer(401, `{"message":"Unauthorized"}`, handled...), "inspect", "worker-key-needed"},
		"badly signed":                {"00", answer(401, `{"code":"sig_verification_failed"}`, handled...), "functions", "worker-key-refused"},
		"badly signed, registering":   {"00", answer(401, `{"message":"Unauthorized"}`, handled...), "register", "worker-key-refused"},
		"registers instead":           {"00", answer(200, `{"message":"Successfully registered","modified":true}`, append(handled, "X-Inngest-Sync-Kind", "out_of_band")...), "functions", "worker-no-in-band"},
		"wrong key":                   {"00", answer(500, `{"message":"Failed to register; JSON Parse error; status code: 401","modified":false}`, handled...), "register", "inngest-wrong-signing-key"},
		"path left out":               {"00", answer(500, `{"message":"Failed to register; JSON Parse error: Unexpected EOF; status code: 404","modified":false}`, handled...), "register", "inngest-register-failed"},
		"other kind":                  {"00", answer(200, `{"message":"Expected server kind cloud, got dev","modified":false}`, handled...), "register", "inngest-server-kind"},
		"server down":                 {"00", answer(500, `{"message":"Failed to register; fetch failed","modified":false}`, handled...), "register", "inngest-register-failed"},
		"200 with an unknown message": {"00", answer(200, `{"message":"Perhaps","modified":false}`, handled...), "register", "inngest-register-failed"},
	} {
		w := workerOf(t, c.key, c.h)
		var err error
		switch c.do {
		case "inspect":
			_, err = w.Inspect(t.Context())
		case "functions":
			_, err = w.Functions(t.Context())
		case "register":
			_, err = w.Register(t.Context())
		}
		t.Run(name, func(t *testing.T) { wantFinding(t, err, c.code) })
	}
	for _, advertised := range []string{"", "system-bus-worker:3111", "http://"} {
		if _, err := New(Options{Endpoint: wire.Endpoint{BaseURL: "http://x", Advertised: advertised}}); err == nil {
			t.Errorf("advertised %q is accepted", advertised)
		}
	}
}

// TestSignatureByTheWorkersClock: a worker whose clock is minutes off accepts a
// signature nevertheless, since it is made again by the clock that its refusal shows.
func TestSignatureByTheWorkersClock(t *testing.T) {
	for ahead, want := range map[time.Duration]int{0: 1, 4 * time.Minute: 1, 20 * time.Minute: 2, -20 * time.Minute: 2} {
		calls := 0
		w := workerOf(t, "signkey-test-0011", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			calls++
			now := time.Now().Add(ahead)
			rw.Header().Set("Date", now.UTC().Format(http.TimeFormat))
			stamp, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("X-Inngest-Signature"), "t="), "&")
			signed, err := strconv.ParseInt(stamp, 10, 64)
			if err != nil || now.Sub(time.Unix(signed, 0)).Abs() > 5*time.Minute {
				rw.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(rw, `{"message":"Unauthorized"}`)
				return
			}
			_, _ = io.WriteString(rw, `{"app_id":"app"}`)
		}))
		for range 2 { // the second request knows the clock
			if in, err := w.Inspect(t.Context()); err != nil || in.AppID != "app" {
				t.Errorf("%s ahead: %+v %v", ahead, in, err)
			}
		}
		if calls != want+1 {
			t.Errorf("%s ahead: %d requests, want %d", ahead, calls, want+1)
		}
	}
}
