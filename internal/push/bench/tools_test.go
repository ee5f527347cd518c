package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// run is what one publish cost.
type run struct {
	start    time.Time
	took     time.Duration
	requests int64
	sent     int64
	rss      int64 // bytes
}

func (w *world) exec(b *testing.B, env []string, argv ...string) run {
	b.Helper()
	r, _ := w.measure(b, "", env, argv...)
	return r
}

// measure runs a program in a directory, and returns what it printed too.
func (w *world) measure(b *testing.B, dir string, env []string, argv ...string) (run, []byte) {
	b.Helper()
	w.link.Reset()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		key, _, _ := strings.Cut(strings.ToLower(kv), "=")
		return strings.HasSuffix(key, "_proxy") || strings.HasPrefix(key, "gh_") || strings.HasPrefix(key, "github_")
	}), "DOCKER_CONFIG="+w.dir, "HOME="+w.dir, "GOMAXPROCS=2")
	cmd.Env = append(cmd.Env, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	peak := watchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	r := run{start: start, took: time.Since(start), rss: peak()}
	if err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out.String())
	}
	r.requests, r.sent = w.link.Reset()
	w.timeline(b, argv[0], start, r.took)
	if os.Getenv(timelineEnv) != "" {
		fmt.Fprintf(os.Stderr, "%s", out.Bytes())
	}
	return r, out.Bytes()
}

// timelineEnv prints what each program printed and the time of each request, in
// milliseconds since the process began.
const timelineEnv = "SBW_BENCH_TIMELINE"

func (w *world) timeline(b *testing.B, name string, start time.Time, took time.Duration) {
	b.Helper()
	seen := w.link.Seen()
	if os.Getenv(timelineEnv) == "" {
		return
	}
	ms := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return fmt.Sprintf("%.1f", float64(t.Sub(start))/1e6)
	}
	var out bytes.Buffer
	tw := tabwriter.NewWriter(&out, 0, 0, 1, ' ', tabwriter.AlignRight)
	for _, s := range seen {
		what := s.What[:min(len(s.What), 90)]
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t %s\n", ms(s.Arrived), ms(s.Passed), ms(s.FirstByte), ms(s.LastByte), ms(s.Answered), s.Bytes, what)
	}
	_ = tw.Flush() // writing to a Buffer cannot fail
	// A benchmark's own log is cut off after ten lines.
	fmt.Fprintf(os.Stderr, "%s ended at %s ms\n arrived, passed on, first byte, last byte, answered, bytes\n%s", filepath.Base(name), ms(start.Add(took)), out.String())
}

// watchMemory reads a process's peak memory until the returned function is
// called. The kernel's own figure at the end (ru_maxrss) is useless here: it
// starts with the parent's memory at the fork.
func watchMemory(pid int) (peak func() int64) {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var most int64
		for {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err == nil {
				if _, after, ok := strings.Cut(string(text), "VmHWM:"); ok {
					var kib int64
					if _, err := fmt.Sscan(after, &kib); err == nil {
						most = max(most, kib<<10)
					}
				}
			}
			select {
			case <-tick.C:
			case <-stop:
				result <- most
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

// tool publishes a layout under one tag after another.
type tool func(b *testing.B, w *world, dir, digest, repo string, tags ...string) run

func sbw(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	env := []string{"HTTP_PROXY=http://" + w.addr, "GHCR_TOKEN=" + token, "GHCR_USER=" + user, "GHCR_HOST=" + named}
	argv := []string{ghSbw(b), "publish", tags[0], "--layout", dir + "@" + digest, "--image", named + "/" + user + "/" + repo}
	if len(tags) == 1 {
		argv = append(argv, "--no-latest")
	}
	return w.exec(b, env, argv...)
}

func crane(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	bin := require.Tool(b, "crane")
	return sum(tags, func(tag string) run { return w.exec(b, nil, bin, "push", only(b, dir, digest), w.ref(repo, tag)) })
}

func regctl(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	bin := require.Tool(b, "regctl")
	w.exec(b, nil, bin, "registry", "set", "--tls", "disabled", "--skip-check", w.addr)
	return sum(tags, func(tag string) run {
		return w.exec(b, nil, bin, "image", "copy", "ocidir://"+only(b, dir, digest)+"@"+digest, w.ref(repo, tag))
	})
}

func skopeo(b *testing.B, w *world, dir, digest, repo string, tags ...string) run {
	bin := require.Tool(b, "skopeo")
	return sum(tags, func(tag string) run {
		return w.exec(b, nil, bin, "copy", "--insecure-policy", "--dest-tls-verify=false", "--authfile", filepath.Join(w.dir, "config.json"),
			"oci:"+only(b, dir, digest), "docker://"+w.ref(repo, tag))
	})
}

func sum(tags []string, do func(string) run) run {
	var all run
	for _, t := range tags {
		r := do(t)
		all.took += r.took
		all.requests += r.requests
		all.sent += r.sent
		all.rss = max(all.rss, r.rss)
	}
	return all
}

func (w *world) ref(repo, tag string) string { return w.addr + "/" + user + "/" + repo + ":" + tag }

// only is a layout with nothing but that image, which is what the peers expect.
func only(b *testing.B, dir, digest string) string {
	b.Helper()
	to := dir + "-" + digest[7:19]
	if _, err := os.Stat(to); err == nil {
		return to
	}
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		b.Fatal(err)
	}
	h, err := v1.NewHash(digest)
	if err != nil {
		b.Fatal(err)
	}
	img, err := idx.Image(h)
	if err != nil {
		b.Fatal(err)
	}
	p, err := layout.Write(to, empty.Index)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.AppendImage(img); err != nil {
		b.Fatal(err)
	}
	return to
}
