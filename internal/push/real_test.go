package push

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// newRealHarness starts an imitation of GHCR in front of the distribution
// project's registry. Unlike go-containerregistry's, that one keeps blobs for
// each repository, mounts them, tracks the state of upload sessions, and checks
// what a manifest refers to.
func newRealHarness(t *testing.T) *harness {
	t.Helper()
	bin := require.Tool(t, "docker-registry")
	free := httptest.NewServer(nil)
	addr := strings.TrimPrefix(free.URL, "http://")
	free.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "serve", config)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	u := &url.URL{Scheme: "http", Host: addr}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if res, err := http.Get(u.String() + "/v2/"); err == nil {
			_ = res.Body.Close()
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("docker-registry does not answer: %s", out.String())
		}
	}
	return newHarnessOver(t, ghcr.Proxy(u))
}

func TestRealPush(t *testing.T) {
	h := newRealHarness(t)
	dir := tempLayout(t)
	base := layers(1, 100_000, 200_000)
	first := makeImage(t, dir, append(base, layers(2, 90_000)...)...)
	index := makeIndexBeside(t, dir, map[string]v1.Image{
		"linux/arm64": buildImage(t, "linux/arm64", append(base, layers(3, 80_000)...)...),
		"linux/amd64": buildImage(t, "linux/amd64", append(base, layers(4, 70_000)...)...),
	})
	res := mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: first, Tags: []string{"v1", Latest}}, nil)
	if res.Uploaded != 4 {
		t.Errorf("first: %+v", res)
	}
	res = mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: index, Tags: []string{"v2", Latest}}, nil)
	if res.Uploaded != 4 || res.Existing != 2 {
		t.Errorf("an index over the same base: %+v", res)
	}
	res = mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: index, Tags: []string{"v2", Latest}}, nil)
	if res.Uploaded != 0 || res.Requests > 5 {
		t.Errorf("nothing changed: %+v", res)
	}
}

// TestRealResume checks that blobs which an interrupted push has sent are not
// sent again, although no tag refers to them.
func TestRealResume(t *testing.T) {
	h := newRealHarness(t)
	dir := tempLayout(t)
	digest := makeImage(t, dir, layers(1, 400_000, 300_000, 200_000)...)
	job := Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}}
	ctx, cancel := context.WithCancelCause(t.Context())
	h.front.OnRequest(func(k ghcr.Kind) {
		if k == ghcr.ManifestPut {
			cancel(pipeline.ErrInterrupted)
		}
	})
	h.front.Inject(ghcr.Fault{On: ghcr.ManifestPut, Times: -1, Do: ghcr.BadGateway()})
	if _, err := New(h.options()).Push(ctx, job, nil); err == nil {
		t.Fatal("the push was not cut off")
	}
	h.front.OnRequest(nil)
	h.front.Disarm()
	p := New(h.options())
	res, err := p.Push(t.Context(), job, nil)
	if err != nil || res.Sent > 5000 || res.Existing < 3 {
		t.Errorf("again: %+v, %v", res, err)
	}
	h.walk(t, "v1")
}

// TestRealMount checks that a base's layers are mounted from the repository that
// the layout names, and sent if mounting is not allowed.
func TestRealMount(t *testing.T) {
	h := newRealHarness(t)
	for i, c := range []struct {
		repo    string
		label   func(base name.Repository) map[string]string
		options func(*Options)
		mounted int
	}{
		{repo: testUser + "/base", label: func(b name.Repository) map[string]string { return map[string]string{baseName: b.Name() + ":v1"} }, mounted: 1},
		{repo: testUser + "/base2", options: func(o *Options) { o.MountFrom = []string{testUser + "/base2"} }, mounted: 1},
		{repo: "someone/private", label: func(b name.Repository) map[string]string { return map[string]string{baseName: b.Name() + ":v1"} }},
		{repo: testUser + "/base3", label: func(name.Repository) map[string]string {
			return map[string]string{baseName: "docker.io/library/debian:12"}
		}},
	} {
		base := layers(uint64(10+i), 100_000)
		from := h.repo.Registry.Repo(c.repo)
		write := h.remote()
		if strings.HasPrefix(c.repo, "someone") {
			write = h.remoteAs("ghp_someone")
		}
		if err := remote.Write(from.Tag("v1"), buildImage(t, "linux/arm64", base...), write...); err != nil {
			t.Fatal(err)
		}
		img := buildImage(t, "linux/arm64", append(base, layers(uint64(20+i), 90_000)...)...)
		if c.label != nil {
			annotated, ok := mutate.Annotations(img, c.label(from)).(v1.Image)
			if !ok {
				t.Fatal("annotations changed the image")
			}
			img = annotated
		}
		dir := tempLayout(t)
		digest := writeImage(t, dir, img)
		o := h.options()
		if c.options != nil {
			c.options(&o)
		}
		h.repo = h.repo.Registry.Repo(fmt.Sprintf("%s/worker%d", testUser, i))
		o.Repository = own(h.repo)
		col := &collector{}
		res := mustPush(t, h, New(o), Job{Layout: dir, Digest: digest, Tags: []string{"v1"}}, pipeline.NewReporter("push", col))
		if res.Mounted != c.mounted || res.Uploaded != 3-c.mounted {
			t.Errorf("from %s: %+v", c.repo, res)
		}
		if s := col.states("layer 1/2"); (s[len(s)-1] == "mounted") != (c.mounted == 1) {
			t.Errorf("from %s: layer 1 went through %q", c.repo, s)
		}
	}
}

// TestRealFaults injects faults where the distribution project's registry
// answers differently from a test double.
func TestRealFaults(t *testing.T) {
	for _, f := range []struct {
		on ghcr.Kind
		do ghcr.Action
	}{
		{ghcr.UploadFinish, ghcr.Reset(1000)},
		{ghcr.UploadFinish, ghcr.Unanswered()},
		{ghcr.UploadFinish, ghcr.LostSession()},
		{ghcr.UploadFinish, ghcr.Swallow()},
		{ghcr.UploadFinish, ghcr.Expire()},
		{ghcr.UploadStart, ghcr.Unanswered()},
		{ghcr.ManifestPut, ghcr.Unanswered()},
		{ghcr.ManifestPut, ghcr.Reset(10)},
	} {
		h := newRealHarness(t)
		dir := tempLayout(t)
		digest := makeImage(t, dir, layers(1, 100_000, 200_000)...)
		h.front.Inject(ghcr.Fault{On: f.on, Do: f.do}, ghcr.Fault{On: f.on, After: 2, Do: f.do})
		mustPush(t, h, New(h.options()), Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}}, nil)
		if h.front.Struck() == 0 {
			t.Errorf("no fault occurred at %s", f.on)
		}
	}
}
