package judge

import (
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// whole returns a path without a fault.
func whole() Path {
	return Path{
		URL: "http://worker:3111/api/inngest", Namespace: "joelclaw", Service: "worker", Server: "joelclaw", Found: true,
		Ports: []int{3111}, Target: 3111, Port: 3111, Ours: []string{"worker-1"}, Selects: true, Pods: 1,
	}
}

func TestJudgePath(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(*Path)
		code  pipeline.Code
		why   string
	}{
		"whole":                         {func(*Path) {}, "", ""},
		"a named target port":           {func(p *Path) { p.TargetName = "http" }, "", ""},
		"a host outside the cluster":    {func(p *Path) { *p = Path{URL: "https://worker.example.com/api/inngest"} }, "", ""},
		"a Service without a selector":  {func(p *Path) { p.External, p.Selects, p.Ours = true, false, nil }, "", ""},
		"the default port":              {func(p *Path) { p.URL, p.Ports = "http://worker/api/inngest", []int{80} }, "", ""},
		"the default port of https":     {func(p *Path) { p.URL, p.Ports = "https://worker/api/inngest", []int{443} }, "", ""},
		"a Service that does not exist": {func(p *Path) { p.Found = false }, model.CodePathBroken, "does not exist in namespace joelclaw, where the server runs"},
		"a Service elsewhere": {func(p *Path) {
			p.URL, p.Namespace, p.Found = "http://worker.other.svc:3111/api/inngest", "other", false
		}, model.CodePathBroken, "does not exist in namespace other"},
		"another port":                    {func(p *Path) { p.Ports = []int{80, 8080} }, model.CodePathBroken, "does not have port 3111, but 80, 8080"},
		"a selector that fits other pods": {func(p *Path) { p.Selects, p.Ours, p.Pods = false, nil, 0 }, model.CodePathBroken, "does not match the worker's pods"},
		"a port's name that no pod has":   {func(p *Path) { p.Target, p.TargetName = 0, "htpp" }, model.CodePathBroken, `named "htpp"`},
		"a path of the environment":       {func(p *Path) { p.ServePath = "/api/other" }, model.CodePathBroken, "INNGEST_SERVE_PATH"},
		"the same path":                   {func(p *Path) { p.ServePath = "api/inngest/" }, "", ""},
		"a path, outside the cluster":     {func(p *Path) { *p = Path{URL: "https://w.example.com/api/inngest", ServePath: "/x"} }, model.CodePathBroken, "INNGEST_SERVE_PATH"},
		"no ready pod":                    {func(p *Path) { p.Ours, p.Pods = nil, 3 }, model.CodePathBroken, "0 of its 3 pods are ready"},
		"only pods of other workloads":    {func(p *Path) { p.Ours, p.Others, p.Pods = nil, []string{"x"}, 0 }, model.CodePathBroken, "0 of its 0 pods"},
		"pods of other workloads as well": {func(p *Path) { p.Others = []string{"cron-1"} }, model.CodePathShared, "go to them as well"},
	} {
		p := whole()
		c.alter(&p)
		all := append(JudgePath(p), JudgeEndpoints(p)...)
		if c.code == "" {
			if len(all) != 0 {
				t.Errorf("%s: %v", name, all)
			}
			continue
		}
		if len(all) != 1 {
			t.Errorf("%s: %d findings: %v", name, len(all), all)
			continue
		}
		f := all[0]
		if f.Code != c.code {
			t.Errorf("%s: code %s, want %s", name, f.Code, c.code)
		}
		if !strings.Contains(f.Why, c.why) {
			t.Errorf("%s: the reason is %q, want %q in it", name, f.Why, c.why)
		}
		if f.What == "" || f.Fix == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestJudgeKind(t *testing.T) {
	for name, c := range map[string]struct {
		kind, dev string
		wrong     bool
	}{
		"start and cloud":              {"cloud", "0", false},
		"start and dev":                {"cloud", "1", true},
		"start and a dev server's URL": {"cloud", "http://inngest:8288", true},
		"start and true":               {"cloud", "true", true},
		"dev and cloud":                {"dev", "false", true},
		"dev and dev":                  {"dev", "1", false},
		"dev and a URL":                {"dev", "http://inngest:8288", false},
		"a kind that is not known":     {"", "1", false},
		"a mode that is not set":       {"cloud", "", false},
		"a mode that nobody can read":  {"cloud", "perhaps", false},
		"a mode with space around it":  {"cloud", " 0 ", false},
		"start and a mode in capitals": {"cloud", "TRUE", true},
	} {
		f := JudgeKind(c.kind, Mode(c.dev), "INNGEST_DEV is "+c.dev)
		if (f != nil) != c.wrong {
			t.Errorf("%s: %v", name, f)
		}
		if f != nil && (f.Code != model.CodeServerKind || f.Severity != pipeline.Error || f.Fix == "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
