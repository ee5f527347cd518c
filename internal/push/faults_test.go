package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
)

// point is a request that a push makes.
type point struct {
	name string
	kind ghcr.Kind
	// matching is the part of the address that identifies the request among those of
	// its kind.
	matching string
	// first, if set, is another fault to inject before, so that the push makes this
	// request.
	first *ghcr.Fault
	// spared means that the push can do without this request's answer.
	spared bool
	// once means that a push makes this request only once, so that no later one can
	// fail.
	once bool
	// base means that the layers of the base may be mounted.
	base bool
}

// points lists all kinds of requests that a push makes.
var points = []point{
	{name: "token", kind: ghcr.Token, once: true},
	{name: "POST", kind: ghcr.UploadStart},
	{name: "POST of a mount from itself", kind: ghcr.UploadStart, matching: "from=" + testUser + "%2Fworker", spared: true},
	{name: "POST of a mount from the base", kind: ghcr.UploadStart, matching: "from=" + testUser + "%2Fbase", spared: true, once: true, base: true},
	{name: "POST with content", kind: ghcr.UploadStart, matching: "?digest=", spared: true, once: true},
	{name: "PUT of content", kind: ghcr.UploadFinish},
	{name: "HEAD of a blob", kind: ghcr.BlobHead, spared: true,
		first: &ghcr.Fault{On: ghcr.ManifestPut, Do: ghcr.Answer(404, "MANIFEST_BLOB_UNKNOWN", "manifest references an unknown blob")}},
	{name: "HEAD of TAG", kind: ghcr.ManifestHead, matching: "/manifests/v1", once: true},
	{name: "HEAD of the digest", kind: ghcr.ManifestHead, matching: "/manifests/sha256:", once: true},
	{name: "GET of latest", kind: ghcr.ManifestGet, matching: "/manifests/latest", spared: true, once: true},
	{name: "GET of its images", kind: ghcr.ManifestGet, matching: "/manifests/sha256:", spared: true, once: true},
	{name: "PUT of an image", kind: ghcr.ManifestPut, matching: "/manifests/sha256:"},
	{name: "PUT of TAG", kind: ghcr.ManifestPut, matching: "/manifests/v1", once: true},
	{name: "PUT of latest", kind: ghcr.ManifestPut, matching: "/manifests/latest", once: true},
}

// atLeast is how many faults are injected at each point.
const atLeast = 15

