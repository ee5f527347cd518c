package ghcr

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Fault replaces or spoils the answers to one kind of request.
type Fault struct {
	On Kind
	// Matching, if set, must occur in the request's path and query.
	Matching string
	// After is how many matching requests pass first.
	After int
	// Times is how many requests are affected after that; 0 means one, a
	// negative number means all.
	Times int
	Do    Action
}

// Action answers instead of the front, or calls next and changes its answer.
type Action func(f *Front, w http.ResponseWriter, r *http.Request, next http.Handler)

type armed struct {
	Fault
	seen, struck int
}

// Inject activates a fault.
func (f *Front) Inject(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range faults {
		if x.Times == 0 {
			x.Times = 1
		}
		f.faults = append(f.faults, &armed{Fault: x})
	}
}

// Disarm removes all faults.
func (f *Front) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
	clear(f.hidden)
}

// OnRequest calls do for every incoming request, one at a time; nil turns it
// off.
func (f *Front) OnRequest(do func(Kind)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onRequest = do
}

// Struck returns how many requests faults have affected so far.
func (f *Front) Struck() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.faults {
		n += a.struck
	}
	return n
}

func (f *Front) strikes(kind Kind, r *http.Request) Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.onRequest != nil {
		f.onRequest(kind)
	}
	for _, a := range f.faults {
		if a.On != kind || !strings.Contains(r.URL.RequestURI(), a.Matching) {
			continue
		}
		a.seen++
		if a.seen > a.After && (a.Times < 0 || a.struck < a.Times) {
			a.struck++
			return a.Do
		}
	}
	return nil
}

// Answer answers with an error body after reading the request's body.
func Answer(status int, code, message string) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		refuse(w, r, status, code, message)
	}
}

// BadGateway answers in HTML, like the load balancer in front of GHCR.
func BadGateway() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html><head><title>502 Bad Gateway</title></head></html>")
	}
}

// TooMany answers 429 with the delay in the body, in GHCR's format.
func TooMany(after time.Duration) Action {
	return Answer(http.StatusTooManyRequests, "TOOMANYREQUESTS", "retry-after: "+after.String()+", allowed: 44000/minute")
}

// TooManyHeader answers 429 with the delay in a header.
func TooManyHeader(seconds string) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Retry-After", seconds)
		refuse(w, r, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests")
	}
}

// SecondaryLimit answers with the one kind of 403 that is temporary.
func SecondaryLimit() Action {
	return Answer(http.StatusForbidden, "DENIED", "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
}

// LostSession answers that the upload does not exist.
func LostSession() Action {
	return Answer(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

// Reset cuts the connection after reading this many bytes of the body.
func Reset(after int64) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, after)
		cut(w)
	}
}

// Unanswered executes the request and then cuts the connection instead of
// answering.
func Unanswered() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&blackHole{header: http.Header{}}, r)
		cut(w)
	}
}

// Vanish accepts an upload, and then reports the blob as missing for a number
// of requests.
func Vanish(looks int) Action {
	return func(f *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		f.Hide(digestOf(r), looks)
		next.ServeHTTP(w, r)
	}
}

// Swallow reports that an upload is complete and discards it.
func Swallow() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Docker-Content-Digest", digestOf(r))
		w.WriteHeader(http.StatusCreated)
	}
}

// Expire invalidates all bearer tokens, including that of this request.
func Expire() Action {
	return func(f *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		f.ExpireTokens()
		next.ServeHTTP(w, r)
	}
}

// Early answers without reading the body, and closes the connection.
func Early(status int, code, message string) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Connection", "close")
		refuse(w, r, status, code, message)
	}
}

// Slow waits for the channel or the client before it answers.
func Slow(until <-chan struct{}) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-until:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Garbage answers 200 with a body that no registry sends, like a captive
// portal.
func Garbage() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Welcome to the hotel's network</html>")
	}
}

func drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// cut closes the connection, with a reset if it is TCP.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // an HTTP/2 connection cannot be hijacked
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

type blackHole struct{ header http.Header }

func (b *blackHole) Header() http.Header         { return b.header }
func (b *blackHole) Write(p []byte) (int, error) { return len(p), nil }
func (b *blackHole) WriteHeader(int)             {}
