package release

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// github answers like
// https://api.github.com/repos/{owner}/{repo}/releases/latest, and counts the
// requests.
type github struct {
	*httptest.Server
	asked  atomic.Int64
	status int
	body   string
}

func newGitHub(t *testing.T, status int, body string) *github {
	g := &github{status: status, body: body}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Error("the question carries credentials")
		}
		w.WriteHeader(g.status)
		fmt.Fprint(w, g.body)
	}))
	t.Cleanup(g.Close)
	return g
}

// machine is the environment of successive runs.
type machine struct {
	env map[string]string
	now time.Time
	url string
}

func newMachine(t *testing.T, url string) *machine {
	return &machine{env: map[string]string{"XDG_STATE_HOME": t.TempDir()}, now: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), url: url}
}

func (m *machine) options(running string) HintOptions {
	return HintOptions{
		Running: running, Upgrade: "gh extension upgrade sbw", Terminal: true, URL: m.url,
		Getenv: func(k string) string { return m.env[k] }, Now: func() time.Time { return m.now },
	}
}

// run is one run that lasts until the answer has arrived.
func (m *machine) run(t *testing.T, running string) string {
	line, done := Hint(t.Context(), m.options(running))
	<-done
	return line
}

func TestHintIsShownByTheNextRun(t *testing.T) {
	g := newGitHub(t, 200, `{"tag_name":"v1.3.0"}`)
	m := newMachine(t, g.URL)
	if line := m.run(t, "v1.2.3"); line != "" {
		t.Errorf("the first run cannot know yet, and said %q", line)
	}
	line := m.run(t, "v1.2.3")
	for _, part := range []string{"v1.3.0", "v1.2.3", "gh extension upgrade sbw", EnvNoCheck} {
		if !strings.Contains(line, part) {
			t.Errorf("%q does not name %s", line, part)
		}
	}
	if strings.Contains(line, "\n") {
		t.Errorf("%q is not one line", line)
	}
	if line := m.run(t, "v1.3.0"); line != "" {
		t.Errorf("after the upgrade: %q", line)
	}
	if line := m.run(t, "v2.0.0-rc.1"); line != "" {
		t.Errorf("a pre-release: %q", line)
	}
}

func TestHintAsksOnceADay(t *testing.T) {
	g := newGitHub(t, 200, `{"tag_name":"v1.3.0"}`)
	m := newMachine(t, g.URL)
	for _, step := range []struct {
		later time.Duration
		want  int64
	}{{0, 1}, {time.Minute, 1}, {every - 2*time.Minute, 1}, {time.Minute, 2}, {time.Second, 2}, {-48 * time.Hour, 3}} {
		m.now = m.now.Add(step.later)
		m.run(t, "v1.2.3")
		if got := g.asked.Load(); got != step.want {
			t.Fatalf("at %s: asked %d times, want %d", m.now, got, step.want)
		}
	}
}

func TestNoAnswerIsNotAskedForAgainToday(t *testing.T) {
	for name, g := range map[string]*github{
		"no release":     newGitHub(t, 404, `{"message":"Not Found"}`),
		"rate limit":     newGitHub(t, 403, `{"message":"API rate limit exceeded"}`),
		"no JSON":        newGitHub(t, 200, `<html>sign in to this hotel's network</html>`),
		"no version":     newGitHub(t, 200, `{"tag_name":"nightly; rm -rf /"}`),
		"a pre-release":  newGitHub(t, 200, `{"tag_name":"v9.0.0-rc.1"}`),
		"empty document": newGitHub(t, 200, ``),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, g.URL)
			for range 3 {
				if line := m.run(t, "v1.2.3"); line != "" {
					t.Errorf("said %q", line)
				}
			}
			if got := g.asked.Load(); got != 1 {
				t.Errorf("asked %d times", got)
			}
		})
	}
}

func TestAFailureKeepsWhatIsKnown(t *testing.T) {
	g := newGitHub(t, 200, `{"tag_name":"v1.3.0"}`)
	m := newMachine(t, g.URL)
	m.run(t, "v1.2.3")
	g.Close() // no network from here on
	m.now = m.now.Add(every)
	m.run(t, "v1.2.3")
	if line := m.run(t, "v1.2.3"); !strings.Contains(line, "v1.3.0") {
		t.Errorf("said %q", line)
	}
}

