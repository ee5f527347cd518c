// Package ghcr puts a front that behaves like GHCR before any registry: GHCR's
// token endpoint, scopes, refusals (word for word) and limits. The registry
// behind it stores the data. Tests use go-containerregistry's registry for
// that, and the sandbox a real one.
//
// # What it does like GHCR
//
// Bearer tokens are opaque and expire. The realm is /token on the same host. A
// package is private unless Options.Public lists it. A refused HEAD has no
// body. An upload cannot be cancelled (405). A PATCH with a Content-Range of
// more than 4 MiB is answered with 416. A name with upper-case letters is
// refused. A manifest is refused while something that it names is missing.
//
// # To add a fault
//
// Write a function that returns an Action (faults.go), and inject it with a
// Fault, which says what kind of request it affects, how many of these pass
// first, and how many are affected.
package ghcr

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Account is the owner of a token.
type Account struct {
	Login string
	// Scopes are the token's OAuth scopes; only read:packages and
	// write:packages matter here.
	Scopes []string
	// App marks an installation's token, which GHCR refuses with other words.
	App bool
	// Owners are further owners (organisations) whose packages it may write.
	Owners []string
	// Denied lists packages (owner/name) of its own owners that it may read
	// but not write.
	Denied []string
}

// Options configure a Front.
type Options struct {
	// Upstream is the registry that stores the data; see Proxy for a remote
	// one.
	Upstream http.Handler
	// UpstreamVerifies says that the upstream itself refuses a manifest that
	// names missing content.
	UpstreamVerifies bool
	// Accounts maps tokens to their accounts. The user name is not compared:
	// GHCR accepts any user name with a valid token.
	Accounts map[string]Account
	// Public lists packages (owner/name) that anyone may read.
	Public []string
	// TokenTTL is how long a bearer token is valid; 0 means five minutes.
	TokenTTL time.Duration
	// Service is the service that the challenge names; empty means the Host.
	Service string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Front is an http.Handler.
type Front struct {
	opts Options

	mu      sync.Mutex
	bearers map[string]grant
	faults  []*armed
	log     []Request
	hidden  map[string]int // maps a digest to the number of requests that still find it missing

	onRequest func(Kind)
}

type grant struct {
	account Account
	anon    bool
	ends    time.Time
	repos   map[string]string // maps owner/name to actions
}

// New creates a Front.
func New(o Options) *Front {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TokenTTL == 0 {
		o.TokenTTL = 5 * time.Minute
	}
	return &Front{opts: o, bearers: map[string]grant{}, hidden: map[string]int{}}
}

// Proxy returns a handler for an upstream that is reached by its URL.
func Proxy(upstream *url.URL) http.Handler {
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(upstream)
		// The registry builds its upload locations from the Host of the
		// request.
		r.Out.Host = r.In.Host
		r.Out.Header.Del("Authorization")
	}}
	p.Transport = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	p.FlushInterval = -1
	return p
}

// Request is one request that has reached the front.
type Request struct {
	Kind   Kind
	Method string
	Path   string
	Query  string
	Status int
	Login  string // empty if anonymous
	Sent   int64  // the number of bytes of the body that were read
}

// Requests returns the requests so far.
func (f *Front) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Forget clears the list of requests.
func (f *Front) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}

// Bearers returns all valid bearer tokens.
func (f *Front) Bearers() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.bearers))
}

// ExpireTokens invalidates all bearer tokens.
func (f *Front) ExpireTokens() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.bearers)
}

// ServeHTTP answers like GHCR.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, repo, ref := classify(r)
	rec := &recorder{ResponseWriter: w}
	body := &countedBody{ReadCloser: r.Body}
	r.Body = body
	login := ""
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.log = append(f.log, Request{
			Kind: kind, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
			Status: rec.status, Login: login, Sent: body.n.Load(),
		})
	}()
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		login = f.serve(w, r, kind, repo, ref)
	})
	if act := f.strikes(kind, r); act != nil {
		act(f, rec, r, next)
		return
	}
	next(rec, r)
}

func (f *Front) serve(w http.ResponseWriter, r *http.Request, kind Kind, repo, ref string) (login string) {
	if kind == Token {
		return f.token(w, r)
	}
	g, ok := f.bearer(r)
	if !ok {
		f.challenge(w, r, repo, kind)
		return ""
	}
	if kind == Ping {
		w.WriteHeader(http.StatusOK)
		return g.account.Login
	}
	if repo != strings.ToLower(repo) {
		refuse(w, r, http.StatusBadRequest, "NAME_INVALID", "invalid repository name: must be lowercase")
		return g.account.Login
	}
	if !f.allowed(w, r, g, kind, repo) {
		return g.account.Login
	}
	if from := r.URL.Query().Get("from"); from != "" && !f.mayMount(g, repo, from) {
		r.URL.RawQuery = "" // a blob that may not be mounted is uploaded instead
	}
	f.limited(w, r, kind, repo, ref)
	return g.account.Login
}

