package inngest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// WorkerOptions say where a worker's SDK endpoint is, and with what right.
type WorkerOptions struct {
	// Endpoint: BaseURL is dialled, Advertised is what the server is to call.
	Endpoint Endpoint
	// Path of the SDK's endpoint; /api/inngest when empty.
	Path string
	// Key signs the requests. Without one they go out unsigned, which a
	// worker may refuse.
	Key SigningKey
	// Kind is the server's, told to the worker so that it refuses a
	// registration with another kind; "cloud" when empty.
	Kind string
}

// Worker speaks with an SDK's endpoint, versions 3 and 4 of the JavaScript
// SDK. It is safe for concurrent use.
type Worker struct {
	end        Endpoint
	path       string
	key        SigningKey
	advertised *url.URL

	mu   sync.Mutex
	kind string
}

const defaultPath = "/api/inngest"

// NewWorker makes a Worker; nothing is asked yet.
func NewWorker(o WorkerOptions) (*Worker, error) {
	w := &Worker{end: o.Endpoint, path: o.Path, key: o.Key, kind: o.Kind}
	if w.path == "" {
		w.path = defaultPath
	}
	if w.kind == "" {
		w.kind = "cloud"
	}
	if _, err := w.end.base(workerEnd); err != nil {
		return nil, pipeline.UsageErrorf("worker-url", "give it as http://HOST:PORT", "%s", err)
	}
	var err error
	w.advertised, err = Endpoint{BaseURL: o.Endpoint.Advertised}.base("advertised worker")
	if err != nil {
		return nil, pipeline.UsageErrorf("worker-url", "set inngest.host in .sbw.yaml to the worker's Service: http://SERVICE:PORT", "%s", err)
	}
	return w, nil
}

// setKind takes over what the server said of itself.
func (w *Worker) setKind(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kind = kind
}

// URL is the registration's: what the server is to call.
func (w *Worker) URL() string { return w.advertised.String() + w.path }

// Inspection is what a signed GET tells of a worker.
type Inspection struct {
	AppID         string `json:"app_id"` // only when the signature was taken
	FunctionCount int    `json:"function_count"`
	Mode          string `json:"mode"` // cloud, dev
	SDKVersion    string `json:"sdk_version"`
	SDKLanguage   string `json:"sdk_language"`
	APIOrigin     string `json:"api_origin"`   // the server that it registers with
	ServeOrigin   string `json:"serve_origin"` // what it advertises by itself
	ServePath     string `json:"serve_path"`
	HasSigningKey bool   `json:"has_signing_key"`
	HasEventKey   bool   `json:"has_event_key"`
	Authenticated bool   `json:"authentication_succeeded"`
}

