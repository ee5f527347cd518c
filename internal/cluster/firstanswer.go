package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// firstAnswerLimit is how long the API server may take for its first answer if
// --request-timeout does not say otherwise. A working server gives its first answer
// within a second. Without this limit, a command may print nothing for half a minute,
// because Go limits the TLS handshake separately for each attempt and does not limit the
// answer at all. A server that has answered once is alive and may be slow, so there is no
// limit from then on, and none for watches.
const firstAnswerLimit = 5 * time.Second

// firstAnswerSlices is the number of timers that make up the limit. A process that
// was suspended has used up only one of them when it continues, so it still reads an
// answer that has arrived in the meantime.
const firstAnswerSlices = 5

// errSilent is the cause of a request that ended because of the limit.
var errSilent = errors.New("the API server does not answer")

// firstAnswer sends a request through next. If the server has not answered any request
// yet, it ends this one after the limit, and all further requests fail in the same way.
func (t *transport) firstAnswer(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if t.answered() || isWatch(req) {
		return next.RoundTrip(req)
	}
	limit, wait := firstAnswerLimit, firstAnswerLimit
	if t.limit > 0 {
		// The HTTP client ends each request at --request-timeout by itself, and this
		// must come first: only then do all further requests fail at once.
		limit, wait = t.limit, t.limit-t.limit/20
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	arrived := make(chan struct{})
	go func() {
		for range firstAnswerSlices {
			select {
			case <-arrived:
				return
			case <-ctx.Done():
				return
			case <-time.After(wait / firstAnswerSlices):
			}
		}
		cancel(errSilent)
	}()
	resp, err := next.RoundTrip(req.WithContext(ctx))
	close(arrived)
	if err != nil {
		silent := errors.Is(context.Cause(ctx), errSilent)
		cancel(nil)
		if !silent {
			return nil, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.failed = silentServer(req.URL.Scheme+"://"+req.URL.Host, limit, err)
		return nil, t.failed
	}
	resp.Body = &endingBody{ReadCloser: resp.Body, end: func() { cancel(nil) }}
	return resp, nil
}

// answered reports whether the server has answered a request.
func (t *transport) answered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.accepted
}

// isWatch reports whether the answer to a request is a stream: a watch, a log that is
// followed, or a connection that changes its protocol.
func isWatch(req *http.Request) bool {
	q := req.URL.Query()
	return q.Get("watch") != "" || q.Get("follow") != "" || req.Header.Get("Upgrade") != "" ||
		strings.Contains(req.URL.Path, "/watch/")
}

func silentServer(server string, limit time.Duration, err error) *pipeline.Finding {
	return &pipeline.Finding{
		Code: CodeUnreachable, Severity: pipeline.Error, Err: errors.Join(errSilent, err),
		What: fmt.Sprintf("the API server %s did not answer within %s", server, limit),
		Fix: "check that the cluster runs and that the network (VPN, tunnel) is up; " +
			"if it is only slow, allow more time with --request-timeout=30s",
	}
}

// endingBody releases the request's context when its answer has been read.
type endingBody struct {
	io.ReadCloser
	end func()
}

func (b *endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}
