// Package judge decides: which app is ours, what a registration changes, what a
// restart does to running steps, what is stale, and what is wrong. Everything in
// it is a pure function over values of package model, with a table of cases;
// package inngest fetches the values and acts on the verdicts.
package judge

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Choose returns the wanted app, or nil if it is not registered. It also
// accepts a registration of the same name under another URL if there is only
// one: servers since 1.15 keep one app per name and will move it. Without a
// name, only the URL counts. The app's Beside is set.
func Choose(apps []model.App, want model.Wanted) (*model.App, error) {
	own, err := choose(apps, want)
	if own != nil {
		own.Beside = beside(apps, *own, want)
	}
	return own, err
}

// beside returns the apps that the same worker serves at other paths: a worker with
// several clients registers one app for each.
func beside(apps []model.App, own model.App, want model.Wanted) (all []model.App) {
	for _, a := range apps {
		if a.ID != own.ID && a.Method != model.MethodConnect && !want.At(a) && a.URL != own.URL &&
			(sameService(a.URL, want.URL) || sameService(a.URL, own.URL)) {
			all = append(all, a)
		}
	}
	return all
}

// sameService reports whether two URLs lead to the same port of the same host. Only the
// address of a Service counts: an ingress, which may send each path to another worker,
// has a URL without a port.
func sameService(a, b string) bool {
	u, err1 := url.Parse(model.NormalizeURL(a))
	v, err2 := url.Parse(model.NormalizeURL(b))
	return err1 == nil && err2 == nil && u.Scheme == "http" && v.Scheme == "http" && u.Port() != "" && u.Host == v.Host
}

func choose(apps []model.App, want model.Wanted) (*model.App, error) {
	var named, placed []*model.App
	for i := range apps {
		a := &apps[i]
		if a.Name != "" && want.At(*a) {
			placed = append(placed, a)
		}
		if a.Name == want.App && a.Name != "" {
			named = append(named, a)
		}
	}
	if want.App == "" {
		if len(placed) > 1 {
			return nil, &pipeline.Finding{
				Code: model.CodeAppAmbiguous, Severity: pipeline.Error,
				What: fmt.Sprintf("%d apps are registered at %s: %s", len(placed), want.URL, names(placed)),
				Why:  "the URL does not decide which one is the worker's",
				Fix:  "set inngest.app in .sbw.yaml to the worker's INNGEST_APP_ID",
			}
		}
		return first(placed), nil
	}
	if i := slices.IndexFunc(named, func(a *model.App) bool { return want.At(*a) }); i >= 0 {
		return named[i], nil
	}
	if len(named) == 1 {
		return named[0], nil
	}
	return nil, nil
}

func first(apps []*model.App) *model.App {
	if len(apps) == 0 {
		return nil
	}
	return apps[0]
}

func names(apps []*model.App) string {
	var all []string
	for _, a := range apps {
		all = append(all, a.Name)
	}
	return strings.Join(all, ", ")
}
