package judge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	here  = "http://system-bus-worker:3111/api/inngest"
	there = "http://system-bus-worker-old:3111/api/inngest"
	host  = "http://flagg:3111/api/inngest"
)

var cluster = model.Wanted{App: "system-bus-cluster", URL: here}

func anApp(id, name, url string, functions ...string) model.App {
	a := model.App{ID: id, Name: name, URL: url, Method: "SERVE"}
	for _, f := range functions {
		a.Functions = append(a.Functions, model.Function{ID: id + "/" + f, Slug: name + "-" + f, Name: f, App: name, Retries: 4})
	}
	return a
}

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		apps []model.App
		want model.Wanted
		id   string
		code string
	}{
		"nothing registered":                     {nil, cluster, "", ""},
		"by name and URL, not the first":         {[]model.App{anApp("h", "system-bus-host", host), anApp("c", "system-bus-cluster", here)}, cluster, "c", ""},
		"by name, elsewhere":                     {[]model.App{anApp("h", "system-bus-host", host), anApp("c", "system-bus-cluster", there)}, cluster, "c", ""},
		"twice by name, one here":                {[]model.App{anApp("o", "system-bus-cluster", there), anApp("c", "system-bus-cluster", here)}, cluster, "c", ""},
		"twice by name, none here":               {[]model.App{anApp("o", "system-bus-cluster", there), anApp("p", "system-bus-cluster", host)}, cluster, "", ""},
		"another name here is not ours":          {[]model.App{anApp("x", "former-name", here)}, cluster, "", ""},
		"a placeholder here is not ours":         {[]model.App{anApp("p", "", here)}, cluster, "", ""},
		"without a name, by URL":                 {[]model.App{anApp("h", "system-bus-host", host), anApp("c", "x", here)}, model.Wanted{URL: here}, "c", ""},
		"without a name, by URL as it is stored": {[]model.App{anApp("c", "x", "http://localhost:3111/api/inngest")}, model.Wanted{URL: "http://127.0.0.1:3111/api/inngest"}, "c", ""},
		"without a name, two here":               {[]model.App{anApp("a", "x", here), anApp("b", "y", here)}, model.Wanted{URL: here}, "", "inngest-app-ambiguous"},
		"without a name, none here":              {[]model.App{anApp("h", "system-bus-host", host)}, model.Wanted{URL: here}, "", ""},
	} {
		got, err := Choose(c.apps, c.want)
		id := ""
		if got != nil {
			id = got.ID
		}
		if id != c.id || codeOf(err) != c.code {
			t.Errorf("%s: %q %v, want %q %s", name, id, err, c.id, c.code)
		}
	}
}

func codeOf(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok && f != nil {
		return string(f.Code)
	}
	return ""
}

