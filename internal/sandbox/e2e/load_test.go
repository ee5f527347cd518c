//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/cluster"
)

// load is a worker under a steady load of steps while it is rolled out
// repeatedly. The test counts outside of the pods what they execute, because a
// pod's log disappears with the pod. It also sends requests to the worker's
// Service all the time, each on a new connection, to see which version
// answers.
type load struct {
	*story
	img    *storyImages
	report string // the URL that pods report to
	client *http.Client

	mu      sync.Mutex
	sent    int
	reports []report
	answers []answer
	proven  map[string]time.Time // from when on a tag may serve
	failed  error                // errors of sending or receiving
	began   time.Time
	stop    []func()
}

// report is one line that the worker sends; see serve.mjs.
type report struct {
	At      int64 // Unix milliseconds
	Pod     string
	Tag     string
	State   string // called, began, ended or done
	N, Step int
	Attempt int
}

// answer is the result of one request to the Service.
type answer struct {
	at  time.Time // when the answer had arrived
	tag string
	err error
}

// job is an event that the load sends.
type job struct {
	event string
	ms    []int // how long its steps take
}

// loadFunctions lists the functions of the good images.
var loadFunctions = []string{"load", "load-zero", "hourly"}

// newLoad starts the worker at tag v0.
func newLoad(ctx context.Context, t testing.TB, s *sandbox.Sandbox, img *storyImages, name string) *load {
	t.Helper()
	l := &load{story: newStory(ctx, t, s, name), img: img, proven: map[string]time.Time{},
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}}
	l.edit("replicas: 1", "replicas: 2")
	listener, err := net.Listen("tcp", net.JoinHostPort(cluster.NodeIP, "0"))
	if err != nil {
		t.Fatal(err)
	}
	collector := &http.Server{Handler: http.HandlerFunc(l.collect)}
	go func() { _ = collector.Serve(listener) }() // Close ends it
	t.Cleanup(func() { _ = collector.Close() })
	l.report = "http://" + listener.Addr().String()
	l.publish("v0")
	// The kubelet reads the pull secret when the first pod needs it. If that takes too
	// long, it pulls without the secret once, which the registry denies.
	r := l.sbw("rollout", "--tag", "v0", "--strategy", "rolling")
	if r.code != 0 && strings.Contains(r.err, string(verdict.CodeImageDenied)) {
		t.Logf("the first rollout was denied the image; trying again\n%s", r.err)
		r = l.sbw("rollout", "--tag", "v0", "--strategy", "rolling")
	}
	if r.code != 0 {
		t.Fatalf("the first rollout: exit %d\n%s", r.code, r.err)
	}
	l.proven["v0"] = time.Now()
	return l
}

// edit replaces text in the worker's manifest.
func (l *load) edit(old, with string) {
	l.Helper()
	file := filepath.Join(l.dir, "worker.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		l.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		l.Fatalf("the manifest does not contain %q", old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, with, 1)), 0o644); err != nil {
		l.Fatal(err)
	}
}

// publish publishes a version. It is a good one unless env changes its
// behaviour.
func (l *load) publish(tag string, env ...string) {
	l.Helper()
	good := []string{"TAG=" + tag, "FUNCTIONS=" + strings.Join(loadFunctions, ","), "REPORT_TO=" + l.report, "REGISTER_AFTER_MS=1000"}
	l.img.publish(l.ctx, l, tag, append(good, env...)...)
}

func (l *load) collect(_ http.ResponseWriter, r *http.Request) {
	var one report
	err := json.NewDecoder(r.Body).Decode(&one)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = err
	}
	l.reports = append(l.reports, one)
}

// begin sends the jobs repeatedly, one per period, and keeps sending requests
// to the Service.
func (l *load) begin(period time.Duration, jobs []job) {
	l.Helper()
	accounts, err := l.s.Accounts()
	if err != nil {
		l.Fatal(err)
	}
	var svc corev1.Service
	if err := get(l.ctx, l.s, &svc, "service/"+l.name); err != nil {
		l.Fatal(err)
	}
	l.answersAt("http://" + svc.Spec.ClusterIP + ":3111/version")
	l.began = time.Now()
	l.every(period, func(n int) {
		j := jobs[n%len(jobs)]
		body := fmt.Sprintf(`{"name":%q,"data":{"n":%d,"ms":[%s]}}`, j.event, n, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(j.ms)), ","), "[]"))
		_, err := post(l.ctx, l.url+"/e/"+accounts.EventKey, []byte(body))
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sent++; err != nil {
			l.failed = err
		}
	})
	l.every(50*time.Millisecond, func(int) {
		a := answer{}
		a.tag, a.err = l.version("http://" + svc.Spec.ClusterIP + ":3111/version")
		a.at = time.Now()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.answers = append(l.answers, a)
	})
}

// every calls do once per period until the load ends.
func (l *load) every(period time.Duration, do func(n int)) {
	ctx, cancel := context.WithCancel(l.ctx)
	done := make(chan struct{})
	l.stop = append(l.stop, func() { cancel(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(period)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				do(n)
			case <-ctx.Done():
				return
			}
		}
	}()
}

// answersAt waits until the Service routes to a pod. There is nothing to watch
// for that.
func (l *load) answersAt(url string) {
	l.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := l.version(url)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			l.Fatalf("the worker never answered behind its Service: %v", err)
		}
	}
}

func (l *load) version(url string) (string, error) {
	resp, err := l.client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}

