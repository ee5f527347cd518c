//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// shortJobs are the tests' load.
var shortJobs = []job{
	{"load/wanted", []int{2000, 3000}}, {"load/zero", []int{5000}}, {"load/wanted", []int{1000, 1000, 4000}},
	{"load/zero", []int{8000}}, {"load/zero", []int{2000, 2000}}, {"load/wanted", []int{12000}},
}

// longJobs are the benchmarks' load: steps of 2 to 60 s, half of them without retries. A
// step of 60 s is executing two thirds of the time, and each rollout that drains has to
// wait for it; with more of them, twenty rollouts would take hours.
var longJobs = func() []job {
	all := make([]job, 90)
	for i := range all {
		all[i] = shortJobs[i%len(shortJobs)]
	}
	for at, j := range map[int]job{
		5: {"load/zero", []int{60000}}, 20: {"load/wanted", []int{2000, 2000, 20000}}, 35: {"load/zero", []int{30000, 2000}},
		50: {"load/wanted", []int{45000}}, 65: {"load/zero", []int{20000}}, 80: {"load/wanted", []int{2000, 10000}},
	} {
		all[at] = j
	}
	return all
}()

// badImage is a version that must not serve.
type badImage struct {
	name string
	env  []string
	args []string
	// after means that only the request from Inngest's own side shows that the
	// version is bad.
	after bool
}

var badImages = []badImage{
	{name: "crashes-after-ready", env: []string{"CRASH_AFTER_MS=900"}},
	{name: "crashes-when-asked", env: []string{"CRASH_WHEN_ASKED=1"}},
	{name: "lacks-a-function", env: []string{"FUNCTIONS=load,load-zero", "REGISTER_AFTER_MS=0"}},
	{name: "has-another-page", env: []string{"WORKER_ROLE=host"}, args: []string{"--probe-expect", `"role":"cluster"`}},
	{name: "starts-slowly", env: []string{"LISTEN_AFTER_MS=600000"}, args: []string{"--timeout", "6s"}},
	{name: "is-another-app", env: []string{"OTHER_APP_ID=another-app", "REGISTER_AFTER_MS=600000"}},
	{name: "crashes-at-once", env: []string{"CRASH_AFTER_MS=50"}, args: []string{"--timeout", "8s"}},
	{name: "fails-its-probe", env: []string{"FAIL_PROBE=1"}, args: []string{"--timeout", "6s"}},
	{name: "has-duplicates", env: []string{"DUPLICATES=1"}},
	{name: "refuses-to-register", env: []string{"REFUSE_REGISTRATION=1"}, after: true},
}