func TestHintIsOff(t *testing.T) {
	g := newGitHub(t, 200, `{"tag_name":"v1.3.0"}`)
	known := newMachine(t, g.URL)
	known.run(t, "v1.2.3")
	known.now = known.now.Add(every) // due again
	for name, change := range map[string]func(*HintOptions, map[string]string){
		"SBW_NO_UPDATE_CHECK": func(_ *HintOptions, env map[string]string) { env[EnvNoCheck] = "1" },
		"GitHub Actions":      func(_ *HintOptions, env map[string]string) { env["CI"] = "true" },
		"Jenkins":             func(_ *HintOptions, env map[string]string) { env["BUILD_NUMBER"] = "7" },
		"no terminal":         func(o *HintOptions, _ map[string]string) { o.Terminal = false },
		"no release":          func(o *HintOptions, _ map[string]string) { o.Running = Devel },
		"pseudo-version":      func(o *HintOptions, _ map[string]string) { o.Running = "v0.0.0-20260102150405-abcdefabcdef" },
		"dirty checkout":      func(o *HintOptions, _ map[string]string) { o.Running = "v1.2.3+dirty" },
		"nowhere to write":    func(_ *HintOptions, env map[string]string) { delete(env, "XDG_STATE_HOME") },
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"XDG_STATE_HOME": known.env["XDG_STATE_HOME"]}
			o := known.options("v1.2.3")
			o.Getenv = func(k string) string { return env[k] }
			change(&o, env)
			before := g.asked.Load()
			line, done := Hint(t.Context(), o)
			<-done
			if line != "" || g.asked.Load() != before {
				t.Errorf("said %q, asked %d times", line, g.asked.Load()-before)
			}
		})
	}
}

// TestHintNeverWaits holds back the answer until Hint has returned.
func TestHintNeverWaits(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	m := newMachine(t, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	_, done := Hint(ctx, m.options("v1.2.3")) // a Hint that waits would never return
	<-arrived
	select {
	case <-done:
		t.Error("over before the answer")
	default:
	}
	// If the run ends first, nothing is stored, and the next run asks again.
	cancel()
	<-done
	if _, err := os.Stat(hintPath(m.options("").Getenv)); !os.IsNotExist(err) {
		t.Errorf("an interrupted question left an answer: %v", err)
	}
}

func TestABrokenFileIsReplaced(t *testing.T) {
	g := newGitHub(t, 200, `{"tag_name":"v1.3.0"}`)
	m := newMachine(t, g.URL)
	path := hintPath(m.options("").Getenv)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"checked":"2026-`), 0o644); err != nil {
		t.Fatal(err)
	}
	m.run(t, "v1.2.3")
	if line := m.run(t, "v1.2.3"); line == "" {
		t.Error("the broken file stayed")
	}
}

func TestManyRunsAtOnce(t *testing.T) {
	g := newGitHub(t, 200, `{"tag_name":"v1.3.0"}`)
	m := newMachine(t, g.URL)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { m.run(t, "v1.2.3") })
	}
	all.Wait()
	if line := m.run(t, "v1.2.3"); !strings.Contains(line, "v1.3.0") {
		t.Errorf("said %q", line)
	}
	left, err := filepath.Glob(filepath.Join(m.env["XDG_STATE_HOME"], "sbw", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func TestHintPath(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"XDG_STATE_HOME": "/state", "HOME": "/home/joel"}, "/state/sbw/latest-release.json"},
		{map[string]string{"HOME": "/home/joel"}, "/home/joel/.local/state/sbw/latest-release.json"},
		{map[string]string{"XDG_STATE_HOME": "relative", "HOME": "/home/joel"}, "/home/joel/.local/state/sbw/latest-release.json"},
		{map[string]string{"HOME": "relative"}, ""},
		{nil, ""},
	} {
		if got := hintPath(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%v: %q, want %q", c.env, got, c.want)
		}
	}
}

func TestBefore(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"v1.2.3", "v1.2.4", true}, {"v1.2.9", "v1.2.10", true}, {"v1.9.0", "v1.10.0", true}, {"v9.0.0", "v10.0.0", true},
		{"v1.2.3", "v1.2.3", false}, {"v1.3.0", "v1.2.9", false}, {"v2.0.0", "v1.9.9", false},
	} {
		a, okA := parse(c.a)
		b, okB := parse(c.b)
		if !okA || !okB || a.before(b) != c.want {
			t.Errorf("%s before %s: %v, want %v (%v %v)", c.a, c.b, a.before(b), c.want, okA, okB)
		}
	}
	for _, bad := range []string{"", "1.2.3", "v1.2", "v01.2.3", "v1.2.3-rc.1", "v1.2.3+dirty", "v1.2.3\nv9.9.9", "v99999999999999999999.0.0"} {
		if _, ok := parse(bad); ok {
			t.Errorf("%q was taken for a release", bad)
		}
	}
}
