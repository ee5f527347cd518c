// Package sdk calls a worker's SDK endpoint like an Inngest server does. New
// returns a Worker, whose methods inspect it, read its functions, and make it
// register.
package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Options describe where a worker's SDK endpoint is, and the key for signing.
type Options struct {
	// Endpoint: BaseURL is dialled, Advertised is what the server should call.
	Endpoint wire.Endpoint
	// Path is the path of the SDK's endpoint; empty means /api/inngest.
	Path string
	// Key signs the requests. Without it they are not signed, and the worker
	// may refuse them.
	Key wire.SigningKey
	// Kind is the server's kind; empty means "cloud". The worker refuses a
	// registration with another kind.
	Kind string
}

// Worker calls an SDK's endpoint, versions 3 and 4 of the JavaScript SDK. It
// is safe for concurrent use.
type Worker struct {
	end        wire.Endpoint
	path       string
	key        wire.SigningKey
	advertised *url.URL

	mu    sync.Mutex
	kind  string
	clock wire.Clock // the worker's
}

const defaultPath = "/api/inngest"

// New creates a Worker without sending a request.
func New(o Options) (*Worker, error) {
	w := &Worker{end: o.Endpoint, path: o.Path, key: o.Key, kind: o.Kind}
	if w.path == "" {
		w.path = defaultPath
	}
	if w.kind == "" {
		w.kind = "cloud"
	}
	if _, err := w.end.Base(wire.WorkerEnd); err != nil {
		return nil, pipeline.UsageErrorf(model.CodeWorkerURL, "give it as http://HOST:PORT", "%s", err)
	}
	var err error
	w.advertised, err = wire.Endpoint{BaseURL: o.Endpoint.Advertised}.Base("advertised worker")
	if err != nil {
		return nil, pipeline.UsageErrorf(
			model.CodeWorkerURL,
			"set inngest.host in .sbw.yaml to the worker's Service: http://SERVICE:PORT",
			"%s",
			err,
		)
	}
	return w, nil
}

// SetKind sets the kind that the server reported.
func (w *Worker) SetKind(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kind = kind
}

// URL returns the URL of the registration, which the server should call.
func (w *Worker) URL() string { return w.advertised.String() + w.path }