// faults lists what may go wrong at a registry, with the codes that a push may
// fail with if the fault occurs once, and if it occurs always. "" stands for a
// push that succeeds.
var faults = []struct {
	name         string
	do           ghcr.Action
	only         []ghcr.Kind // empty: everywhere
	at           string      // part of the points' names; empty: all of those kinds
	once, always []string
}{
	{name: "502 in HTML", do: ghcr.BadGateway(), once: ok, always: failed},
	{name: "503", do: ghcr.Answer(503, "UNAVAILABLE", "service unavailable"), once: ok, always: failed},
	{name: "500 unknown", do: ghcr.Answer(500, "UNKNOWN", "unknown error"), once: ok, always: failed},
	{name: "504", do: ghcr.Answer(504, "", ""), once: ok, always: failed},
	{name: "408", do: ghcr.Answer(408, "", ""), once: ok, always: failed},
	{name: "429 with the delay in the body", do: ghcr.TooMany(10300 * time.Microsecond), once: ok, always: []string{"registry-rate-limit"}},
	{name: "429 with the delay in the header", do: ghcr.TooManyHeader("3"), once: ok, always: []string{"registry-rate-limit"}},
	{name: "403 secondary rate limit", do: ghcr.SecondaryLimit(), once: ok, always: []string{"", "registry-rate-limit"}}, // "" at a HEAD, which a GET replaces
	{name: "reset at once", do: ghcr.Reset(0), once: ok, always: []string{"registry-unreachable"}},
	{name: "reset within the body", do: ghcr.Reset(1000), once: ok, always: []string{"registry-unreachable"}},
	{name: "done but not answered", do: ghcr.Unanswered(), once: ok, always: []string{"", "registry-unreachable"}},
	{name: "bearers end", do: ghcr.Expire(), once: ok, always: []string{"", "registry-denied"}},
	{name: "401 before the body is read", do: ghcr.Early(401, "UNAUTHORIZED", "authentication required"), only: notToken,
		once: []string{"", "registry-denied"}, always: []string{"registry-denied", "registry-unreachable"}},
	{name: "502 before the body is read", do: ghcr.Early(502, "", ""), once: ok, always: []string{"registry-failed", "registry-unreachable"}},
	{name: "upload session lost", do: ghcr.LostSession(), only: []ghcr.Kind{ghcr.UploadFinish}, once: ok, always: []string{"upload-lost"}},
	{name: "upload invalid", do: ghcr.Answer(400, "BLOB_UPLOAD_INVALID", "blob upload invalid"), only: []ghcr.Kind{ghcr.UploadFinish}, once: ok, always: []string{"upload-lost"}},
	{name: "range not satisfiable", do: ghcr.Answer(416, "BLOB_UPLOAD_INVALID", "range"), only: []ghcr.Kind{ghcr.UploadFinish}, once: ok, always: []string{"upload-lost"}},
	{name: "digest invalid", do: ghcr.Answer(400, "DIGEST_INVALID", "provided digest did not match uploaded content"), only: []ghcr.Kind{ghcr.UploadFinish}, once: ok, always: []string{"upload-damaged"}},
	{name: "uploaded and unknown for a while", do: ghcr.Vanish(3), only: []ghcr.Kind{ghcr.UploadFinish}, once: ok, always: []string{"", "upload-lost"}},
	{name: "uploaded and thrown away", do: ghcr.Swallow(), only: []ghcr.Kind{ghcr.UploadFinish}, once: ok, always: []string{"upload-lost"}},
	{name: "MANIFEST_BLOB_UNKNOWN", do: ghcr.Answer(404, "MANIFEST_BLOB_UNKNOWN", "manifest references an unknown blob"), only: []ghcr.Kind{ghcr.ManifestPut}, once: ok, always: []string{"upload-lost"}},
	{name: "BLOB_UNKNOWN at the manifest", do: ghcr.Answer(400, "BLOB_UNKNOWN", "blob unknown to registry"), only: []ghcr.Kind{ghcr.ManifestPut}, once: ok, always: []string{"upload-lost"}},
	{name: "manifest taken and not readable", do: ghcr.Answer(404, "MANIFEST_UNKNOWN", "manifest unknown"), only: []ghcr.Kind{ghcr.ManifestHead}, at: "digest", once: ok, always: []string{"tag-unreadable"}},
	{name: "scope missing", do: ghcr.Answer(403, "DENIED", "permission_denied: The token provided does not match expected scopes."), once: []string{"", "token-scope"}, always: []string{"", "token-scope"}},
	{name: "package not granted", do: ghcr.Answer(403, "DENIED", "permission_denied: write_package"), once: []string{"", "package-permission"}, always: []string{"", "package-permission"}},
	{name: "organisation forbids", do: ghcr.Answer(403, "DENIED", "installation not allowed to Create organization package"), once: []string{"", "organization-policy"}, always: []string{"", "organization-policy"}},
	{name: "manifest refused", do: ghcr.Answer(400, "MANIFEST_INVALID", "manifest invalid"), only: []ghcr.Kind{ghcr.ManifestPut}, once: []string{"registry-refused", "tag-not-moved"}, always: []string{"registry-refused"}},
	{name: "a captive portal", do: ghcr.Garbage(), once: []string{"", "registry-garbled"}, always: []string{"", "registry-garbled"}},
}

var (
	ok       = []string{""}
	failed   = []string{"registry-failed"}
	notToken = []ghcr.Kind{ghcr.UploadStart, ghcr.UploadFinish, ghcr.BlobHead, ghcr.ManifestHead, ghcr.ManifestGet, ghcr.ManifestPut}
)

