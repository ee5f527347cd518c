package judge

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Rule is a reason why a registration counts as stale. There are no others.
type Rule string

// These are the rules.
const (
	// OtherURL: our app's name is registered a second time under another URL,
	// while our app is registered under its own. Servers before 1.15 keep
	// both.
	OtherURL Rule = "other-url"
	// OtherName: our worker's URL is registered under another name. One SDK
	// endpoint serves one app, so the worker had that name before.
	OtherName Rule = "other-name"
	// Placeholder: the app has no name and no functions and was never reached.
	// "Add app" or createApp leaves it behind if the URL does not answer.
	Placeholder Rule = "placeholder"
	// WorkerGone: all of its functions are ours, and the Service in its URL no
	// longer exists.
	WorkerGone Rule = "worker-gone"
)

// Liveness is what is known about the worker behind a registration.
type Liveness string

// The zero value means that it could not be determined; it never counts as
// Dead.
const (
	Unknown Liveness = ""
	Alive   Liveness = "alive"
	Dead    Liveness = "dead"
)

// Worker is the worker behind a registration, with the proof in words.
type Worker struct {
	Liveness Liveness
	Proof    string
}

// Stale is a registration that matches a rule.
type Stale struct {
	App    model.App `json:"app"`
	Rule   Rule      `json:"rule"`
	Reason string    `json:"reason"`
	// Kept is the reason why it must not be deleted now although it matches a
	// rule.
	Kept string `json:"kept,omitempty"`
	// InFlight counts runs that have begun and would lose their functions, Queued
	// those that have not begun.
	InFlight int `json:"inFlight"`
	Queued   int `json:"queued,omitempty"`
}

// Prunable reports whether it may be deleted now.
func (s Stale) Prunable() bool { return s.Kept == "" }

// Evidence is what is known in addition to the server's list of apps, keyed by
// app id.
type Evidence struct {
	Workers  map[string]Worker
	InFlight map[string]InFlight
	Recent   map[string]bool // apps with a run in the last day
}

// Judge splits all apps except the wanted one into stale and foreign ones. An
// app is foreign unless a rule says otherwise: we must not delete the
// registration of another worker, especially not that of a host worker. A
// stale app may be deleted only if it is also proven to be dead.
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
		s := Stale{App: a, InFlight: e.InFlight[a.ID].Begun, Queued: e.InFlight[a.ID].Queued}
		if s.Rule, s.Reason = judge(a, own, want, settled, e.Workers[a.ID]); s.Rule == "" {
			foreign = append(foreign, a)
			continue
		}
		s.Kept = kept(s, e)
		stale = append(stale, s)
	}
	return stale, foreign
}

func judge(a model.App, own *model.App, want model.Wanted, settled bool, w Worker) (Rule, string) {
	if a.Method == model.MethodConnect || !isHTTP(a.URL) {
		return "", "" // its worker dials the server: the URL says nothing about it
	}
	switch {
	case a.Name == "" && len(a.Functions) == 0 && a.Error != "":
		if want.At(a) || w.Liveness == Dead {
			return Placeholder, fmt.Sprintf("a worker never answered at %s (%s)", a.URL, a.Error)
		}
		return "", "" // a worker may still start there
	case a.Name == "":
		return "", "" // nameless but with functions: the server adopts it at the next registration
	case settled && a.Name == want.App:
		return OtherURL, fmt.Sprintf("%s is served at %s now", a.Name, want.URL)
	case settled && want.At(a):
		return OtherName, fmt.Sprintf("the worker at %s is %s now", want.URL, want.App)
	case own != nil && w.Liveness == Dead && onlyOurs(a, *own):
		return WorkerGone, w.Proof
	}
	return "", ""
}

// onlyOurs reports whether every function of an app is one of ours.
func onlyOurs(a, own model.App) bool {
	return len(a.Functions) > 0 && !slices.ContainsFunc(a.Functions, func(f model.Function) bool {
		return !slices.ContainsFunc(own.Functions, func(o model.Function) bool { return o.LocalID() == f.LocalID() })
	})
}

// kept returns the reason why a stale registration must not be deleted; empty
// if it may be.
func kept(s Stale, e Evidence) string {
	w := e.Workers[s.App.ID]
	switch {
	case e.InFlight[s.App.ID].Total() > 0:
		return "it has " + e.InFlight[s.App.ID].String()
	case e.Recent[s.App.ID]:
		return "it has had a run in the last day"
	case s.Rule == Placeholder && w.Liveness != Alive, s.Rule == OtherName:
		return "" // nothing can be lost; and our own worker answers under its new name
	case w.Liveness == Alive:
		return "its worker answers: " + w.Proof
	case w.Liveness != Dead:
		if w.Proof == "" {
			return "it is not proven that its worker is gone"
		}
		return "it is not proven that its worker is gone: " + w.Proof
	}
	return ""
}

func isHTTP(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https"))
}

// StaleFinding reports stale registrations; nil if there are none.
func StaleFinding(stale []Stale) *pipeline.Finding {
	if len(stale) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code:     model.CodeStaleApps,
		Severity: pipeline.Warning,
		What:     fmt.Sprintf("%s stale", IsAre(len(stale), "registration")),
		Why:      stale[0].Reason,
		Fix:      "delete in the server's UI what is no longer needed",
	}
	for _, s := range stale {
		line := fmt.Sprintf("%q at %s: %s (%s)", s.App.Name, s.App.URL, s.Reason, s.Rule)
		if s.Prunable() {
			f.Fix = "run `kubectl sbw refresh --prune-stale`; `--dry-run` lists what it would delete"
		} else {
			line += "; kept, since " + s.Kept
		}
		f.Evidence = append(f.Evidence, line)
	}
	return f
}
