package inngest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Wanted names a registration: the app's id as the worker has it, and the URL
// under which the server is to call the worker, SDK path included. Where an
// app is chosen, both count, never its place in the list.
type Wanted struct {
	App string `json:"app"`
	URL string `json:"url"`
}

func (w Wanted) at(a App) bool { return NormalizeURL(a.URL) == NormalizeURL(w.URL) }

// Choose picks the wanted app; nil when it is not registered. A registration
// of the same name under another URL is chosen as well, as long as it is the
// only one: servers since 1.15 keep one app per name and will move it.
// Without a name the URL alone decides.
func Choose(apps []App, want Wanted) (*App, error) {
	var named, placed []*App
	for i := range apps {
		a := &apps[i]
		if a.Name != "" && want.at(*a) {
			placed = append(placed, a)
		}
		if a.Name == want.App && a.Name != "" {
			named = append(named, a)
		}
	}
	if want.App == "" {
		if len(placed) > 1 {
			return nil, &pipeline.Finding{
				Code: "inngest-app-ambiguous", Severity: pipeline.Error,
				What: fmt.Sprintf("%d apps are registered at %s: %s", len(placed), want.URL, names(placed)),
				Why:  "which one is the worker's cannot be told by the URL",
				Fix:  "set inngest.app in .sbw.yaml to the worker's INNGEST_APP_ID",
			}
		}
		return first(placed), nil
	}
	if i := slices.IndexFunc(named, func(a *App) bool { return want.at(*a) }); i >= 0 {
		return named[i], nil
	}
	if len(named) == 1 {
		return named[0], nil
	}
	return nil, nil
}

func first(apps []*App) *App {
	if len(apps) == 0 {
		return nil
	}
	return apps[0]
}

func names(apps []*App) string {
	var all []string
	for _, a := range apps {
		all = append(all, a.Name)
	}
	return strings.Join(all, ", ")
}
