package push

import (
	"slices"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
)

func mustPush(t *testing.T, h *harness, p *Pusher, j Job, rep *pipeline.Reporter) *Result {
	t.Helper()
	found, err := p.Preflight(t.Context(), j.Tags, is(j.Digest), j.Overwrite)
	if err != nil || len(found) > 0 {
		t.Fatalf("preflight: %v, %v", found, err)
	}
	res, err := p.Push(t.Context(), j, rep)
	if err != nil {
		t.Fatalf("push: %v", err)
	}
	for _, tag := range j.Tags {
		if got := h.digestOf(t, tag); got != j.Digest {
			t.Errorf("%s points to %q, want %s", tag, got, j.Digest)
		}
		h.walk(t, tag)
	}
	return res
}

func TestPush(t *testing.T) {
	h := newHarness(t)
	dir := tempLayout(t)
	digest := makeImage(t, dir, layers(1, 1000, 70_000, 300_000)...)
	c := &collector{}
	rep := pipeline.NewReporter("push", c)
	res := mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}}, rep)
	if res.Uploaded != 4 || res.Existing != 0 || res.Mounted != 0 || res.Sent < 371_000 {
		t.Errorf("result %+v", res)
	}
	if !rep.HasChanged() {
		t.Error("the change was not reported")
	}
	if s := c.states("layer 3/3"); len(s) < 3 {
		t.Errorf("layer 3/3 went through %q", s)
	}
}

// TestRequests counts the requests of a push. Unlike with GHCR, the realm is not
// known beforehand, which costs one more request.
func TestRequests(t *testing.T) {
	h := newHarness(t)
	dir := tempLayout(t)
	base := layers(1, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000)
	first := makeImage(t, dir, append(base, layers(2, 80_000)...)...)
	second := makeImage(t, dir, append(base, layers(3, 90_000)...)...)

	res := mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: first, Tags: []string{"v1", Latest}}, nil)
	if res.Uploaded != 9 {
		t.Fatalf("uploaded %d of 9 blobs", res.Uploaded)
	}
	res = mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: second, Tags: []string{"v2", Latest}}, nil)
	if res.Uploaded != 2 || res.Existing != 7 {
		t.Errorf("one changed layer: %+v", res)
	}
	if res.Requests > 9+1 {
		t.Errorf("one changed layer took %d requests", res.Requests)
	}
	res = mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: second, Tags: []string{"v2", Latest}}, nil)
	if res.Uploaded != 0 || res.Sent != 0 || res.Requests > 4+1 {
		t.Errorf("nothing changed: %+v", res)
	}
}

func TestPushIndex(t *testing.T) {
	h := newHarness(t)
	dir := tempLayout(t)
	shared := layers(1, 50_000)
	digest := makeIndex(t, dir, map[string]v1.Image{
		"linux/arm64": buildImage(t, "linux/arm64", append(shared, layers(2, 60_000)...)...),
		"linux/amd64": buildImage(t, "linux/amd64", append(shared, layers(3, 70_000)...)...),
	})
	job := Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}}
	res := mustPush(t, h, New(h.options()), job, nil)
	if res.Uploaded != 5 {
		t.Errorf("uploaded %d blobs, want 3 layers and 2 configs", res.Uploaded)
	}
	h.front.Forget()
	job.Tags = []string{"v2", Latest}
	res = mustPush(t, h, New(h.options()), job, nil)
	if res.Uploaded != 0 || res.Existing != 5 {
		t.Errorf("again: %+v", res)
	}
	if n := h.count(ghcr.UploadFinish); n != 0 {
		t.Errorf("%d uploads for a second tag", n)
	}
}

func TestNoLatest(t *testing.T) {
	h := newHarness(t)
	dir := tempLayout(t)
	digest := makeImage(t, dir, layers(1, 1000)...)
	mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: digest, Tags: []string{"v1"}}, nil)
	if got := h.digestOf(t, Latest); got != "" {
		t.Errorf("latest was written: %s", got)
	}
}

func TestTagExists(t *testing.T) {
	h := newHarness(t)
	dir := tempLayout(t)
	one := makeImage(t, dir, layers(1, 1000)...)
	two := makeImage(t, dir, layers(2, 1000)...)
	mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: one, Tags: []string{"v1", Latest}}, nil)

	for _, digest := range []string{two, ""} {
		found, err := New(h.options()).Preflight(t.Context(), []string{"v1", Latest}, is(digest), false)
		if err != nil || len(found) != 1 || found[0].Code != "tag-exists" {
			t.Errorf("preflight of %q: %v, %v", digest, found, err)
		}
	}
	// Push checks again, because somebody may have created the tag in the meantime.
	_, err := New(h.options()).Push(t.Context(), Job{Layout: dir, Digest: two, Tags: []string{"v1", Latest}}, nil)
	if f := pipeline.AsFindings("", err); len(f) != 1 || f[0].Code != "tag-exists" {
		t.Errorf("push onto a tag that is taken: %v", err)
	}
	if got := h.digestOf(t, "v1"); got != one {
		t.Errorf("v1 was moved to %s", got)
	}
	mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: two, Tags: []string{"v1", Latest}, Overwrite: true}, nil)
}

func TestPlanChangesNothing(t *testing.T) {
	h := newHarness(t)
	dir := tempLayout(t)
	base := layers(1, 100_000)
	one := makeImage(t, dir, base...)
	two := makeImage(t, dir, append(base, layers(2, 5000)...)...)
	mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: one, Tags: []string{"v1", Latest}}, nil)
	h.front.Forget()
	plan, err := New(h.options()).Plan(t.Context(), Job{Layout: dir, Digest: two, Tags: []string{"v2", Latest}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Blobs) != 3 || plan.Bytes < 5000 || plan.Bytes > 6000 {
		t.Errorf("plan %+v", plan)
	}
	if plan.Tags[0].Now != "" || plan.Tags[1].Now != one {
		t.Errorf("tags %+v", plan.Tags)
	}
	writes := []ghcr.Kind{ghcr.UploadStart, ghcr.UploadFinish, ghcr.UploadChunk, ghcr.ManifestPut}
	for _, r := range h.front.Requests() {
		if slices.Contains(writes, r.Kind) {
			t.Errorf("a plan sent %s %s", r.Method, r.Path)
		}
	}
}
