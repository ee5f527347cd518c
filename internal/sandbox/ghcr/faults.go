package ghcr

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Fault strikes at a kind of request.
type Fault struct {
	On Kind
	// Matching, when set, must be part of the request's path and query.
	Matching string
	// After is how many matching requests go by first.
	After int
	// Times is how often it strikes then; once when zero, always when negative.
	Times int
	Do    Action
}

// Action answers in place of the front, or lets next answer and spoils that.
type Action func(f *Front, w http.ResponseWriter, r *http.Request, next http.Handler)

type armed struct {
	Fault
	seen, struck int
}

// Inject arms a fault.
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

// Disarm takes all faults away.
func (f *Front) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
	clear(f.hidden)
}

// OnRequest calls do as each request comes in, one at a time; nil ends that.
func (f *Front) OnRequest(do func(Kind)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onRequest = do
}

// Struck is how often faults struck so far.
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

// Answer answers with an error body, after reading what was sent.
func Answer(status int, code, message string) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		refuse(w, r, status, code, message)
	}
}

// BadGateway answers as the load balancer before GHCR does, in HTML.
func BadGateway() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html><head><title>502 Bad Gateway</title></head></html>")
	}
}

// TooMany answers 429 with the delay in the body, as GHCR writes it.
func TooMany(after time.Duration) Action {
	return Answer(http.StatusTooManyRequests, "TOOMANYREQUESTS", "retry-after: "+after.String()+", allowed: 44000/minute")
}

// TooManyHeader answers 429 with the delay in the header.
func TooManyHeader(seconds string) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Retry-After", seconds)
		refuse(w, r, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests")
	}
}

// SecondaryLimit answers the one 403 that passes.
func SecondaryLimit() Action {
	return Answer(http.StatusForbidden, "DENIED", "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
}

// LostSession answers that there is no such upload.
func LostSession() Action {
	return Answer(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

// Reset cuts the connection after reading so many bytes of the body.
func Reset(after int64) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, after)
		cut(w)
	}
}

// Unanswered does what is asked and cuts the connection instead of saying so.
func Unanswered() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&blackHole{header: http.Header{}}, r)
		cut(w)
	}
}

// Vanish takes an upload and then does not know the blob for some looks.
func Vanish(looks int) Action {
	return func(f *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		f.Hide(digestOf(r), looks)
		next.ServeHTTP(w, r)
	}
}

// Swallow says that an upload is done and throws it away.
func Swallow() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Docker-Content-Digest", digestOf(r))
		w.WriteHeader(http.StatusCreated)
	}
}

// Expire ends all bearers, this request's too.
func Expire() Action {
	return func(f *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		f.ExpireTokens()
		next.ServeHTTP(w, r)
	}
}

// Early answers without reading the body, and closes.
func Early(status int, code, message string) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Connection", "close")
		refuse(w, r, status, code, message)
	}
}

// Slow waits for the channel, or the client, before it answers.
func Slow(until <-chan struct{}) Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-until:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Garbage answers 200 with something that no registry sends: a captive portal.
func Garbage() Action {
	return func(_ *Front, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		drain(r)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>Welcome to the hotel's network</html>")
	}
}

func drain(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }

// cut closes the connection with a reset where it is TCP.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 has no connection to take over
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
