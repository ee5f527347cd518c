package cptest

import (
	"errors"
	"io"
	"net/http"
)

// RoundTrip is a function as an http.RoundTripper, for a test that disturbs requests.
type RoundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// LoseAnswer sends a request and loses its answer, as a connection does that breaks.
func LoseAnswer(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(r)
	if err == nil {
		err = errors.Join(io.ErrUnexpectedEOF, resp.Body.Close())
	}
	return nil, err
}