// Inspect reads what the worker reports about itself. In cloud mode it answers
// only signed requests.
func (w *Worker) Inspect(ctx context.Context) (*model.Inspection, error) {
	r, err := w.send(ctx, http.MethodGet, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := w.refusal(r); err != nil {
		return nil, err
	}
	var in model.Inspection
	if err := json.Unmarshal(r.Body, &in); err != nil {
		return nil, w.notSDK(r)
	}
	return &in, nil
}

// syncKind is the header that selects, and names, the kind of a registration.
const (
	syncKind  = "X-Inngest-Sync-Kind"
	inBand    = "in_band"
	outOfBand = "out_of_band"
)

// Functions reads the configuration of every function, including retries, with
// a PUT that requests the answer in the response. If a worker registers
// instead (INNGEST_ALLOW_IN_BAND_SYNC=0), the error has the code
// worker-no-in-band.
func (w *Worker) Functions(ctx context.Context) (*model.Served, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // signed in the form of RFC 8785
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
	if got := r.Header.Get(syncKind); got != inBand {
		return nil, &pipeline.Finding{
			Code: model.CodeWorkerNoInBand, Severity: pipeline.Error, Err: ErrNotShown,
			What: "the worker registers instead of showing its functions", Why: fmt.Sprintf("it answered %s %q: %s", syncKind, got, r.Words()),
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
		Inspection model.Inspection
	}
	if err := json.Unmarshal(r.Body, &out); err != nil {
		return nil, w.notSDK(r)
	}
	s := &model.Served{App: out.AppID, URL: out.URL, SDK: strings.Replace(out.SDK, ":", " ", 1), Inspection: out.Inspection}
	for _, f := range out.Functions {
		one := model.Function{
			Slug:        f.ID,
			Name:        f.Name,
			App:         out.AppID,
			Retries:     model.DefaultRetries,
			Concurrency: model.ReadConcurrency(f.Concurrency),
		}
		for _, t := range f.Triggers {
			one.Triggers = append(one.Triggers, model.Trigger{Event: t.Event, Cron: t.Cron, Condition: t.Expression})
		}
		for _, st := range f.Steps {
			one.URL = st.Runtime.URL
			if st.Retries != nil {
				one.Retries = st.Retries.Attempts
			}
		}
		s.Functions = append(s.Functions, one)
	}
	slices.SortFunc(s.Functions, func(a, b model.Function) int { return strings.Compare(a.Slug, b.Slug) })
	return s, nil
}

// Register makes the worker register with its server. A refusal is an error.
// So is a mismatch of the server's kind, although the worker reports it with
// status 200.
func (w *Worker) Register(ctx context.Context) (*model.Registration, error) {
	r, err := w.send(ctx, http.MethodPut, nil, nil)
	if err != nil {
		return nil, err
	}
	reg := &model.Registration{Status: r.Status}
	if json.Unmarshal(r.Body, reg) != nil || r.Header.Get("X-Inngest-Sdk-Handled") == "" && r.Header.Get("X-Inngest-Sdk") == "" {
		return nil, w.notSDK(r)
	}
	reg.Status = r.Status
	if reg.OK() {
		return reg, nil
	}
	return reg, w.registrationRefusal(r, *reg)
}

func (w *Worker) send(ctx context.Context, method string, body []byte, header http.Header) (*wire.Reply, error) {
	w.mu.Lock()
	kind := w.kind
	w.mu.Unlock()
	h := http.Header{"Content-Type": {"application/json"}, "X-Inngest-Server-Kind": {kind}}
	for k, v := range header {
		h[k] = v
	}
	send := func(ahead time.Duration) (*wire.Reply, error) {
		if !w.key.IsZero() {
			h.Set("X-Inngest-Signature", w.key.Sign(body, time.Now().Add(ahead)))
		}
		sent := time.Now()
		r, err := w.end.Send(ctx, wire.WorkerEnd, wire.Request{Method: method, Path: w.path, Header: h, Host: w.advertised.Host, Body: body})
		if err == nil {
			w.clock.Read(r.Header, sent, time.Now())
		}
		return r, err
	}
	before, _ := w.clock.Ahead()
	r, err := send(before)
	if err != nil || r.Status != http.StatusUnauthorized || w.key.IsZero() {
		return r, err
	}
	// A signature is valid for five minutes by the worker's clock, which its answer
	// shows.
	if now, _ := w.clock.Ahead(); (now - before).Abs() > time.Minute {
		return send(now)
	}
	return r, err
}

// refusal judges an answer whose status should have been 200.
func (w *Worker) refusal(r *wire.Reply) error {
	if r.Status == http.StatusUnauthorized {
		return w.keyRefused(r)
	}
	if r.Status/100 != 2 || !r.IsJSON() {
		return w.notSDK(r)
	}
	return nil
}

// ErrNotShown is in the error of a worker that registers when it is asked to show
// its functions.
var ErrNotShown = errors.New("the worker does not show its functions")

// ErrKeyNeeded is in the error of a worker that answers only signed requests
// if there is no key to sign with.
var ErrKeyNeeded = errors.New("the worker answers only signed requests")

func (w *Worker) keyRefused(r *wire.Reply) error {
	f := &pipeline.Finding{
		Code: model.CodeWorkerKeyRefused, Severity: pipeline.Error, Err: &wire.ServerError{Status: r.Status, Words: r.Words()},
		What: "the worker refuses the signature", Why: r.Words(),
		Fix: "use the worker's own key: INNGEST_SIGNING_KEY of its container, or --signing-key-from; clocks may differ by at most 5 minutes",
	}
	if w.key.IsZero() {
		f.Err = fmt.Errorf("%w: %w", ErrKeyNeeded, f.Err)
		f.Code, f.What = model.CodeWorkerKeyNeeded, "the worker answers only signed requests, and the signing key is not known"
		f.Fix = "let kubectl read the worker's Secret (RBAC: get secrets), or give --signing-key-from"
	}
	return f
}

func (w *Worker) notSDK(r *wire.Reply) error {
	return &pipeline.Finding{
		Code:     model.CodeWorkerNotAnSDK,
		Severity: pipeline.Error,
		Err:      &wire.ServerError{Status: r.Status, Words: r.Words()},
		What: fmt.Sprintf(
			"an Inngest SDK does not answer at %s%s",
			w.end.BaseURL,
			w.path,
		),
		Why: (&wire.ServerError{Status: r.Status, Words: r.Words()}).Error(),
		Fix: "set inngest.path in .sbw.yaml to where the worker serves the SDK, and probe.port to its port",
	}
}

// registrationRefusal explains why a worker did not register, by the SDKs'
// messages.
func (w *Worker) registrationRefusal(r *wire.Reply, reg model.Registration) error {
	f := &pipeline.Finding{
		Code: model.CodeRegisterFailed, Severity: pipeline.Error, Err: &wire.ServerError{Doing: "register", Status: r.Status, Words: r.Words()},
		What: "the worker did not register with its Inngest server", Why: (&wire.ServerError{Status: r.Status, Words: r.Words()}).Error(),
		Fix: "check INNGEST_BASE_URL of the worker and that the server is up; then `kubectl sbw refresh`",
	}
	switch {
	case r.Status == http.StatusUnauthorized:
		return w.keyRefused(r)
	case strings.Contains(reg.Message, "Expected server kind"):
		f.Code, f.What = model.CodeServerKind, "the worker registers with another kind of Inngest server than the one that was asked"
		f.Fix = "let INNGEST_BASE_URL of the worker and inngest.service name the same server; " +
			"INNGEST_DEV=0 for `inngest start`, 1 for `inngest dev`"
	case strings.Contains(reg.Message, "status code: 404"):
		// A path in INNGEST_BASE_URL, as behind an ingress, is dropped by the SDK (3.54
		// and 4.24).
		f.What = "the worker registers at an address where no Inngest server is"
		f.Fix = "set INNGEST_BASE_URL of the worker to the server's own address, such as http://inngest-svc:8288, " +
			"without a path: the SDK leaves a path out"
	case strings.Contains(reg.Message, "401"):
		f.Code, f.What = model.CodeWrongSigningKey, "the Inngest server does not accept the worker's signing key"
		f.Fix = "set INNGEST_SIGNING_KEY in the worker's Secret to the server's --signing-key and restart the pods"
	case strings.Contains(strings.ToLower(reg.Message), "no functions"):
		f.Code, f.What = model.CodeNoFunctions, "the worker serves no functions"
		f.Fix = "export them from the worker's function index and publish again"
	}
	return f
}
