package ghcr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
)

// maxChunk is the largest Content-Range that GHCR accepts in one PATCH.
const maxChunk = 4 << 20

// limited adds GHCR's limits, which the registry behind it does not have.
func (f *Front) limited(w http.ResponseWriter, r *http.Request, kind Kind, repo, ref string) {
	switch kind {
	case UploadCancel:
		refuse(w, r, http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
	case UploadChunk:
		var from, to int64
		if n, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-%d", &from, &to); err == nil && n == 2 && to-from+1 > maxChunk {
			refuse(w, r, http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "Content-Range is too large")
			return
		}
		f.opts.Upstream.ServeHTTP(w, r)
	case BlobHead, BlobGet:
		if f.missing(ref) {
			refuse(w, r, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
			return
		}
		f.opts.Upstream.ServeHTTP(w, r)
	case ManifestPut:
		f.manifest(w, r, repo)
	default:
		f.opts.Upstream.ServeHTTP(w, r)
	}
}

// Hide makes a blob appear missing for a number of requests, as happens on
// GHCR shortly after an upload.
func (f *Front) Hide(digest string, looks int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hidden[digest] = looks
}

func (f *Front) missing(digest string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hidden[digest] == 0 {
		return false
	}
	f.hidden[digest]--
	return true
}

// manifest refuses a manifest that names missing content, which the registry
// behind might accept.
func (f *Front) manifest(w http.ResponseWriter, r *http.Request, repo string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxChunk+1))
	if err != nil {
		return // the client has gone away
	}
	if len(body) > maxChunk {
		refuse(w, r, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "manifest is too large")
		return
	}
	type descriptor struct{ Digest string }
	var m struct {
		Config    *descriptor
		Layers    []descriptor
		Manifests []descriptor
	}
	if err := json.Unmarshal(body, &m); err != nil {
		refuse(w, r, http.StatusBadRequest, "MANIFEST_INVALID", "manifest invalid")
		return
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, b := range blobs {
		if f.missing(b.Digest) || !f.opts.UpstreamVerifies && !f.has(r, "/v2/"+repo+"/blobs/"+b.Digest) {
			refuse(w, r, http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "manifest references an unknown blob: "+b.Digest)
			return
		}
	}
	for _, d := range m.Manifests {
		if !f.opts.UpstreamVerifies && !f.has(r, "/v2/"+repo+"/manifests/"+d.Digest) {
			refuse(w, r, http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "manifest references an unknown manifest: "+d.Digest)
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	f.opts.Upstream.ServeHTTP(w, r)
}

// has checks the registry behind the front.
func (f *Front) has(r *http.Request, path string) bool {
	req := r.Clone(r.Context())
	req.Method, req.Body, req.ContentLength = http.MethodHead, http.NoBody, 0
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = path, "", ""
	req.RequestURI = ""
	req.Header = http.Header{"Accept": {"*/*",
		"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json"}}
	rec := httptest.NewRecorder()
	f.opts.Upstream.ServeHTTP(rec, req)
	return rec.Code == http.StatusOK
}

// recorder records the status for the list of requests.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController access to the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Flush passes on the parts of a proxied answer.
func (r *recorder) Flush() {
	if fl, ok := r.ResponseWriter.(http.Flusher); ok {
		fl.Flush()
	}
}

type countedBody struct {
	io.ReadCloser
	n atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

// digestOf returns the digest in an upload's last request.
func digestOf(r *http.Request) string { return strings.TrimSpace(r.URL.Query().Get("digest")) }
