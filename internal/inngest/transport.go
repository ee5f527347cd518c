package inngest

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

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// maxAnswer bounds what is read of an answer; a page of 100 runs or a registry
// of some hundred functions stays far below.
const maxAnswer = 64 << 20

// ServerError is what an end said when it refused, in its own words.
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

// exchange is one request and what came back.
type exchange struct {
	method, path string
	query        url.Values
	header       http.Header
	host         string // sent instead of the dialled one
	body         []byte
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// isJSON tells an answer from the single page that the server gives for every
// path that it does not know.
func (r *reply) isJSON() bool { return json.Valid(r.body) }

func (r *reply) words() string {
	var out struct {
		Error   string `json:"error"`
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(r.body, &out) == nil {
		for _, e := range out.Errors {
			if out.Message == "" {
				out.Message = e.Message
			}
		}
		if out.Error != "" {
			return oneLine(out.Error)
		}
		if out.Message != "" {
			return oneLine(out.Message)
		}
	}
	if text := oneLine(string(r.body)); text != "" {
		return text
	}
	return http.StatusText(r.status)
}

// oneLine keeps the start of a text, on one line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}

// send does one exchange. Its errors never contain the path, which may hold an
// event key.
func (e Endpoint) send(ctx context.Context, what string, x exchange) (*reply, error) {
	u, err := e.base(what)
	if err != nil {
		return nil, pipeline.UsageErrorf("inngest-url", "give it as http://HOST:PORT", "%s", err)
	}
	u.Path += x.path
	u.RawQuery = x.query.Encode()
	within, cancel := context.WithTimeout(ctx, e.timeout())
	defer cancel()
	req, err := http.NewRequestWithContext(within, x.method, u.String(), bytes.NewReader(x.body))
	if err != nil {
		return nil, err
	}
	if x.header != nil {
		req.Header = x.header.Clone()
	}
	if x.host != "" {
		req.Host = x.host
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
	return &reply{resp.StatusCode, resp.Header, body}, nil
}

// unreachable words a request that got no answer. The caller's own end of
// waiting is handed back as it is.
func (e Endpoint) unreachable(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL
	}
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return f // the way there says it better
	}
	why := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		why = fmt.Sprintf("no answer within %s", e.timeout())
	}
	f := &pipeline.Finding{
		Code: "inngest-unreachable", Severity: pipeline.Error, Err: err,
		What: fmt.Sprintf("the Inngest server at %s does not answer", e.BaseURL), Why: oneLine(why),
		Fix: "check that its pod runs and is Ready, or give --inngest-url",
	}
	if what == workerEnd {
		f.Code = "worker-unreachable"
		f.What = fmt.Sprintf("the worker at %s does not answer", e.BaseURL)
		f.Fix = "check that its pod is Ready; wait for the rollout, then `kubectl sbw refresh`"
	}
	return f
}

// The names of the two ends in errors.
const (
	serverEnd = "Inngest server"
	workerEnd = "worker"
)

// refused makes a finding of an answer that is none.
func refused(doing string, r *reply) error {
	said := &ServerError{Doing: doing, Status: r.status, Words: r.words()}
	if r.status == http.StatusUnauthorized {
		return &pipeline.Finding{
			Code: "inngest-key-refused", Severity: pipeline.Error, Err: said,
			What: "the Inngest server does not take the signing key", Why: said.Words,
			Fix: "use the server's own key: compare its --signing-key with INNGEST_SIGNING_KEY in the worker's Secret, or give --signing-key-from",
		}
	}
	return &pipeline.Finding{
		Code: "inngest-refused", Severity: pipeline.Error, Err: said,
		What: "the Inngest server did not " + doing, Why: said.Error(),
		Fix: "see the server's log, `kubectl sbw status` for what it has",
	}
}