// roll runs `kubectl sbw rollout` and records from when on its tag may serve:
// from the beginning of the stage that switches the Services or, in a rolling
// update, from the registration of its functions.
func (l *load) roll(m moment, tag string, args ...string) *command {
	l.Helper()
	r := l.events(m, append([]string{"rollout", "--tag", tag}, args...)...)
	since, ok := r.started("switch")
	if _, hold := r.started("hold"); !hold {
		since, ok = r.finished("refresh")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, already := l.proven[tag]; ok && !already { // by a run that was killed
		l.proven[tag] = since.Time
	}
	return r
}

// started returns when a stage began.
func (r *command) started(stage string) (event, bool) {
	i := slices.IndexFunc(r.events, func(e event) bool { return e.Kind == pipeline.StageStarted && e.Stage == stage })
	if i < 0 {
		return event{}, false
	}
	return r.events[i], true
}

// events runs `kubectl sbw` and reads its events.
func (w *story) events(m moment, args ...string) *command {
	w.Helper()
	r, err := follow(w.ctx, w.emitting(args...), m)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// emitting returns the command `kubectl sbw --events`.
func (w *story) emitting(args ...string) *exec.Cmd {
	w.Helper()
	cmd, err := w.s.Command(w.ctx, w.dir, "kubectl", append([]string{"sbw", "--events"}, args...)...)
	if err != nil {
		w.Fatal(err)
	}
	return cmd
}

// tally counts the effects of a load.
type tally struct {
	Sent     int
	Failed   int // attempts that were not the first of their step
	Lost     int // runs that did not complete
	Twice    int // steps that were executed more than once, or not completely
	Silent   int // how often the Service did not answer
	Unproven int // requests that a version answered before it was proven
	Why      []string
}

// clean reports whether nothing went wrong.
func (t tally) clean() bool { return t.Failed+t.Lost+t.Twice+t.Silent+t.Unproven == 0 }

// end stops the load, waits for its runs, and counts.
func (l *load) end() tally {
	l.Helper()
	l.stop[0]()
	lost := l.unfinished()
	for _, stop := range l.stop[1:] {
		stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		l.Fatal(l.failed)
	}
	t := tally{Sent: l.sent, Why: lost}
	type execution struct{ n, step int }
	began, ended, done := map[execution]int{}, map[execution]int{}, map[int]bool{}
	for _, r := range l.reports {
		at := execution{r.N, r.Step}
		switch r.State {
		case "called":
			if l.isUnproven(r.Tag, time.UnixMilli(r.At)) {
				t.Unproven++
				t.Why = append(t.Why, fmt.Sprintf("%s was called at %s", r.Tag, time.UnixMilli(r.At).Format("15:04:05.000")))
			}
		case "began":
			if began[at]++; r.Attempt > 0 {
				t.Failed++
				t.Why = append(t.Why, fmt.Sprintf("run %d step %d is attempt %d on %s", r.N, r.Step, r.Attempt, r.Pod))
			}
		case "ended":
			ended[at]++
		case "done":
			done[r.N] = true
		}
	}
	for at, times := range began {
		if times != 1 || ended[at] != 1 {
			t.Twice++
			t.Why = append(t.Why, fmt.Sprintf("run %d step %d began %d times and ended %d times", at.n, at.step, times, ended[at]))
		}
	}
	t.Lost = l.sent - len(slices.Collect(maps.Keys(done)))
	for _, a := range l.answers {
		switch {
		case a.err != nil:
			t.Silent++
			t.Why = append(t.Why, fmt.Sprintf("at %s: %v", a.at.Format("15:04:05.000"), a.err))
		case l.isUnproven(a.tag, a.at):
			t.Unproven++
			t.Why = append(t.Why, fmt.Sprintf("%s answered at %s", a.tag, a.at.Format("15:04:05.000")))
		}
	}
	return t
}

func (l *load) isUnproven(tag string, at time.Time) bool {
	since, proven := l.proven[tag]
	return !proven || at.Before(since)
}

// unfinished waits until no run is active, and lists the failed ones.
func (l *load) unfinished() (failed []string) {
	l.Helper()
	apps, err := l.apps(l.ctx)
	if err != nil {
		l.Fatal(err)
	}
	const query = `query($f:RunsFilterV2!){runs(first:100,orderBy:[{field:QUEUED_AT,direction:DESC}],filter:$f){edges{node{id status}}}}`
	list := func(status ...string) []string {
		var out struct {
			Runs struct {
				Edges []struct{ Node struct{ ID, Status string } }
			}
		}
		filter := map[string]any{"from": l.began.UTC().Format(time.RFC3339Nano), "appIDs": []string{apps[l.name].ID}, "status": status}
		if err := l.ask(l.ctx, query, map[string]any{"f": filter}, &out); err != nil {
			l.Fatal(err)
		}
		var all []string
		for _, e := range out.Runs.Edges {
			all = append(all, fmt.Sprintf("run %s is %s", e.Node.ID, e.Node.Status))
		}
		return all
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for len(list("RUNNING", "QUEUED")) > 0 {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			l.Fatalf("runs never ended: %v", list("RUNNING", "QUEUED"))
		}
	}
	return list("FAILED", "CANCELLED")
}

// lastAnswer returns when a version last answered.
func (l *load) lastAnswer(tag string) (at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.answers {
		if a.err == nil && a.tag == tag {
			at = a.at
		}
	}
	return at
}