// Inspect reads what the worker says of itself. In cloud mode it says nothing
// to who cannot sign.
func (w *Worker) Inspect(ctx context.Context) (*Inspection, error) {
	r, err := w.send(ctx, http.MethodGet, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := w.refusal(r); err != nil {
		return nil, err
	}
	var in Inspection
	if err := json.Unmarshal(r.body, &in); err != nil {
		return nil, w.notSDK(r)
	}
	return &in, nil
}

// Served is what a worker would register.
type Served struct {
	App       string     `json:"app"`
	URL       string     `json:"url"` // as the worker would register it for this request
	SDK       string     `json:"sdk"`
	Functions []Function `json:"functions"`
	Inspection
}

// syncKind is the header that chooses, and names, the way of a registration.
const (
	syncKind  = "X-Inngest-Sync-Kind"
	inBand    = "in_band"
	outOfBand = "out_of_band"
)

// Functions reads the configuration of every function, retries included, by a
// PUT that asks for the answer in the response. A worker that registers
// instead (INNGEST_ALLOW_IN_BAND_SYNC=0) makes it an error with the code
// worker-no-in-band.
func (w *Worker) Functions(ctx context.Context) (*Served, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // signed as RFC 8785 has it
	if err := enc.Encode(map[string]string{"url": w.URL()}); err != nil {
		return nil, err
	}
	body := bytes.TrimSpace(b.Bytes())
	r, err := w.send(ctx, http.MethodPut, body, http.Header{syncKind: {inBand}})
	if err != nil {
		return nil, err
	}
	if err := w.refusal(r); err != nil {
		return nil, err
	}
	if got := r.header.Get(syncKind); got != inBand {
		return nil, &pipeline.Finding{
			Code: "worker-no-in-band", Severity: pipeline.Error,
			What: "the worker registers instead of showing its functions", Why: fmt.Sprintf("it answered %s %q: %s", syncKind, got, r.words()),
			Fix: "unset INNGEST_ALLOW_IN_BAND_SYNC in the Deployment",
		}
	}
	var out struct {
		AppID     string `json:"app_id"`
		URL       string `json:"url"`
		SDK       string `json:"sdk"`
		Functions []struct {
			ID       string
			Name     string
			Triggers []struct{ Event, Cron, Expression string }
			Steps    map[string]struct {
				Runtime struct{ URL string }
				Retries *struct{ Attempts int }
			}
			Concurrency json.RawMessage
		}
		Inspection Inspection
	}
	if err := json.Unmarshal(r.body, &out); err != nil {
		return nil, w.notSDK(r)
	}
	s := &Served{App: out.AppID, URL: out.URL, SDK: strings.Replace(out.SDK, ":", " ", 1), Inspection: out.Inspection}
	for _, f := range out.Functions {
		one := Function{Slug: f.ID, Name: f.Name, App: out.AppID, Retries: defaultRetries, Concurrency: readConcurrency(f.Concurrency)}
		for _, t := range f.Triggers {
			one.Triggers = append(one.Triggers, Trigger{Event: t.Event, Cron: t.Cron, Condition: t.Expression})
		}
		for _, st := range f.Steps {
			one.URL = st.Runtime.URL
			if st.Retries != nil {
				one.Retries = st.Retries.Attempts
			}
		}
		s.Functions = append(s.Functions, one)
	}
	slices.SortFunc(s.Functions, func(a, b Function) int { return strings.Compare(a.Slug, b.Slug) })
	return s, nil
}

// Registration is what a worker said of its registration with the server.
type Registration struct {
	Status   int    `json:"status"`
	Message  string `json:"message"`
	Modified bool   `json:"modified"`
	// Kind is the server's, where the worker complained of it.
	Kind string `json:"-"`
}

const registeredMessage = "Successfully registered"

// OK reports whether the worker claims success. The server's own list is what
// proves it.
func (r Registration) OK() bool { return r.Status/100 == 2 && r.Message == registeredMessage }

// Register makes the worker register itself with its server. A refusal is an
// error; a mismatch of the server's kind comes as status 200 and is one, too.
func (w *Worker) Register(ctx context.Context) (*Registration, error) {
	r, err := w.send(ctx, http.MethodPut, nil, nil)
	if err != nil {
		return nil, err
	}
	reg := &Registration{Status: r.status}
	if json.Unmarshal(r.body, reg) != nil || r.header.Get("X-Inngest-Sdk-Handled") == "" && r.header.Get("X-Inngest-Sdk") == "" {
		return nil, w.notSDK(r)
	}
	reg.Status = r.status
	if reg.OK() {
		return reg, nil
	}
	return reg, w.registrationRefusal(r, *reg)
}

func (w *Worker) send(ctx context.Context, method string, body []byte, header http.Header) (*reply, error) {
	w.mu.Lock()
	kind := w.kind
	w.mu.Unlock()
	h := http.Header{"Content-Type": {"application/json"}, "X-Inngest-Server-Kind": {kind}}
	for k, v := range header {
		h[k] = v
	}
	if !w.key.IsZero() {
		h.Set("X-Inngest-Signature", w.key.sign(body, time.Now()))
	}
	return w.end.send(ctx, workerEnd, exchange{method: method, path: w.path, header: h, host: w.advertised.Host, body: body})
}

// refusal judges an answer that should have been 200.
func (w *Worker) refusal(r *reply) error {
	if r.status == http.StatusUnauthorized {
		return w.keyRefused(r)
	}
	if r.status/100 != 2 || !r.isJSON() {
		return w.notSDK(r)
	}
	return nil
}

func (w *Worker) keyRefused(r *reply) error {
	f := &pipeline.Finding{
		Code: "worker-key-refused", Severity: pipeline.Error, Err: &ServerError{Status: r.status, Words: r.words()},
		What: "the worker does not take the signature", Why: r.words(),
		Fix: "use the worker's own key: INNGEST_SIGNING_KEY of its container, or --signing-key-from; clocks may differ by at most 5 minutes",
	}
	if w.key.IsZero() {
		f.Code, f.What = "worker-key-needed", "the worker answers only signed requests, and there is no signing key"
		f.Fix = "let kubectl read the worker's Secret (RBAC: get secrets), or give --signing-key-from"
	}
	return f
}

func (w *Worker) notSDK(r *reply) error {
	return &pipeline.Finding{
		Code: "worker-not-an-sdk", Severity: pipeline.Error, Err: &ServerError{Status: r.status, Words: r.words()},
		What: fmt.Sprintf("no Inngest SDK answers at %s%s", w.end.BaseURL, w.path), Why: (&ServerError{Status: r.status, Words: r.words()}).Error(),
		Fix: "set inngest.path in .sbw.yaml to where the worker serves the SDK, probe.port to its port",
	}
}

// registrationRefusal explains why a worker did not register, from the words
// that the SDKs have for it.
func (w *Worker) registrationRefusal(r *reply, reg Registration) error {
	f := &pipeline.Finding{
		Code: "inngest-register-failed", Severity: pipeline.Error, Err: &ServerError{Doing: "register", Status: r.status, Words: r.words()},
		What: "the worker did not register with its Inngest server", Why: (&ServerError{Status: r.status, Words: r.words()}).Error(),
		Fix: "check INNGEST_BASE_URL of the worker and that the server is up; then `kubectl sbw refresh`",
	}
	switch {
	case r.status == http.StatusUnauthorized:
		return w.keyRefused(r)
	case strings.Contains(reg.Message, "Expected server kind"):
		f.Code, f.What = "inngest-server-kind", "the worker registers with another kind of Inngest server than the one that was asked"
		f.Fix = "let INNGEST_BASE_URL of the worker and inngest.service name the same server; INNGEST_DEV=0 for `inngest start`, 1 for `inngest dev`"
	case strings.Contains(reg.Message, "401"):
		f.Code, f.What = "inngest-wrong-signing-key", "the Inngest server does not take the worker's signing key"
		f.Fix = "set INNGEST_SIGNING_KEY in the worker's Secret to the server's --signing-key and restart the pods"
	case strings.Contains(strings.ToLower(reg.Message), "no functions"):
		f.Code, f.What = "inngest-no-functions", "the worker serves no functions"
		f.Fix = "export them from the worker's function index and publish again"
	}
	return f
}