// token exchanges the Basic credential user:token for a bearer token.
func (f *Front) token(w http.ResponseWriter, r *http.Request) (login string) {
	if r.Method != http.MethodGet {
		// This is the OAuth2 form of the exchange, a POST, which containerd
		// tries first.
		refuse(w, r, http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
		return ""
	}
	_, secret, has := r.BasicAuth()
	g := grant{anon: !has, ends: f.opts.Now().Add(f.opts.TokenTTL), repos: map[string]string{}}
	if has {
		if g.account, has = f.opts.Accounts[secret]; !has {
			refuse(w, r, http.StatusForbidden, "DENIED", "denied")
			return ""
		}
	}
	for _, scope := range r.URL.Query()["scope"] {
		for one := range strings.FieldsSeq(scope) {
			if p := strings.Split(one, ":"); len(p) == 3 && p[0] == "repository" {
				g.repos[p[1]] = p[2]
			}
		}
	}
	if g.anon {
		for repo, actions := range g.repos {
			if !slices.Contains(f.opts.Public, repo) || strings.Contains(actions, "push") {
				refuse(w, r, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
				return ""
			}
		}
	}
	secret32 := make([]byte, 32)
	if _, err := rand.Read(secret32); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return ""
	}
	bearer := base64.RawURLEncoding.EncodeToString(secret32)
	f.mu.Lock()
	f.bearers[bearer] = g
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"token": bearer})
	return g.account.Login
}

func (f *Front) bearer(r *http.Request) (grant, bool) {
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return grant{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g, ok := f.bearers[bearer]
	return g, ok && f.opts.Now().Before(g.ends)
}

func (f *Front) challenge(w http.ResponseWriter, r *http.Request, repo string, kind Kind) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	service := f.opts.Service
	if service == "" {
		service = r.Host
	}
	scope := "repository:user/image:pull"
	if repo != "" {
		scope = "repository:" + repo + ":pull"
		if kind.writes() {
			scope += ",push"
		}
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s://%s/token",service="%s",scope="%s"`, scheme, r.Host, service, scope))
	refuse(w, r, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
}

// allowed compares a grant with the request, and refuses in GHCR's words.
func (f *Front) allowed(w http.ResponseWriter, r *http.Request, g grant, kind Kind, repo string) bool {
	owner, _, _ := strings.Cut(repo, "/")
	own := strings.EqualFold(owner, g.account.Login) || slices.Contains(g.account.Owners, owner)
	write := slices.Contains(g.account.Scopes, "write:packages")
	read := write || slices.Contains(g.account.Scopes, "read:packages")
	const scopes = "permission_denied: The token provided does not match expected scopes."
	switch {
	case kind.writes() && !strings.Contains(g.repos[repo], "push"):
		refuse(w, r, http.StatusForbidden, "DENIED", "permission_denied: write_package")
	case kind.writes() && g.account.App && !own:
		refuse(w, r, http.StatusForbidden, "DENIED", "installation not allowed to Create organization package")
	case kind.writes() && !write:
		refuse(w, r, http.StatusForbidden, "DENIED", scopes)
	case kind.writes() && (!own || slices.Contains(g.account.Denied, repo)):
		refuse(w, r, http.StatusForbidden, "DENIED", "permission_denied: write_package")
	case kind.writes(), slices.Contains(f.opts.Public, repo):
		return true
	case g.anon:
		refuse(w, r, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	case !read:
		refuse(w, r, http.StatusForbidden, "DENIED", scopes)
	case !own:
		refuse(w, r, http.StatusForbidden, "DENIED", "permission_denied: read_package")
	default:
		return true
	}
	return false
}

// mayMount reports whether the bearer token was requested with read access to
// the source, and its owner has that access.
func (f *Front) mayMount(g grant, repo, from string) bool {
	owner, _, _ := strings.Cut(from, "/")
	own := strings.EqualFold(owner, g.account.Login) || slices.Contains(g.account.Owners, owner)
	return from == repo || strings.Contains(g.repos[from], "pull") && (own || slices.Contains(f.opts.Public, from))
}

// refuse writes an error body in the format of the distribution specification;
// a HEAD gets none.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"errors": []map[string]string{{"code": code, "message": message}},
		})
	}
}

// Kind is the purpose of a request.
type Kind string

// These are the kinds of requests.
const (
	Token        Kind = "token"
	Ping         Kind = "ping"
	UploadStart  Kind = "upload-start"  // POST; also a mount or a single POST
	UploadChunk  Kind = "upload-chunk"  // PATCH
	UploadFinish Kind = "upload-finish" // PUT
	UploadCancel Kind = "upload-cancel" // DELETE
	UploadStatus Kind = "upload-status" // GET
	BlobHead     Kind = "blob-head"
	BlobGet      Kind = "blob-get"
	ManifestHead Kind = "manifest-head"
	ManifestGet  Kind = "manifest-get"
	ManifestPut  Kind = "manifest-put"
	ManifestDel  Kind = "manifest-delete"
	Tags         Kind = "tags"
	Other        Kind = "other"
)

func (k Kind) writes() bool {
	switch k {
	case UploadStart, UploadChunk, UploadFinish, UploadCancel, UploadStatus, ManifestPut, ManifestDel:
		return true
	}
	return false
}

var pathRE = regexp.MustCompile(`^/v2/(.+)/(blobs/uploads|blobs|manifests|tags)/(.*)$`)

func classify(r *http.Request) (k Kind, repo, ref string) {
	switch r.URL.Path {
	case "/token":
		return Token, "", ""
	case "/v2/", "/v2":
		return Ping, "", ""
	}
	m := pathRE.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return Other, "", ""
	}
	kinds := map[string]Kind{
		"POST blobs/uploads": UploadStart, "PATCH blobs/uploads": UploadChunk, "PUT blobs/uploads": UploadFinish,
		"DELETE blobs/uploads": UploadCancel, "GET blobs/uploads": UploadStatus,
		"HEAD blobs": BlobHead, "GET blobs": BlobGet,
		"HEAD manifests": ManifestHead, "GET manifests": ManifestGet, "PUT manifests": ManifestPut, "DELETE manifests": ManifestDel,
		"GET tags": Tags,
	}
	k, ok := kinds[r.Method+" "+m[2]]
	if !ok {
		k = Other
	}
	return k, m[1], m[3]
}
