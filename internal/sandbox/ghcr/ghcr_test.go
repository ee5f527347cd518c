package ghcr

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	writer, reader, bare, app, other = "ghp_writer", "ghp_reader", "ghp_bare", "ghs_app", "ghp_other"
)

func start(t *testing.T, o Options) (*Front, *httptest.Server) {
	t.Helper()
	o.Upstream = registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	o.Accounts = map[string]Account{
		writer: {Login: "joel", Scopes: []string{"write:packages"}, Denied: []string{"joel/locked"}},
		reader: {Login: "joel", Scopes: []string{"read:packages"}},
		bare:   {Login: "joel", Scopes: []string{"repo"}},
		app:    {Login: "joel", App: true, Scopes: []string{"write:packages"}},
		other:  {Login: "someone", Scopes: []string{"write:packages"}},
	}
	f := New(o)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return f, srv
}

func bearer(t *testing.T, srv *httptest.Server, token, scope string) (string, int) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, srv.URL+"/token?service=ghcr.io&scope="+scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.SetBasicAuth("anyone", token)
	}
	status, body := do(t, req)
	var b struct{ Token string }
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Fatal(err)
	}
	return b.Token, status
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func ask(t *testing.T, srv *httptest.Server, method, path, token, scope, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if scope != "" {
		b, status := bearer(t, srv, token, scope)
		if status != http.StatusOK {
			t.Fatalf("token: %d", status)
		}
		req.Header.Set("Authorization", "Bearer "+b)
	}
	return do(t, req)
}

// TestRefusals checks GHCR's words, which other packages use to distinguish
// causes.
func TestRefusals(t *testing.T) {
	_, srv := start(t, Options{Public: []string{"joel/public"}})
	const up, pull = "/v2/joel/worker/blobs/uploads/", "repository:joel/worker:pull"
	const push = pull + ",push"
	for _, c := range []struct {
		name, method, path, token, scope string
		status                           int
		says                             string
	}{
		{"no bearer", "POST", up, "", "", 401, "authentication required"},
		{"write", "POST", up, writer, push, 202, ""},
		{"no scope", "POST", up, bare, push, 403, "permission_denied: The token provided does not match expected scopes"},
		{"only read", "POST", up, reader, push, 403, "permission_denied: The token provided does not match expected scopes"},
		{"a bearer for reading", "POST", up, writer, pull, 403, "permission_denied: write_package"},
		{"not granted", "POST", "/v2/joel/locked/blobs/uploads/", writer, "repository:joel/locked:pull,push", 403, "permission_denied: write_package"},
		{"someone else's", "POST", up, other, push, 403, "permission_denied: write_package"},
		{"an App in an organisation", "POST", "/v2/org/worker/blobs/uploads/", app, "repository:org/worker:pull,push", 403, "installation not allowed to Create organization package"},
		{"private", "GET", "/v2/joel/worker/manifests/v1", other, pull, 403, "read_package"},
		{"read", "GET", "/v2/joel/worker/manifests/v1", reader, pull, 404, "NAME_UNKNOWN"},
		{"a HEAD has no body", "HEAD", "/v2/joel/worker/blobs/sha256:0", bare, pull, 403, ""},
		{"upper case", "POST", "/v2/Joel/Worker/blobs/uploads/", writer, push, 400, "NAME_INVALID"},
		{"cancelling", "DELETE", up + "x", writer, push, 405, "UNSUPPORTED"},
		{"public", "GET", "/v2/joel/public/manifests/v1", "", "repository:joel/public:pull", 404, "NAME_UNKNOWN"},
	} {
		status, body := ask(t, srv, c.method, c.path, c.token, c.scope, "")
		if status != c.status || !strings.Contains(body, c.says) || c.method == "HEAD" && body != "" {
			t.Errorf("%s: %d %s, want %d with %q", c.name, status, body, c.status, c.says)
		}
	}
	if _, status := bearer(t, srv, "", pull); status != 401 {
		t.Errorf("requesting an anonymous token for a private package: %d", status)
	}
	if _, status := bearer(t, srv, "wrong", pull); status != 403 {
		t.Errorf("requesting a token with unknown credentials: %d", status)
	}
	if status, body := ask(t, srv, "PATCH", up+"1", writer, push, "x", "Content-Range", "0-4194304"); status != 416 {
		t.Errorf("a chunk over 4 MiB: %d %s", status, body)
	}
	if status, body := ask(t, srv, "PATCH", up+"1", writer, push, "x", "Content-Range", "0-0"); status != 202 {
		t.Errorf("a small chunk: %d %s", status, body)
	}
}

func TestBearerEnds(t *testing.T) {
	now := time.Now()
	_, srv := start(t, Options{Now: func() time.Time { return now }, TokenTTL: time.Minute})
	b, _ := bearer(t, srv, writer, "repository:joel/worker:pull,push")
	get := func() int {
		req, err := http.NewRequest(http.MethodGet, srv.URL+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b)
		status, _ := do(t, req)
		return status
	}
	if got := get(); got != 200 {
		t.Errorf("fresh: %d", got)
	}
	now = now.Add(2 * time.Minute)
	if got := get(); got != 401 {
		t.Errorf("old: %d", got)
	}
}

// TestPeerPushes checks that go-containerregistry's own client can push, and
// that a manifest whose blobs are missing is refused.
func TestPeerPushes(t *testing.T) {
	f, srv := start(t, Options{})
	repo, err := name.NewRepository(strings.TrimPrefix(srv.URL, "http://") + "/joel/worker")
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(2000, 2)
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: "joel", Password: writer})
	if err := remote.Write(repo.Tag("v1"), img, auth); err != nil {
		t.Fatal(err)
	}
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	missing := strings.ReplaceAll(string(raw), digestIn(t, img), strings.Repeat("0", 64))
	status, body := ask(t, srv, "PUT", "/v2/joel/worker/manifests/v2", writer, "repository:joel/worker:pull,push", missing,
		"Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
	if status != 404 || !strings.Contains(body, "MANIFEST_BLOB_UNKNOWN") {
		t.Errorf("a manifest with a missing layer: %d %s", status, body)
	}
	if len(f.Requests()) == 0 || f.Requests()[0].Kind == "" {
		t.Error("no requests were kept")
	}
	f.Forget()
	f.Inject(Fault{On: ManifestGet, Matching: "v1", After: 1, Times: 2, Do: Answer(500, "UNKNOWN", "x")})
	var got []int
	for range 5 {
		status, _ := ask(t, srv, "GET", "/v2/joel/worker/manifests/v1", writer, "repository:joel/worker:pull", "")
		got = append(got, status)
	}
	if want := []int{200, 500, 500, 200, 200}; len(got) != 5 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] || f.Struck() != 2 {
		t.Errorf("statuses %v after %d strikes, want %v", got, f.Struck(), want)
	}
}

func digestIn(t *testing.T, img v1.Image) string {
	t.Helper()
	ls, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := ls[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.Hex
}