func TestCompare(t *testing.T) {
	f := func(slug string, retries int, triggers ...model.Trigger) model.Function {
		return model.Function{Slug: slug, Retries: retries, Triggers: triggers}
	}
	a, b := model.Trigger{Event: "a"}, model.Trigger{Event: "b"}
	limited := f("x", 4)
	limited.Concurrency = []model.Concurrency{{Scope: "FUNCTION", Limit: 2}}
	for name, c := range map[string]struct {
		registered, served []model.Function
		want               string
	}{
		"nothing on either side":    {nil, nil, "+[] -[] ~[] =[]"},
		"all new":                   {nil, []model.Function{f("b", 4), f("a", 4)}, "+[a b] -[] ~[] =[]"},
		"all gone":                  {[]model.Function{f("b", 4), f("a", 4)}, nil, "+[] -[a b] ~[] =[]"},
		"same in another order":     {[]model.Function{f("b", 4), f("a", 4)}, []model.Function{f("a", 4), f("b", 4)}, "+[] -[] ~[] =[a b]"},
		"retries":                   {[]model.Function{f("a", 4)}, []model.Function{f("a", 0)}, "+[] -[] ~[a: retries 4 → 0] =[]"},
		"triggers":                  {[]model.Function{f("a", 4, a)}, []model.Function{f("a", 4, b)}, "+[] -[] ~[a: triggers a → b] =[]"},
		"triggers in another order": {[]model.Function{f("a", 4, a, b)}, []model.Function{f("a", 4, b, a)}, "+[] -[] ~[] =[a]"},
		"a condition":               {[]model.Function{f("a", 4, a)}, []model.Function{f("a", 4, model.Trigger{Event: "a", Condition: "event.data.x == 1"})}, "+[] -[] ~[a: triggers a → a if event.data.x == 1] =[]"},
		"concurrency":               {[]model.Function{f("x", 4)}, []model.Function{limited}, "+[] -[] ~[x: concurrency none → 2] =[]"},
		"one of each":               {[]model.Function{f("a", 4), f("b", 4), f("c", 1)}, []model.Function{f("b", 4), f("c", 2), f("d", 4)}, "+[d] -[a] ~[c: retries 1 → 2] =[b]"},
		"URLs follow from the app":  {[]model.Function{{Slug: "a", URL: here}}, []model.Function{{Slug: "a", URL: there}}, "+[] -[] ~[] =[a]"},
	} {
		d := Compare(c.registered, c.served)
		var changed []string
		for _, ch := range d.Changed {
			changed = append(changed, ch.Slug+": "+strings.Join(ch.What, ", "))
		}
		got := fmt.Sprintf("+%v -%v ~%v =%v", slugs(d.Added), slugs(d.Removed), changed, d.Kept)
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestGuardLoss(t *testing.T) {
	gone := Diff{Removed: []model.Function{{Slug: "app-a"}, {Slug: "app-b"}}}
	if f := GuardLoss(Diff{Added: gone.Removed}, nil, false); f != nil {
		t.Errorf("nothing disappears, yet %v", f)
	}
	f := GuardLoss(gone, map[string]InFlight{"app-b": {Begun: 2}, "app-c": {Begun: 9}}, false)
	if f.Severity != pipeline.Error || !strings.Contains(f.What, "app-a, app-b") || !strings.Contains(f.Why, "app-b has 2 runs in flight") || strings.Contains(f.Why, "app-c") {
		t.Errorf("%v", f)
	}
	if f := GuardLoss(gone, nil, true); f.Severity != pipeline.Warning || !strings.Contains(f.What, "disappear, as allowed") {
		t.Errorf("%v", f)
	}
}

func TestJudge(t *testing.T) {
	own := anApp("c", "system-bus-cluster", here, "a")
	placeholder := model.App{ID: "p", URL: "http://localhost:3999/api/inngest", Error: "unreachable"}
	dead := func(ids ...string) map[string]Worker {
		all := map[string]Worker{}
		for _, id := range ids {
			all[id] = Worker{Dead, "its Service does not exist"}
		}
		return all
	}
	connected := func(a model.App) model.App {
		a.Method = model.MethodConnect
		return a
	}
	loops := anApp("g", "loops", "http://loops.joelclaw.svc:3111/api/inngest", "a")
	for name, c := range map[string]struct {
		apps     []model.App
		evidence Evidence
		want     string
	}{
		"alone": {[]model.App{own}, Evidence{}, "stale: foreign:"},
		"the host worker's app, whatever is known of it": {[]model.App{own, anApp("h", "system-bus-host", host, "a")}, Evidence{}, "stale: foreign: h"},
		"a host worker with an error":                    {[]model.App{own, {ID: "h", Name: "system-bus-host", URL: host, Error: "unreachable"}}, Evidence{}, "stale: foreign: h"},

		"our name at another URL, dead":                          {[]model.App{own, anApp("o", "system-bus-cluster", there, "a")}, Evidence{Workers: dead("o")}, "stale: o=other-url foreign:"},
		"our name at another URL, alive":                         {[]model.App{own, anApp("o", "system-bus-cluster", there, "a")}, Evidence{Workers: map[string]Worker{"o": {Alive, "it answers"}}}, "stale: o=other-url(kept) foreign:"},
		"our name at another URL, nothing proven":                {[]model.App{own, anApp("o", "system-bus-cluster", there, "a")}, Evidence{}, "stale: o=other-url(kept) foreign:"},
		"our name at another URL, while ours is not settled":     {[]model.App{anApp("o", "system-bus-cluster", there, "a"), anApp("q", "system-bus-cluster", host, "a")}, Evidence{Workers: dead("o", "q")}, "stale: foreign: o q"},
		"our name at another URL, connected":                     {[]model.App{own, connected(anApp("o", "system-bus-cluster", there, "a"))}, Evidence{Workers: dead("o")}, "stale: foreign: o"},
		"our name at another URL, a run in the last day":         {[]model.App{own, anApp("o", "system-bus-cluster", there, "a")}, Evidence{Workers: dead("o"), Recent: map[string]bool{"o": true}}, "stale: o=other-url(kept) foreign:"},
		"our name at another URL, runs in flight":                {[]model.App{own, anApp("o", "system-bus-cluster", there, "a")}, Evidence{Workers: dead("o"), InFlight: map[string]InFlight{"o": {Begun: 3}}}, "stale: o=other-url(kept) foreign:"},
		"our URL under a former name":                            {[]model.App{own, anApp("f", "former-name", here, "a")}, Evidence{}, "stale: f=other-name foreign:"},
		"our URL under a former name, a run in the last day":     {[]model.App{own, anApp("f", "former-name", here, "a")}, Evidence{Recent: map[string]bool{"f": true}}, "stale: f=other-name(kept) foreign:"},
		"our URL under a former name, connected":                 {[]model.App{own, connected(anApp("f", "former-name", here, "a"))}, Evidence{}, "stale: foreign: f"},
		"our URL under a former name, while ours is not settled": {[]model.App{anApp("f", "former-name", here, "a")}, Evidence{}, "stale: foreign: f"},

		"a placeholder at our URL":                 {[]model.App{own, {ID: "p", URL: here, Error: "unreachable"}}, Evidence{}, "stale: p=placeholder foreign:"},
		"a placeholder whose Service is gone":      {[]model.App{own, placeholder}, Evidence{Workers: dead("p")}, "stale: p=placeholder foreign:"},
		"a placeholder somewhere":                  {[]model.App{own, placeholder}, Evidence{}, "stale: foreign: p"},
		"a placeholder somewhere that answers":     {[]model.App{own, placeholder}, Evidence{Workers: map[string]Worker{"p": {Alive, "it answers"}}}, "stale: foreign: p"},
		"nameless, but with functions":             {[]model.App{own, {ID: "p", URL: there, Error: "unreachable", Functions: own.Functions}}, Evidence{Workers: dead("p")}, "stale: foreign: p"},
		"nameless without an error":                {[]model.App{own, {ID: "p", URL: there}}, Evidence{Workers: dead("p")}, "stale: foreign: p"},
		"a nameless connected worker":              {[]model.App{own, {ID: "p", URL: "ws://connect?app=a", Method: model.MethodConnect, Error: "unreachable"}}, Evidence{Workers: dead("p")}, "stale: foreign: p"},
		"a nameless app at a URL that is not http": {[]model.App{own, {ID: "p", URL: "ws://old.joelclaw.svc", Error: "unreachable"}}, Evidence{Workers: dead("p")}, "stale: foreign: p"},

		"a Service that is gone, with our functions":              {[]model.App{own, loops}, Evidence{Workers: dead("g")}, "stale: g=worker-gone foreign:"},
		"a Service that is gone, with other functions":            {[]model.App{own, anApp("g", "loops", loops.URL, "z")}, Evidence{Workers: dead("g")}, "stale: foreign: g"},
		"a Service that is gone, with one other function":         {[]model.App{own, anApp("g", "loops", loops.URL, "a", "z")}, Evidence{Workers: dead("g")}, "stale: foreign: g"},
		"a Service that is gone, without functions":               {[]model.App{own, anApp("g", "loops", loops.URL)}, Evidence{Workers: dead("g")}, "stale: foreign: g"},
		"a Service that is gone, connected":                       {[]model.App{own, connected(loops)}, Evidence{Workers: dead("g")}, "stale: foreign: g"},
		"a Service that is gone, without proof":                   {[]model.App{own, loops}, Evidence{Workers: map[string]Worker{"g": {Unknown, "cannot read it"}}}, "stale: foreign: g"},
		"a Service that is gone, while our app is not registered": {[]model.App{loops}, Evidence{Workers: dead("g")}, "stale: foreign: g"},
		"another Service is gone":                                 {[]model.App{own, loops}, Evidence{Workers: dead("x")}, "stale: foreign: g"},
		"a Service that is gone, runs in flight":                  {[]model.App{own, loops}, Evidence{Workers: dead("g"), InFlight: map[string]InFlight{"g": {Begun: 1}}}, "stale: g=worker-gone(kept) foreign:"},
		"a Service that is gone, queued runs":                     {[]model.App{own, loops}, Evidence{Workers: dead("g"), InFlight: map[string]InFlight{"g": {Queued: 1}}}, "stale: g=worker-gone(kept) foreign:"},
		"a Service that is gone, a run in the last day":           {[]model.App{own, loops}, Evidence{Workers: dead("g"), Recent: map[string]bool{"g": true}}, "stale: g=worker-gone(kept) foreign:"},
		"our own is never stale, gone or not":                     {[]model.App{own}, Evidence{Workers: dead("c")}, "stale: foreign:"},
	} {
		stale, foreign := Judge(c.apps, cluster, c.evidence)
		got := "stale:"
		for _, s := range stale {
			got += fmt.Sprintf(" %s=%s", s.App.ID, s.Rule)
			if !s.Prunable() {
				got += "(kept)"
			}
			if s.Reason == "" {
				t.Errorf("%s: %s is stale without a reason", name, s.App.ID)
			}
		}
		got += " foreign:"
		for _, f := range foreign {
			got += " " + f.ID
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestDuplicates(t *testing.T) {
	with := func(a model.App, event string) model.App {
		a.Functions = slices.Clone(a.Functions)
		for i := range a.Functions {
			a.Functions[i].Triggers = []model.Trigger{{Event: event}}
		}
		return a
	}
	handles := func(a model.App) model.App {
		a = with(a, model.FailedEvent)
		for i, f := range a.Functions {
			a.Functions[i].Triggers[0].Condition = "event.data.function_id == '" + strings.TrimSuffix(f.Slug, model.FailureSuffix) + "'"
		}
		return a
	}
	cron := anApp("c", "c", here, "hourly")
	cron.Functions[0].Triggers = []model.Trigger{{Cron: "0 * * * *"}}
	other := anApp("h", "h", host, "cleanup")
	other.Functions[0].Triggers = []model.Trigger{{Cron: "0 * * * *"}}
	for name, c := range map[string]struct {
		apps []model.App
		want string
	}{
		"none":                                         {[]model.App{anApp("c", "c", here, "a"), anApp("h", "h", host, "b")}, ""},
		"a function in both":                           {[]model.App{anApp("c", "c", here, "a", "x"), anApp("h", "h", host, "a")}, "function a [c-a h-a]"},
		"its trigger is reported only once":            {[]model.App{with(anApp("c", "c", here, "a"), "e"), with(anApp("h", "h", host, "a"), "e")}, "function a [c-a h-a]"},
		"a trigger in both":                            {[]model.App{with(anApp("c", "c", here, "a"), "e"), with(anApp("h", "h", host, "b"), "e")}, "trigger e [c-a h-b]"},
		"a trigger twice in one app is intended":       {[]model.App{with(anApp("c", "c", here, "a", "b"), "e")}, ""},
		"failure handlers are not counted separately":  {[]model.App{handles(anApp("c", "c", here, "a-failure")), handles(anApp("h", "h", host, "a-failure"))}, ""},
		"functions with such a name are":               {[]model.App{anApp("c", "c", here, "a-failure"), anApp("h", "h", host, "a-failure")}, "function a-failure [c-a-failure h-a-failure]"},
		"the same cron in two apps is not a duplicate": {[]model.App{cron, other}, ""},
	} {
		var got []string
		for _, d := range Duplicates(c.apps) {
			kind := "function " + d.Function
			if d.Trigger != "" {
				kind = "trigger " + d.Trigger
			}
			got = append(got, fmt.Sprintf("%s %v", kind, d.Slugs))
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %v, want %q", name, got, c.want)
		}
	}
}

// TestBeside: a worker with several clients registers an app for each, at its own path.
func TestBeside(t *testing.T) {
	own := anApp("c", "c", "http://worker:3111/api/inngest", "a")
	connected := anApp("w", "w", "http://worker:3111/api/w")
	connected.Method = model.MethodConnect
	for name, c := range map[string]struct {
		want  string // its URL
		other model.App
		is    bool
	}{
		"another path":                 {own.URL, anApp("x", "x", "http://worker:3111/api/second", "b"), true},
		"where our app is registered":  {"http://worker:4000/api/inngest", anApp("x", "x", "http://worker:3111/api/second", "b"), true},
		"where our app will be":        {"http://worker:4000/api/inngest", anApp("x", "x", "http://worker:4000/api/second", "b"), true},
		"the same URL":                 {own.URL, anApp("x", "x", own.URL, "b"), false},
		"another Service":              {own.URL, anApp("x", "x", "http://other:3111/api/second", "b"), false},
		"another port":                 {own.URL, anApp("x", "x", "http://worker:3112/api/second", "b"), false},
		"behind an ingress":            {"https://acme.dev/a/api/inngest", anApp("x", "x", "https://acme.dev/b/api/inngest", "b"), false},
		"behind an ingress, unsecured": {"http://acme.dev/a/api/inngest", anApp("x", "x", "http://acme.dev/b/api/inngest", "b"), false},
		"a connected worker":           {own.URL, connected, false},
	} {
		got, err := Choose([]model.App{c.other, own}, model.Wanted{App: "c", URL: c.want})
		if err != nil || got == nil || len(got.Beside) == 1 != c.is {
			t.Errorf("%s: %+v %v", name, got, err)
			continue
		}
		if c.is && (!slices.Equal(got.IDs(), []string{"c", "x"}) || len(got.Executes()) != 2) {
			t.Errorf("%s: %v %v", name, got.IDs(), got.Executes())
		}
		e := ExecutingStep(model.Run{Slug: "x-b"}, Where{}, *got)
		if e.Known != c.is {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestUnsafe(t *testing.T) {
	failed := func(condition string) []model.Trigger {
		return []model.Trigger{{Event: model.FailedEvent, Condition: condition}}
	}
	fns := []model.Function{
		{Slug: "app-a", App: "app", Retries: 0}, {Slug: "app-b", App: "app", Retries: 1}, {Slug: "app-c", App: "app", Retries: 0},
		{Slug: "app-e", App: "app", Retries: 0}, {Slug: "app-f", App: "app", Retries: 0},
		{Slug: "app-d-failure", App: "app", Triggers: failed("event.data.function_id == 'app-d'")}, // of JavaScript
		{Slug: "app-p-failure", App: "app", Triggers: failed(`event.data.function_id == "app-p"`)},
		// These are functions of the user's own.
		{Slug: "app-payment-failure", App: "app", Triggers: []model.Trigger{{Event: "payment/failed"}}},
		{Slug: "app-any-failure", App: "app", Triggers: failed("")},
		{Slug: "app-one-failure", App: "app", Triggers: failed("event.data.function_id == 'app-two-one'")},
	}
	allowed := map[string]string{"c": "a canary", "app-e": "by its slug", "f": ""}
	var got []string
	for _, f := range ZeroRetryFindings(fns, allowed) {
		got = append(got, f.Severity.String()+" "+f.Where)
	}
	if want := "error app-a, error app-any-failure, note app-c, note app-e, error app-f, error app-one-failure, error app-payment-failure"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestJudgeRestart(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	step := func(retries, attempt int, age time.Duration) Executing {
		return Executing{Run: "r", Slug: "app-a", Step: "s", Attempt: attempt, Retries: retries, Known: true, Since: now.Add(-age)}
	}
	unknown := step(4, 0, time.Minute)
	unknown.Known = false
	for name, c := range map[string]struct {
		step Executing
		o    RestartOptions
		code string
		sev  pipeline.Severity
		idle bool
	}{
		"retries left":                {step(2, 0, time.Minute), RestartOptions{}, "inngest-step-delayed", pipeline.Note, false},
		"one retry left":              {step(2, 1, time.Minute), RestartOptions{}, "inngest-step-delayed", pipeline.Note, false},
		"the last attempt":            {step(2, 2, time.Minute), RestartOptions{}, "inngest-step-killed", pipeline.Error, false},
		"retries 0":                   {step(0, 0, time.Second), RestartOptions{}, "inngest-step-killed", pipeline.Error, false},
		"retries 0, forced":           {step(0, 0, time.Second), RestartOptions{Force: true}, "inngest-step-killed", pipeline.Warning, false},
		"retries 0, young, some loss": {step(0, 0, time.Second), RestartOptions{MaxStepLoss: time.Minute}, "inngest-step-killed", pipeline.Error, false},
		"a function that is gone":     {unknown, RestartOptions{}, "inngest-step-killed", pipeline.Error, false},
		"younger than may be lost":    {step(2, 0, 29*time.Second), RestartOptions{MaxStepLoss: 30 * time.Second}, "inngest-step-delayed", pipeline.Note, true},
		"as old as may be lost":       {step(2, 0, 30*time.Second), RestartOptions{MaxStepLoss: 30 * time.Second}, "inngest-step-delayed", pipeline.Note, true},
		"older than may be lost":      {step(2, 0, 31*time.Second), RestartOptions{MaxStepLoss: 30 * time.Second}, "inngest-step-loss", pipeline.Error, false},
		"older, forced":               {step(2, 0, time.Hour), RestartOptions{MaxStepLoss: 30 * time.Second, Force: true}, "inngest-step-loss", pipeline.Warning, false},
		"the server's clock is ahead": {step(2, 0, -time.Second), RestartOptions{}, "inngest-step-delayed", pipeline.Note, false},
	} {
		c.o.Now = now
		f := JudgeRestart([]Executing{c.step}, c.o)[0]
		if string(f.Code) != c.code || f.Severity != c.sev {
			t.Errorf("%s: %s %s, want %s %s", name, f.Severity, f.Code, c.sev, c.code)
		}
		if f.Severity == pipeline.Error && f.Fix == "" {
			t.Errorf("%s: no remedy", name)
		}
		if got := Idle([]Executing{c.step}, c.o); got != c.idle {
			t.Errorf("%s: idle %v, want %v", name, got, c.idle)
		}
	}
	all := JudgeRestart([]Executing{step(2, 0, 0), step(0, 0, 0)}, RestartOptions{Now: now})
	if all[0].Severity != pipeline.Error || !Idle(nil, RestartOptions{}) {
		t.Errorf("the gravest is not first: %v", all)
	}
}

func TestLost(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	w := Window{From: at.Add(-time.Minute), To: at.Add(time.Minute), Failed: map[string]bool{"earlier": true}}
	run := func(status model.RunStatus, ended time.Duration, err string) model.Run {
		return model.Run{ID: "r", Status: status, Ended: at.Add(ended), Error: err}
	}
	for name, c := range map[string]struct {
		run  model.Run
		want bool
	}{
		"unreachable":        {run(model.Failed, 0, "Unable to reach SDK URL"), true},
		"connect, silent":    {run(model.Failed, 0, "The worker stopped responding to the request."), true},
		"connect, gone":      {run(model.Failed, 0, "Could not find a healthy connection"), true},
		"broken off":         {run(model.Failed, 0, "error performing request: read: connection reset by peer"), true},
		"while reading":      {run(model.Failed, 0, "Your server reset the connection while we were reading the reply: Unexpected ending response"), true},
		"while sending":      {run(model.Failed, 0, "Your server reset the connection while we were sending the request."), true},
		"no endpoint":        {run(model.Failed, 0, "invalid status code: 503"), true},
		"no endpoint, newer": {run(model.Failed, 0, "Your server returned HTTP 502 before the SDK responded."), true},
		"its own 500":        {run(model.Failed, 0, "invalid status code: 500"), false},
		"its own error":      {run(model.Failed, 0, "thrown on purpose"), false},
		"before the window":  {run(model.Failed, -time.Hour, "Unable to reach SDK URL"), false},
		"after the window":   {run(model.Failed, time.Hour, "Unable to reach SDK URL"), false},
		"still trying":       {run(model.Running, 0, "Unable to reach SDK URL"), false},
		"recovered":          {run(model.Completed, 0, "Unable to reach SDK URL"), false},
		"cancelled":          {run(model.Cancelled, 0, "Unable to reach SDK URL"), false},
	} {
		if _, got := Lost(c.run, w); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if LostFinding(nil) != nil {
		t.Error("a finding without a lost run")
	}
}
