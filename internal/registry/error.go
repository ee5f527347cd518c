package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Error is a response with an unwanted status.
type Error struct {
	Registry string
	Kind     string // Request.Kind; "token" for the exchange of the credential
	Method   string
	Status   int
	// Code and Message are those of the first error in the body, as defined by
	// the distribution specification: "MANIFEST_UNKNOWN".
	Code, Message string
	// Garbled means that the response did not come from a registry.
	Garbled bool
	// After is how long the registry asks to wait; zero if it does not say.
	After time.Duration

	challenge *transport.Challenge
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s answered %d", e.Registry, e.Status)
	if t := http.StatusText(e.Status); t != "" {
		b.WriteString(" " + t)
	}
	b.WriteString(" to " + e.Method + " " + e.Kind)
	if said := e.Said(); said != "" {
		b.WriteString(": " + said)
	}
	return b.String()
}

// Said returns the registry's own message on one line.
func (e *Error) Said() string {
	switch {
	case e.Code == "":
		return e.Message
	case e.Message == "":
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Is reports whether target is the distribution error code of e, such as
// Code("BLOB_UNKNOWN").
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && e.Code == string(c)
}

// Code is an error code of the distribution specification.
type Code string

func (c Code) Error() string { return string(c) }

// Codes that callers distinguish.
const (
	BlobUnknown         Code = "BLOB_UNKNOWN"
	BlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	DigestInvalid       Code = "DIGEST_INVALID"
	ManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	ManifestUnknown     Code = "MANIFEST_UNKNOWN"
)

// IsNotFound reports whether the registry said that something does not exist.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// maxSaid limits how many characters of a registry's own message are repeated.
const maxSaid = 300

func (c *Client) refusal(r Request, res *http.Response, body []byte) *Error {
	e := &Error{
		Registry: c.repo.Registry, Kind: r.Kind, Method: r.Method, Status: res.StatusCode,
		After: retryAfter(res.Header, body),
	}
	if res.StatusCode == http.StatusUnauthorized {
		e.challenge = challengeOf(res.Header, c.base.Scheme == "http")
	}
	e.Garbled = res.StatusCode < 300
	code, message := said(body)
	e.Code, e.Message = oneLine(c.auth.redact(code)), oneLine(c.auth.redact(message))
	return e
}

// html reports whether a response is a page for people, such as the login page
// that some networks return for every request with a successful status.
func html(h http.Header) bool { return strings.HasPrefix(h.Get("Content-Type"), "text/html") }

// said returns the code and the message of an error body unchanged. A body that
// is not JSON is the message if it is text.
func said(body []byte) (code, message string) {
	var b struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		Details string `json:"details"` // an error of /token when it contains no list
		Message string `json:"message"` // GitHub's API, for its rate limit
	}
	if json.Unmarshal(body, &b) == nil {
		if len(b.Errors) > 0 {
			return b.Errors[0].Code, b.Errors[0].Message
		}
		return "", b.Message + b.Details
	}
	if text := strings.TrimSpace(string(body)); !strings.HasPrefix(text, "<") {
		return "", text
	}
	return "", ""
}

func oneLine(s string) string { return termtext.Cut(termtext.Line(s), maxSaid) }

// networkError unwraps the errors of net/http, because their text contains the
// URL and with it the state of an upload. If a watch has cancelled the request,
// it returns the reason.
func (c *Client) networkError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, errStalled) {
		return fmt.Errorf("%s: %w", c.repo.Registry, cause)
	}
	var f *pipeline.Finding
	if errors.As(err, &f) {
		return f
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// exchangeError converts an error of the exchange into this package's form.
func (c *Client) exchangeError(ctx context.Context, err error) error {
	var t *transport.Error
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return &Error{Registry: c.repo.Registry, Kind: "token", Method: http.MethodGet, Status: http.StatusOK, Garbled: true}
	}
	if !errors.As(err, &t) {
		return c.networkError(ctx, err)
	}
	e := &Error{Registry: c.repo.Registry, Kind: "token", Method: http.MethodGet, Status: t.StatusCode}
	if t.Request != nil {
		e.Method = t.Request.Method
	}
	if len(t.Errors) > 0 {
		e.Code, e.Message = oneLine(c.auth.redact(string(t.Errors[0].Code))), oneLine(c.auth.redact(t.Errors[0].Message))
		e.After = retryAfter(nil, []byte(t.Errors[0].Message))
	}
	return e
}