// TestFaults injects each fault at each kind of request: at the first one, at a
// later one, and at all of them. Whatever happens, a push that reports success
// has succeeded, a refusal gives its reason, and no tag points to something
// incomplete.
func TestFaults(t *testing.T) {
	fix := newFixture(t)
	for _, at := range points {
		n := 0
		for _, f := range faults {
			if len(f.only) > 0 && !slices.Contains(f.only, at.kind) || !strings.Contains(at.name, f.at) {
				continue
			}
			n++
			for _, when := range []struct {
				name         string
				after, times int
				ends         []string
			}{{"first", 0, 1, f.once}, {"later", 1, 1, f.once}, {"always", 0, -1, f.always}} {
				if at.once && when.name == "later" {
					continue
				}
				t.Run(strings.ReplaceAll(fmt.Sprintf("%s/%s/%s", at.name, f.name, when.name), " ", "_"), func(t *testing.T) {
					t.Parallel()
					fault := ghcr.Fault{On: at.kind, Matching: at.matching, Do: f.do, After: when.after, Times: when.times}
					fix.strike(t, at, fault, when.ends)
				})
			}
		}
		if n < atLeast {
			t.Errorf("%s: %d faults, want %d", at.name, n, atLeast)
		}
	}
}

// fixture is a layout with two indexes that share a base: one that is published,
// and one still to be published.
type fixture struct{ dir, base, old, digest string }

func newFixture(t *testing.T) fixture {
	f := fixture{dir: tempLayout(t)}
	shared, base := layers(1, 1000, 8000), layers(4, 9000)
	f.base = makeImage(t, f.dir, base...)
	f.old = makeIndexBeside(t, f.dir, map[string]v1.Image{"linux/arm64": buildImage(t, "linux/arm64", shared...)})
	f.digest = makeIndexBeside(t, f.dir, map[string]v1.Image{
		"linux/arm64": buildImage(t, "linux/arm64", slices.Concat(shared, base, layers(2, 7500, 800))...),
		"linux/amd64": buildImage(t, "linux/amd64", slices.Concat(shared, layers(3, 7000))...),
	})
	return f
}

// strike publishes the base and one image, and then the other image while the
// fault occurs.
func (f fixture) strike(t *testing.T, at point, fault ghcr.Fault, ends []string) {
	h := newHarness(t)
	dir, old, digest := f.dir, f.old, f.digest
	if at.base {
		h.prepare(t, h.repo.Registry.Repo(testUser+"/base"), Job{Layout: dir, Digest: f.base, Tags: []string{"v0"}})
	}
	h.prepare(t, h.repo, Job{Layout: dir, Digest: old, Tags: []string{"v0", Latest}})
	want := 1
	if at.first != nil {
		h.front.Inject(*at.first)
		want++
	}
	h.front.Inject(fault)
	o := h.options()
	o.Tries, o.Jobs, o.single = 6, 2, 2000
	if at.base {
		o.MountFrom = []string{testUser + "/base"}
	}
	p := New(o)
	job := Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}}
	found, err := p.Preflight(t.Context(), job.Tags, is(digest), false)
	if err == nil {
		for _, f := range found {
			err = errors.Join(err, f)
		}
	}
	if err == nil {
		_, err = p.Push(t.Context(), job, nil)
	}
	if got := h.front.Struck(); got < want {
		t.Errorf("the fault occurred %d times, want %d: the push did not reach that request", got, want)
	}
	h.front.Disarm()
	code := ""
	if err != nil {
		fs := pipeline.AsFindings("push", err)
		code = string(fs[0].Code)
		if fs[0].What == "" || fs[0].Why == "" || fs[0].Fix == "" || strings.ContainsAny(err.Error(), "\n\r") && len(fs) == 1 {
			t.Errorf("not a clear refusal: %v", err)
		}
		if strings.Contains(err.Error(), testToken) {
			t.Errorf("the token is in the error: %v", err)
		}
	}
	ends = slices.Clone(ends)
	if at.spared {
		ends = append(ends, "")
	}
	if at.matching == "/manifests/latest" && at.kind == ghcr.ManifestPut {
		for i, end := range ends {
			if end != "" {
				ends[i] = "tag-not-moved" // TAG is published, which the finding mentions
			}
		}
	}
	if !slices.Contains(ends, code) {
		t.Errorf("ended with %q (%v), want one of %q", code, err, ends)
	}
	tag, latest := h.digestOf(t, "v1"), h.digestOf(t, Latest)
	switch {
	case err == nil && (tag != digest || latest != digest):
		t.Errorf("success was reported, but v1 is %q and latest %q, want %s", tag, latest, digest)
	case tag != "" && tag != digest:
		t.Errorf("v1 points to %s, which nobody pushed", tag)
	case latest != old && latest != digest:
		t.Errorf("latest points to %s", latest)
	case latest == digest && tag != digest:
		t.Error("latest was moved before v1 existed")
	}
	if tag != "" {
		h.walk(t, "v1")
	}
	h.walk(t, Latest)
}