// TestSwitchUnderLoad rolls out under a steady load of steps, half of them
// without retries. No attempt fails, no run is lost, no step is executed
// twice, and every request is answered. A version answers nobody before it is
// proven, and a bad version never does.
func TestSwitchUnderLoad(t *testing.T) {
	s := up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	shared.turn.Lock()
	defer shared.turn.Unlock()
	l := newLoad(ctx, t, s, newStoryImages(ctx, t, s, npmworkers.SDK3)[npmworkers.SDK3], "load")
	l.begin(700*time.Millisecond, shortJobs)
	for _, tag := range []string{"v1", "v2", "v3"} {
		l.publish(tag)
		r := l.roll(moment{}, tag, "--strategy", "switch")
		if r.code != 0 {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
		ready, _ := r.finished("watch")
		t.Logf("%s: %s in total, %s of it after Ready", tag, r.took.Round(100*time.Millisecond), r.ended.Sub(ready.Time).Round(100*time.Millisecond))
	}
	for _, bad := range badImages {
		l.bad(bad)
	}
	l.registers(loadFunctions...)
	if got := l.end(); !got.clean() {
		t.Errorf("%+v", got)
	} else {
		t.Logf("%+v", got)
	}
}

// bad rolls out a bad version and returns for how long after the failure it
// still answered.
func (l *load) bad(b badImage) time.Duration {
	l.Helper()
	l.publish(b.name, b.env...)
	r := l.roll(moment{}, b.name, append([]string{"--strategy", "switch"}, b.args...)...)
	if r.code != int(pipeline.Restored) {
		l.Fatalf("%s: exit %d\n%s", b.name, r.code, r.stderr)
	}
	// The stage may have begun: it switches only to pods that still run.
	switched := r.said("points to pod-template-hash")
	if switched != b.after || r.said("served no request") == switched {
		l.Errorf("%s: switched is %v\n%s", b.name, switched, r.stderr)
	}
	last := l.lastAnswer(b.name)
	if !switched {
		if !last.IsZero() {
			l.Errorf("%s answered at %s\n%s", b.name, last, r.stderr)
		}
		return 0
	}
	for _, e := range r.events {
		if e.Kind == pipeline.StageFinished && e.Error != "" {
			back := max(0, last.Sub(e.Time))
			l.Logf("%s answered for %s after stage %s had failed", b.name, back, e.Stage)
			return back
		}
	}
	l.Errorf("%s: no stage failed\n%s", b.name, r.stderr)
	return 0
}

// TestSwitchKilledUnderLoad kills a rollout at every stage. The Service always
// routes to a pod that answers, and the next run completes what the killed one
// started.
func TestSwitchKilledUnderLoad(t *testing.T) {
	s := up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	shared.turn.Lock()
	defer shared.turn.Unlock()
	l := newLoad(ctx, t, s, newStoryImages(ctx, t, s, npmworkers.SDK3)[npmworkers.SDK3], "load-killed")
	l.begin(time.Second, shortJobs[:3])
	for _, stage := range []string{"apply", "hold", "watch", "probe", "prove", "switch", "refresh", "drain", "release", "settle"} {
		tag := "killed-" + stage
		l.publish(tag)
		kill := moment{pipeline.StageStarted, stage, func(p *os.Process) error { return p.Signal(syscall.SIGKILL) }}
		if r := l.roll(kill, tag, "--strategy", "switch"); r.code != -1 {
			t.Fatalf("%s: exit %d\n%s", stage, r.code, r.stderr)
		}
		r := l.roll(moment{}, tag, "--strategy", "switch")
		if r.code != 0 {
			t.Fatalf("after a kill at %s: exit %d\n%s", stage, r.code, r.stderr)
		}
		if selector := l.selector(); len(selector) != 1 {
			t.Errorf("after a kill at %s the Service still selects %v", stage, selector)
		}
		t.Logf("%s: the next run completed it at %s\n%s", tag, time.Now().Format(time.StampMilli), r.timeline())
	}
	if got := l.end(); !got.clean() {
		t.Errorf("%+v", got)
	}
}

func (l *load) selector() []string {
	l.Helper()
	c, err := l.s.Cluster()
	if err != nil {
		l.Fatal(err)
	}
	out, err := c.Kubectl(l.ctx, "", "--namespace=joelclaw", "get", "service", l.name, "--output=jsonpath={.spec.selector}")
	if err != nil {
		l.Fatal(err)
	}
	return strings.Split(out, ",")
}

// BenchmarkSwitch rolls out under a steady load of steps of 2 to 60 s, half of
// them without retries, in three ways: prove and switch, a rolling update, and
// the commands of the script that sbw replaces:
//
//	go test -run '^$' -bench 'Switch$' -benchtime 20x -timeout 60m ./internal/sandbox/e2e
//
// That takes about 20 minutes on a quiet machine with 2 cores, two thirds of them for
// the drains of the first way; -bench 'Switch$/switch' runs that one alone. The timeline
// of each rollout goes to stderr.
//
// failed-attempts, lost-runs, steps-twice, unanswered and unproven-requests
// are totals over all rollouts and should be 0. ready→done-s is the time from
// the last new pod's Ready to the end of the process without the stage drain,
// which is drain-s.
func BenchmarkSwitch(b *testing.B) {
	s := up(b)
	img := newStoryImages(b.Context(), b, s, npmworkers.SDK3)[npmworkers.SDK3]
	for _, way := range []struct {
		name string
		roll func(*load, string) *command
	}{
		{"switch", func(l *load, tag string) *command { return l.roll(moment{}, tag, "--strategy", "switch") }},
		{"rolling", func(l *load, tag string) *command { return l.roll(moment{}, tag, "--strategy", "rolling", "--force") }},
		{"script", (*load).script},
	} {
		name, roll := way.name, way.roll
		b.Run(name, func(b *testing.B) {
			l := newLoad(b.Context(), b, s, img, "bench-"+name)
			l.begin(time.Second, longJobs)
			m := metrics{}
			for n := 1; b.Loop(); n++ {
				tag := fmt.Sprintf("%s-%d", name, n)
				l.publish(tag)
				r := roll(l, tag)
				if r.code != 0 {
					b.Fatalf("exit %d\n%s", r.code, r.stderr)
				}
				m.add("whole-s", r.took.Seconds())
				fmt.Fprintf(os.Stderr, "%s\n%s", tag, r.timeline())
				ready, ok := r.finished("watch")
				if !ok {
					continue
				}
				drain := time.Duration(0)
				began, switched := r.started("drain")
				if drained, ok := r.finished("drain"); ok && switched {
					drain = drained.Time.Sub(began.Time)
					m.add("drain-s", drain.Seconds())
				}
				m.add("ready→done-s", (r.ended.Sub(ready.Time) - drain).Seconds())
			}
			sums := l.end()
			m.report(b)
			for name, n := range map[string]int{"runs": sums.Sent, "failed-attempts": sums.Failed, "lost-runs": sums.Lost,
				"steps-twice": sums.Twice, "unanswered": sums.Silent, "unproven-requests": sums.Unproven} {
				b.ReportMetric(float64(n), name)
			}
			if name == "switch" && !sums.clean() {
				b.Errorf("%+v", sums)
			}
		})
	}
}

// BenchmarkBadVersion rolls out versions that must not serve, under the same
// load. served-s is how long such a version still answers after the failure
// was detected.
func BenchmarkBadVersion(b *testing.B) {
	s := up(b)
	img := newStoryImages(b.Context(), b, s, npmworkers.SDK3)[npmworkers.SDK3]
	for _, bad := range badImages {
		b.Run(bad.name, func(b *testing.B) {
			l := newLoad(b.Context(), b, s, img, "bench-"+bad.name)
			l.begin(time.Second, longJobs)
			m := metrics{}
			for b.Loop() {
				m.add("served-s", l.bad(bad).Seconds())
			}
			sums := l.end()
			m.report(b)
			b.ReportMetric(float64(sums.Unproven), "unproven-requests")
			if !sums.clean() {
				b.Errorf("%+v", sums)
			}
		})
	}
}

// BenchmarkReadyToDone rolls out a version while no step is executing, so that
// nothing has to be drained. ready→done-s is the time from the last new pod's
// Ready to the end of the process, and should be 2 or less. A pod that is Ready
// as soon as it serves has to stay up for a second first; with the readiness
// probe of the user's own worker that second is over before it is Ready.
func BenchmarkReadyToDone(b *testing.B) {
	s := up(b)
	img := newStoryImages(b.Context(), b, s, npmworkers.SDK3)[npmworkers.SDK3]
	for _, of := range []struct{ name, probe string }{
		{"own", "initialDelaySeconds: 5, periodSeconds: 10"},
		{"fast", "periodSeconds: 1"},
	} {
		b.Run("probe="+of.name, func(b *testing.B) {
			l := newLoad(b.Context(), b, s, img, "bench-"+of.name)
			l.edit("periodSeconds: 1", of.probe)
			l.begin(time.Hour, shortJobs)
			m := metrics{}
			for n := 1; b.Loop(); n++ {
				tag := fmt.Sprintf("%s-%d", of.name, n)
				l.publish(tag)
				r := l.roll(moment{}, tag, "--strategy", "switch")
				ready, ok := r.finished("watch")
				if r.code != 0 || !ok {
					b.Fatalf("exit %d\n%s", r.code, r.stderr)
				}
				fmt.Fprintf(os.Stderr, "%s\n%s", tag, r.timeline())
				m.add("ready→done-s", r.ended.Sub(ready.Time).Seconds())
			}
			sums := l.end()
			m.report(b)
			if !sums.clean() {
				b.Errorf("%+v", sums)
			}
		})
	}
}

// timeline lists when the stages of a run ended, and how long each took.
func (r *command) timeline() string {
	var t strings.Builder
	proving := false
	for _, e := range r.events {
		proving = proving || e.Kind == pipeline.StageStarted && e.Stage == "probe"
		if proving && (e.Kind == pipeline.Noted || e.Kind == pipeline.Detailed) {
			fmt.Fprintf(&t, "%7.2fs    %s\n", e.Time.Sub(r.ended.Add(-r.took)).Seconds(), e.Text)
		}
		if e.Kind != pipeline.StageFinished || e.Stage == "" {
			continue
		}
		if began, ok := r.started(e.Stage); ok {
			at := e.Time.Sub(r.ended.Add(-r.took))
			fmt.Fprintf(&t, "%7.2fs  %-14s %6.2fs\n", at.Seconds(), e.Stage, e.Time.Sub(began.Time).Seconds())
		}
	}
	fmt.Fprintf(&t, "%7.2fs  end\n", r.took.Seconds())
	return t.String()
}

// script runs the commands of the original script: sed, apply, rollout status,
// and reading a page of any pod. Its version counts as proven when the script
// has ended.
func (l *load) script(tag string) *command {
	l.Helper()
	c, err := l.s.Cluster()
	if err != nil {
		l.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(l.dir, "worker.yaml"))
	if err != nil {
		l.Fatal(err)
	}
	stamped := regexp.MustCompile(`(image: ghcr.io/`+storyRepository+`):\S+`).ReplaceAllString(string(text), "$1:"+tag)
	begin := time.Now()
	if _, err := c.Kubectl(l.ctx, stamped, "apply", "-f", "-"); err != nil {
		l.Fatal(err)
	}
	if _, err := c.Kubectl(l.ctx, "", "--namespace=joelclaw", "rollout", "status", "deployment/"+l.name, "--timeout=180s"); err != nil {
		l.Fatal(err)
	}
	pod, err := c.Kubectl(l.ctx, "", "--namespace=joelclaw", "get", "pods", "--selector=app="+l.name, "--field-selector=status.phase=Running",
		"--output=jsonpath={.items[0].metadata.name}")
	if err != nil {
		l.Fatal(err)
	}
	// The script has `
	//
	// true` here.
	_, _ = c.Kubectl(l.ctx, "", "get", "--raw", "/api/v1/namespaces/joelclaw/pods/"+pod+":3111/proxy/")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proven[tag] = time.Now()
	return &command{took: time.Since(begin)}
}
