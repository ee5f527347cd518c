package image

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

func TestTags(t *testing.T) {
	h := newHarness(t)
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	var last v1.Image
	for n := 1; n <= 4; n++ {
		last = build(t, "linux/arm64", func(c *v1.ConfigFile) {
			c.Created = v1.Time{Time: day(n)}
			c.Config.Labels = map[string]string{worker.LabelRevision: fmt.Sprintf("commit%d", n), worker.LabelPublisher: user}
		})
		h.push(t, fmt.Sprintf("202601%02d-000000", n), last)
	}
	digest := h.push(t, "latest", last)
	h.push(t, "sha256-abc.sig", build(t, "linux/arm64", nil))
	o := ListOptions{CacheDir: t.TempDir()}

	h.front.Forget()
	tags, err := List(t.Context(), h.client(), o)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tag := range tags {
		names = append(names, tag.Tag)
	}
	if diff := cmp.Diff([]string{"latest", "20260104-000000", "20260103-000000", "20260102-000000", "20260101-000000"}, names); diff != "" {
		t.Fatal(diff)
	}
	if got := tags[1]; got.Digest != digest || got.Commit != "commit4" || got.Publisher != user || got.Size == 0 ||
		!got.Created.Equal(day(4)) || !slices.Equal(got.Platforms, []string{"linux/arm64"}) || got.Problem != "" {
		t.Errorf("%+v", got)
	}
	if n := count(h.front, ghcr.BlobGet); n != 4 {
		t.Errorf("%d configs were read for 4 images", n)
	}
	h.front.Forget()
	if again, err := List(t.Context(), h.client(), o); err != nil || cmp.Diff(tags, again) != "" {
		t.Errorf("from the cache: %v, %v", err, cmp.Diff(tags, again))
	}
	if n := count(h.front, ghcr.BlobGet); n != 0 {
		t.Errorf("%d configs were read again", n)
	}

	h.front.Forget()
	o.Limit = 2
	tags, err = List(t.Context(), h.client(), o)
	if err != nil || len(tags) != 2 || tags[0].Tag != "latest" || tags[1].Tag != "20260104-000000" {
		t.Errorf("limited: %+v, %v", tags, err)
	}
	if n := count(h.front, ghcr.ManifestGet); n > 3 {
		t.Errorf("%d manifests were read for 2 tags and latest", n)
	}
}

func TestTagsOfNothing(t *testing.T) {
	h := newHarness(t)
	if tags, err := List(t.Context(), h.client(), ListOptions{}); err != nil || len(tags) != 0 {
		t.Errorf("%v, %v", tags, err)
	}
	o := options()
	o.Auth = nil
	_, err := List(t.Context(), registry.New(h.repo, o), ListOptions{})
	wantCode(t, err, "image-private")
}

// TestTagsWithProblem checks that a tag that cannot be read does not hide the
// others.
func TestTagsWithProblem(t *testing.T) {
	h := newHarness(t)
	h.push(t, "good", build(t, "linux/arm64", nil))
	h.push(t, "bad", build(t, "linux/arm64", func(c *v1.ConfigFile) { c.OS = "" }))
	tags, err := List(t.Context(), h.client(), ListOptions{})
	if err != nil || len(tags) != 2 {
		t.Fatalf("%+v, %v", tags, err)
	}
	for _, tag := range tags {
		if (tag.Tag == "bad") != (tag.Problem != "") {
			t.Errorf("%+v", tag)
		}
	}
}

// TestTagsPages checks that all pages are read.
func TestTagsPages(t *testing.T) {
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("last") {
		case "":
			w.Header().Set("Link", `</v2/a/b/tags/list?last=b&n=1000>; rel="next"`)
			_, _ = io.WriteString(w, `{"name":"a/b","tags":["a","b"]}`)
		case "b":
			w.Header().Set("Link", "<"+srv.URL+`/v2/a/b/tags/list?last=c&n=1000>; rel=next`)
			_, _ = io.WriteString(w, `{"name":"a/b","tags":["c"]}`)
		default:
			_, _ = io.WriteString(w, `{"name":"a/b","tags":null}`)
		}
	}))
	defer srv.Close()
	names, err := newReader(registry.New(repository(t, srv, "a/b"), options()), "").names(t.Context())
	if err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("%v, %v", names, err)
	}
}

func count(f *ghcr.Front, kind ghcr.Kind) int {
	n := 0
	for _, r := range f.Requests() {
		if r.Kind == kind {
			n++
		}
	}
	return n
}
