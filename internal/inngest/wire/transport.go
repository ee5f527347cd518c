package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// maxAnswer limits how much of an answer is read. A page of 100 runs or a
// registry with several hundred functions is far smaller.
const maxAnswer = 64 << 20

// ServerError is a refusal by a server or a worker, in its own words.
type ServerError struct {
	Doing  string // "list apps"
	Status int    // of HTTP; 200 for what GraphQL resolvers refuse
	Words  string
}

func (e *ServerError) Error() string {
	if e.Status == 0 || e.Status == http.StatusOK {
		return e.Words
	}
	return fmt.Sprintf("%d: %s", e.Status, e.Words)
}

// Request is one request to either side.
type Request struct {
	Method, Path string
	Query        url.Values
	Header       http.Header
	Host         string // sent instead of the dialled one
	Body         []byte
}

// Reply is the answer to a Request, with its body read.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte

	hide []string // secrets in the request that must not be printed
}

// IsJSON distinguishes an answer from the page that the server returns for
// every unknown path.
func (r *Reply) IsJSON() bool { return json.Valid(r.Body) }

// Words returns the message of an answer on one line.
func (r *Reply) Words() string {
	var out struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(r.Body, &out) == nil {
		for _, e := range out.Errors {
			if out.Message == "" {
				out.Message = e.Message
			}
		}
		if out.Error != "" {
			return OneLine(r.redact(out.Error))
		}
		if out.Message != "" {
			return OneLine(r.redact(out.Message))
		}
	}
	if text := OneLine(r.redact(string(r.Body))); text != "" {
		return text
	}
	return http.StatusText(r.Status)
}

// secretsOf returns the keys in a request: the bearer token, the signature,
// and the event key in the path.
func secretsOf(req *http.Request) (all []string) {
	_, signature, _ := strings.Cut(req.Header.Get("X-Inngest-Signature"), "&s=")
	_, bearer, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	_, event, _ := strings.Cut(req.URL.Path, "/e/")
	for _, s := range []string{signature, bearer, event} {
		if len(s) > 4 {
			all = append(all, s)
		}
	}
	return all
}

// redact removes the keys that an answer repeats. It runs before any
// truncation, because a part of a truncated key would remain.
func (r *Reply) redact(text string) string {
	for _, s := range r.hide {
		text = strings.ReplaceAll(text, s, redacted)
	}
	return text
}

// OneLine returns the start of a text on one line.
func OneLine(s string) string { return termtext.Cut(termtext.Line(s), 300) }

// Send sends one request. Its errors never contain the path, which may contain
// an event key.
func (e Endpoint) Send(ctx context.Context, what string, x Request) (*Reply, error) {
	u, err := e.Base(what)
	if err != nil {
		return nil, pipeline.UsageErrorf(model.CodeURL, "give it as http://HOST:PORT", "%s", err)
	}
	u.Path += x.Path
	u.RawQuery = x.Query.Encode()
	within, cancel := context.WithTimeout(ctx, e.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(within, x.Method, u.String(), bytes.NewReader(x.Body))
	if err != nil {
		return nil, err
	}
	if x.Header != nil {
		req.Header = x.Header.Clone()
	}
	if x.Host != "" {
		req.Host = x.Host
	}
	resp, err := e.client().Do(req)
	if err != nil {
		return nil, e.unreachable(ctx, what, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, e.unreachable(ctx, what, err)
	}
	return &Reply{Status: resp.StatusCode, Header: resp.Header, Body: body, hide: secretsOf(req)}, nil
}

// ErrNoAnswer is in the errors of requests that were not answered.
var ErrNoAnswer = errors.New("no answer")

// unreachable returns the finding for a request that was not answered. If the
// caller's own wait has ended, that error is returned unchanged.
func (e Endpoint) unreachable(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL
	}
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return f.With(func(f *pipeline.Finding) { f.Err = errors.Join(ErrNoAnswer, f.Err) }) // the error of the route explains it better
	}
	why := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("no answer within %s", e.timeout())
	}
	f := &pipeline.Finding{
		Code: model.CodeUnreachable, Severity: pipeline.Error, Err: errors.Join(model.ErrUnreachable, fmt.Errorf("%w: %w", ErrNoAnswer, err)),
		What: fmt.Sprintf("the Inngest server at %s does not answer", e.BaseURL), Why: OneLine(why),
		Fix: "check that its pod is running and ready, or give --inngest-url",
	}
	if what == WorkerEnd {
		f.Code, f.Err = model.CodeWorkerUnreachable, err
		f.What = fmt.Sprintf("the worker at %s does not answer", e.BaseURL)
		f.Fix = "check that its pod is ready; wait for the rollout, then run `kubectl sbw refresh`"
	}
	return f
}

// These are the names of the two sides in errors.
const (
	ServerEnd = "Inngest server"
	WorkerEnd = "worker"
)

// Refused returns the finding for a refusal.
func Refused(doing string, r *Reply) error {
	said := &ServerError{Doing: doing, Status: r.Status, Words: r.Words()}
	if r.Status == http.StatusUnauthorized {
		return &pipeline.Finding{
			Code: model.CodeKeyRefused, Severity: pipeline.Error, Err: said,
			What: "the Inngest server does not accept the signing key", Why: said.Words,
			Fix: "use the server's own key: compare its --signing-key with INNGEST_SIGNING_KEY in the worker's Secret, or give --signing-key-from",
		}
	}
	return &pipeline.Finding{
		Code: model.CodeRefused, Severity: pipeline.Error, Err: said,
		What: "the Inngest server refused to " + doing, Why: said.Error(),
		Fix: "read the server's log; `kubectl sbw status` lists what it has registered",
	}
}
