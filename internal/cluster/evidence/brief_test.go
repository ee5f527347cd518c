package evidence

import (
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
)

// Brief shows the log of the container that failed, with the line that names the cause
// even if a stack trace follows it.
func TestBrief(t *testing.T) {
	stack := slices.Repeat([]string{"    at f (/app/x.js:1:2)"}, 30)
	crash := slices.Concat([]string{"starting", "error: Cannot find package 'hono'"}, stack, []string{"Bun v1.2"})
	tests := map[string]struct {
		containers []Container
		cause      string
		want       []string
	}{
		"a sidecar failed": {[]Container{{Name: "worker", Log: []string{"serving"}}, {Name: "relay", State: "ended with exit code 7", Log: []string{"broker not found"}}}, "relay",
			[]string{"log of p/relay:", "  broker not found"}},
		"it runs again": {[]Container{{Name: "worker", State: "running since now", Log: []string{"starting"}, Previous: []string{"no database"}}}, "worker",
			[]string{"log of p/worker:", "  no database"}},
		"it has ended again": {[]Container{{Name: "worker", State: "ended with exit code 1", Log: []string{"second"}, Previous: []string{"first"}}}, "worker",
			[]string{"log of p/worker:", "  second"}},
		"above a stack trace": {[]Container{{Name: "worker", State: "ended", Log: crash}}, "worker",
			[]string{"log of p/worker:", "  error: Cannot find package 'hono'", "  …", "      at f (/app/x.js:1:2)", "  Bun v1.2"}},
		"nothing logged": {[]Container{{Name: "worker", State: "ended"}}, "worker", nil},
		"only another container has a log": {[]Container{{Name: "worker", State: "waiting"}, {Name: "relay", Log: []string{"fine"}}}, "worker",
			[]string{"log of p/relay:", "  fine"}},
	}
	for name, tt := range tests {
		e := Evidence{Pods: []Pod{{Name: "p", Containers: tt.containers}}, cause: verdict.Container{Pod: "p", Name: tt.cause}}
		if got := e.Brief(2); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}
