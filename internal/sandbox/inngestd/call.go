package inngestd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// callClient calls workers like the server does: with a new connection per
// request, so that a new pod behind a Service is found immediately.
func callClient(c *http.Client) *http.Client {
	if c != nil {
		return c
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true
	t.Proxy = nil
	return &http.Client{Transport: t}
}

// answer is a worker's answer to a call.
type answer struct {
	ops     []*opcode // in a 206
	value   json.RawMessage
	failure *stepError // an error of the function, or of the connection to it
	noRetry bool
	version int
}

// maxResponse is how much of an answer the server reads at most.
const maxResponse = 4 << 20

// call asks a worker to continue a run. step is the planned step to execute,
// or empty to discover the next one.
func (s *Server) call(ctx context.Context, r *run, step string, attempt int) answer {
	s.mu.Lock()
	body, target, err := s.requestLocked(r, step, attempt)
	version := r.version
	s.mu.Unlock()
	if err != nil {
		return failed(err.Error())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return failed("error creating request: " + err.Error())
	}
	req.Header.Set("Content-Type", "application/json")
	if s.opts.SigningKey != "" {
		req.Header.Set(headerSignature, sign(s.opts.SigningKey, body, s.now()))
	}
	req.Header.Set("X-Run-ID", r.id)
	req.Header.Set(headerReqVersion, strconv.Itoa(version))
	req.Header.Set("X-Inngest-Step-ID", stepOr(step))
	resp, err := s.client.Do(req)
	if err != nil {
		return failed(transportError(err))
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return failed("Your server reset the connection while we were reading the reply: Unexpected ending response")
	}
	return readAnswer(resp, raw)
}

func failed(message string) answer {
	return answer{failure: &stepError{Error: message, Name: "Error", Message: message}}
}

func stepOr(step string) string {
	if step == "" {
		return "step"
	}
	return step
}

// transportError describes a failed request in the server's words
// (pkg/execution/exechttp).
func transportError(err error) string {
	text := err.Error()
	if errors.Is(err, io.EOF) || strings.Contains(text, "connection refused") ||
		strings.Contains(text, "unreachable") || strings.Contains(text, "no route to host") {
		return "Unable to reach SDK URL"
	}
	return "error performing request: " + text
}

func readAnswer(resp *http.Response, body []byte) answer {
	sdk := resp.Header.Get(headerSDK) != ""
	a := answer{noRetry: resp.Header.Get(headerNoRetry) == "true"}
	a.version, _ = strconv.Atoi(resp.Header.Get(headerReqVersion))
	switch {
	case resp.StatusCode == http.StatusPartialContent && sdk:
		ops, err := parseOpcodes(body)
		if err != nil {
			return failed(err.Error())
		}
		a.ops = ops
	case resp.StatusCode == http.StatusCreated:
		return failed("the Inngest double does not support streamed answers")
	case resp.StatusCode >= 200 && resp.StatusCode < 300 && !sdk:
		return failed("The response did not come from an Inngest SDK")
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		a.value = jsonOrString(body)
	case !sdk:
		message := fmt.Sprintf("Your server returned HTTP %d before the SDK responded.", resp.StatusCode)
		a.failure = &stepError{Error: message, Name: "Server returned a fatal error", Message: message, Stack: string(body)}
	default:
		a.failure = functionError(body, fmt.Sprintf("invalid status code: %d", resp.StatusCode))
	}
	return a
}

// functionError reads an SDK's error body, which some versions wrap in a
// string.
func functionError(body []byte, otherwise string) *stepError {
	var text string
	if json.Unmarshal(body, &text) == nil {
		body = []byte(text)
	}
	e := &stepError{}
	if json.Unmarshal(body, e) != nil || e.Message == "" {
		e = &stepError{Name: "Error", Message: otherwise}
	}
	if e.Name == "" {
		e.Name = "Error"
	}
	e.Error = e.Message
	return e
}

func jsonOrString(body []byte) json.RawMessage {
	if len(body) == 0 {
		return json.RawMessage("null")
	}
	if json.Valid(body) {
		return body
	}
	raw, _ := json.Marshal(string(body)) // it is a string
	return raw
}

// requestLocked builds the body and the address of a call: the event, the
// memoised steps, and the position of the run (pkg/execution/driver).
func (s *Server) requestLocked(r *run, step string, attempt int) ([]byte, string, error) {
	u, err := url.Parse(r.function.url())
	if err != nil {
		return nil, "", err
	}
	q := u.Query()
	q.Set("stepId", stepOr(step))
	u.RawQuery = q.Encode()

	e := r.event
	if e == nil {
		e = &event{ID: r.id, Name: eventCron, TS: r.queued.UnixMilli(), Data: map[string]any{"cron": r.cron}}
	}
	steps := map[string]json.RawMessage{}
	for _, id := range r.stack {
		steps[id] = r.steps[id]
	}
	raw, err := json.Marshal(map[string]any{
		"event": e.asMap(), "events": []any{e.asMap()}, "steps": steps, "defers": map[string]any{},
		"version": r.version, "use_api": false,
		"ctx": map[string]any{
			"fn_id": r.function.id, "run_id": r.id, "env": "", "step_id": "step", "attempt": attempt,
			"max_attempts": r.function.retries() + 1, "qi_id": "", "disable_immediate_execution": r.plan,
			"use_api": false, "stack": map[string]any{"stack": append([]string{}, r.stack...), "current": len(r.stack)},
		},
	})
	if err != nil {
		return nil, "", err
	}
	raw, err = canonical(raw)
	return raw, u.String(), err
}