// TestFaultsSendNothingTwice checks that what has arrived is not sent again
// when something else fails.
func TestFaultsSendNothingTwice(t *testing.T) {
	h := newHarness(t)
	dir := tempLayout(t)
	sizes := []int{500_000, 400_000, 300_000, 200_000}
	digest := makeImage(t, dir, layers(1, sizes...)...)
	h.front.Inject(
		ghcr.Fault{On: ghcr.UploadFinish, After: 1, Do: ghcr.Unanswered()},
		ghcr.Fault{On: ghcr.UploadFinish, After: 2, Do: ghcr.Expire()},
		ghcr.Fault{On: ghcr.UploadStart, After: 2, Do: ghcr.BadGateway()},
		ghcr.Fault{On: ghcr.ManifestPut, Do: ghcr.BadGateway()},
	)
	o := h.options()
	o.Jobs = 1
	mustPush(t, h, New(o), Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}}, nil)
	arrived := map[string]int{}
	for _, r := range h.front.Requests() {
		if r.Kind == ghcr.UploadFinish && r.Sent >= 100_000 && r.Status != http.StatusUnauthorized {
			arrived[r.Query]++
		}
	}
	for q, n := range arrived {
		if n > 1 {
			t.Errorf("%s was sent %d times", q, n)
		}
	}
	if h.front.Struck() < 4 {
		t.Errorf("only %d faults occurred", h.front.Struck())
	}
}

// TestInterrupted interrupts a push at each of its requests. The push ends with
// the interrupt, and TAG is untouched or complete.
func TestInterrupted(t *testing.T) {
	at := 0
	for interrupt(t, at) {
		at++
	}
	if at < 10 {
		t.Errorf("a push finished after %d requests", at)
	}
}

func interrupt(t *testing.T, at int) (interrupted bool) {
	h := newHarness(t)
	dir := tempLayout(t)
	old := makeImage(t, dir, layers(1, 1000)...)
	h.prepare(t, h.repo, Job{Layout: dir, Digest: old, Tags: []string{"v0", Latest}})
	digest := makeImage(t, dir, layers(2, 100_000, 200_000)...)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	n := 0
	h.front.OnRequest(func(ghcr.Kind) {
		if n++; n == at+1 {
			cancel(pipeline.ErrInterrupted)
		}
	})
	o := h.options()
	o.Jobs = 2
	p := New(o)
	job := Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}}
	_, err := p.Preflight(ctx, job.Tags, is(digest), false)
	if err == nil {
		_, err = p.Push(ctx, job, nil)
	}
	h.front.OnRequest(nil)
	if err == nil {
		return false
	}
	if !errors.Is(err, pipeline.ErrInterrupted) {
		t.Errorf("request %d: ended with %v", at, err)
	}
	if h.digestOf(t, "v1") != "" {
		h.walk(t, "v1")
	}
	h.walk(t, Latest)
	// The next run finishes.
	mustPush(t, h, New(h.options()), job, nil)
	return true
}
