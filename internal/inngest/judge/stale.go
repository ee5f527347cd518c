package judge

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// StaleFinding reports stale registrations; nil when there are none.
func StaleFinding(stale []Stale) *pipeline.Finding {
	if len(stale) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code: "inngest-stale-apps", Severity: pipeline.Warning, What: fmt.Sprintf("%s stale", IsAre(len(stale), "registration")),
		Why: stale[0].Reason, Fix: "`kubectl sbw refresh --prune-stale`",
	}
	for _, s := range stale {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%q at %s: %s (%s)", s.App.Name, s.App.URL, s.Reason, s.Rule))
	}
	return f
}

// Rule is the reason for which a registration may be deleted. There are no
// others.
type Rule string

// The rules.
const (
	// OtherURL: our app's name, registered a second time under another URL,
	// while ours is registered under its own.
	OtherURL Rule = "other-url"
	// OtherName: our worker's URL under another name. One SDK endpoint serves
	// one app, so the name is one that the worker had before.
	OtherName Rule = "other-name"
	// Placeholder: no name, no functions, never reached; left by "add app"
	// with an URL that did not answer.
	Placeholder Rule = "placeholder"
	// WorkerGone: the Service in its URL is not in the cluster any more, as
	// the caller found out.
	WorkerGone Rule = "worker-gone"
)

// Stale is a registration that a rule condemns.
type Stale struct {
	App    model.App `json:"app"`
	Rule   Rule      `json:"rule"`
	Reason string    `json:"reason"`
	// Runs in flight keep a registration from being deleted: they would lose
	// their functions.
	InFlight int `json:"inFlight"`
}

// Prunable reports whether it may be deleted now.
func (s Stale) Prunable() bool { return s.InFlight == 0 }

// Evidence is what the caller knows beyond the server's list.
type Evidence struct {
	// Gone are Services that do not exist, by the host part of a URL as apps
	// have it ("old-worker", "old-worker.joelclaw.svc.cluster.local"), each
	// with the proof in words. Hosts outside of the cluster never belong here.
	Gone map[string]string
	// InFlight counts runs that have not ended, by app id.
	InFlight map[string]int
}

// Judge splits all apps but the wanted one into stale and foreign. An app is
// foreign unless a rule says otherwise: another worker's registration, a host
// worker's above all, is nobody's to delete.
func Judge(apps []model.App, want model.Wanted, e Evidence) (stale []Stale, foreign []model.App) {
	own, err := Choose(apps, want)
	if err != nil {
		own = nil
	}
	settled := own != nil && want.At(*own)
	for i := range apps {
		a := apps[i]
		if own != nil && a.ID == own.ID {
			continue
		}
		rule, reason := judge(a, want, settled, e.Gone)
		if rule == "" {
			foreign = append(foreign, a)
			continue
		}
		stale = append(stale, Stale{App: a, Rule: rule, Reason: reason, InFlight: e.InFlight[a.ID]})
	}
	return stale, foreign
}

func judge(a model.App, want model.Wanted, settled bool, gone map[string]string) (Rule, string) {
	switch {
	case a.Name == "" && len(a.Functions) == 0 && a.Error != "":
		return Placeholder, fmt.Sprintf("no worker ever answered at %s (%s)", a.URL, a.Error)
	case a.Name == "":
		return "", "" // nameless with functions: the server adopts it at the next registration
	case settled && a.Name == want.App:
		return OtherURL, fmt.Sprintf("%s is served at %s now", a.Name, want.URL)
	case settled && want.At(a):
		return OtherName, fmt.Sprintf("the worker at %s is %s now", want.URL, want.App)
	}
	if u, err := url.Parse(a.URL); err == nil {
		if proof, ok := gone[strings.ToLower(u.Hostname())]; ok && proof != "" {
			return WorkerGone, proof
		}
	}
	return "", ""
}
