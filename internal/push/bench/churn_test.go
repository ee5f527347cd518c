package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/modules"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// beforeEnv names an earlier gh-sbw to measure alongside.
const beforeEnv = "SBW_BENCH_BEFORE"

// BenchmarkChurn publishes an image of which one 40-byte file in a tree of 1 GB differs from the image that was
// published before, as a package manager leaves it that ran again. It is measured from the end of the builder's own
// last step (the start of its export) to "published", at three uplinks; first is a publish of which nothing is known
// yet, on an unlimited link. The peers are BuildKit's own push and crane from the layout that BuildKit exports.
// x-buildkit is the ratio to the former, x-before the ratio to the gh-sbw that SBW_BENCH_BEFORE names.
//
// It needs buildkitd (go run ./internal/sandbox/launcher) and takes most of an hour with all peers, so choose:
//
//	go test -run '^$' -bench Churn/rate=12.5 -benchtime 1x -timeout 1h ./internal/push/bench
func BenchmarkChurn(b *testing.B) {
	host, _ := buildkitd.Start(b)
	c := newChurn(b, host)
	peers := []builder{{"buildkit", c.buildkit}, {"crane", c.crane}, {"sbw", c.sbw(ghSbw(b))}}
	if old := os.Getenv(beforeEnv); old != "" {
		peers = slices.Insert(peers, 0, builder{"before", c.sbw(old)})
	}
	for _, rate := range []float64{0, 12.5e6, 2.5e6} {
		name := "unlimited"
		if rate > 0 {
			name = strconv.FormatFloat(rate/1e6, 'f', -1, 64)
		}
		all := map[string][2]run{}
		for _, p := range peers {
			b.Run("rate="+name+"/"+p.name, func(b *testing.B) {
				var first, second []run
				for range b.N {
					w := newWorld(b)
					w.link.RTT, w.link.Rate = 0, 1e12
					c.reset(b)
					first = append(first, p.publish(b, w, "v1"))
					if rate > 0 {
						w.link.RTT, w.link.Rate = rtt, rate
					}
					second = append(second, p.publish(b, w, "v2"))
				}
				all[p.name] = [2]run{median(first), median(second)}
				r := all[p.name]
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(r[0].took.Seconds(), "s-first")
				b.ReportMetric(r[1].took.Seconds(), "s")
				b.ReportMetric(float64(r[1].sent)/1e3, "kB-sent")
				b.ReportMetric(float64(max(r[0].rss, r[1].rss))/1e6, "MB-rss")
				for _, other := range []string{"before", "buildkit"} {
					if o, ok := all[other]; ok && p.name == "sbw" {
						b.ReportMetric(r[1].took.Seconds()/o[1].took.Seconds(), "x-"+other)
						b.ReportMetric(r[0].took.Seconds()/o[0].took.Seconds(), "x-"+other+"-first")
					}
				}
			})
		}
	}
}

type builder struct {
	name    string
	publish func(b *testing.B, w *world, tag string) run
}

// churn is a checkout whose tree is built again and again.
type churn struct {
	host, dir string
	platform  string
	home      string // for the process that publishes: what is kept between two publishes
	round     int
}

func newChurn(b *testing.B, host string) *churn {
	b.Helper()
	c := &churn{host: host, dir: b.TempDir(), platform: "linux/arm64"}
	c.write(b, "Dockerfile", "FROM scratch\nCOPY server /app/server\nCOPY node_modules /app/node_modules\nCOPY src /app/src\nCMD [\"/app/server\"]\n")
	c.write(b, "server", string(program()))
	c.write(b, "src/index.ts", "export {}\n")
	if err := os.Chmod(filepath.Join(c.dir, "server"), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := modules.Write(filepath.Join(c.dir, "node_modules"), 2); err != nil {
		b.Fatal(err)
	}
	return c
}

func (c *churn) write(b *testing.B, name, text string) {
	b.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

// reset deletes what earlier publishes left on this machine; change modifies
// the tree.
func (c *churn) reset(b *testing.B) { c.home = b.TempDir() }

func (c *churn) change(b *testing.B) {
	c.round++
	if err := modules.Change(filepath.Join(c.dir, "node_modules"), c.round); err != nil {
		b.Fatal(err)
	}
}

func (c *churn) sbw(bin string, more ...string) func(*testing.B, *world, string) run {
	return func(b *testing.B, w *world, tag string) run {
		c.change(b)
		cache := filepath.Join(c.home, "cache")
		env := []string{"HTTP_PROXY=http://" + w.addr, "GHCR_TOKEN=" + token, "GHCR_USER=" + user, "GHCR_HOST=" + named,
			"BUILDKIT_HOST=" + c.host, "XDG_CACHE_HOME=" + cache, "XDG_STATE_HOME=" + c.home}
		argv := append([]string{bin, "publish", tag, "--builder", "buildkit", "--file", "Dockerfile", "--context", ".",
			"--platform", c.platform, "--image", named + "/" + user + "/worker", "--events"}, more...)
		r, out := w.measure(b, c.dir, env, argv...)
		from := since(b, out, func(line []byte) (time.Time, bool) {
			var e struct {
				Time time.Time
				Text string
			}
			return e.Time, json.Unmarshal(line, &e) == nil && strings.HasPrefix(e.Text, "exporting to oci")
		})
		r.took -= from.Sub(r.start)
		return r
	}
}

func (c *churn) buildctl(b *testing.B, w *world, output string, more ...string) run {
	c.change(b)
	argv := append([]string{require.Tool(b, "buildctl"), "--addr", c.host, "build", "--frontend", "dockerfile.v0", "--local", "context=" + c.dir,
		"--local", "dockerfile=" + c.dir, "--opt", "platform=" + c.platform, "--progress", "rawjson", "--output", output}, more...)
	r, out := w.measure(b, c.dir, nil, argv...)
	from := since(b, out, func(line []byte) (time.Time, bool) {
		var s struct {
			Vertexes []struct {
				Name    string
				Started time.Time
			}
		}
		if json.Unmarshal(line, &s) != nil {
			return time.Time{}, false
		}
		for _, v := range s.Vertexes {
			if strings.HasPrefix(v.Name, "exporting to") && !v.Started.IsZero() {
				return v.Started, true
			}
		}
		return time.Time{}, false
	})
	r.took -= from.Sub(r.start)
	return r
}

// buildkit pushes both tags by itself.
func (c *churn) buildkit(b *testing.B, w *world, tag string) run {
	return c.buildctl(b, w, `type=image,push=true,"name=`+w.ref("buildkit", tag)+","+w.ref("buildkit", "latest")+`"`)
}

// crane pushes the layout that BuildKit exports.
func (c *churn) crane(b *testing.B, w *world, tag string) run {
	dir, meta := filepath.Join(c.home, "layout"), filepath.Join(c.home, "meta.json")
	exported := c.buildctl(b, w, "type=oci,tar=false,dest="+dir, "--metadata-file", meta)
	text, err := os.ReadFile(meta)
	if err != nil {
		b.Fatal(err)
	}
	var m struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		b.Fatal(err)
	}
	pushed := crane(b, w, dir, m.Digest, "crane", tag, "latest")
	pushed.took += exported.took
	return pushed
}

// since finds the time of the first line of a log that matches.
func since(b *testing.B, story []byte, fits func([]byte) (time.Time, bool)) time.Time {
	b.Helper()
	for line := range bytes.Lines(story) {
		if at, ok := fits(line); ok {
			return at
		}
	}
	b.Fatalf("the export's begin is not in the story:\n%s", story[max(0, len(story)-4000):])
	return time.Time{}
}
