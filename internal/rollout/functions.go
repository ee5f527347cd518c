package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// Function is one registered function.
type Function struct {
	model.Function
	// Defined is where the catalog of the running image locates it: FILE:LINE.
	Defined string `json:"defined,omitempty"`
	// Also lists the same function in other apps, Shared the functions of other
	// apps that the same event triggers.
	Also   []string `json:"alsoIn,omitempty"`
	Shared []string `json:"sharesTriggerWith,omitempty"`
}

// Functions returns the functions of the wanted apps, sorted, and marks those that
// also exist in another app.
func Functions(apps []model.App, own, name string, all bool, defined *catalog.Catalog) []Function {
	also, shared := map[string][]string{}, map[string][]string{}
	for _, d := range judge.Duplicates(apps) {
		into := also
		if d.Trigger != "" {
			into = shared
		}
		for _, slug := range d.Slugs {
			for _, other := range d.Slugs {
				if other != slug && !slices.Contains(into[slug], other) {
					into[slug] = append(into[slug], other)
				}
			}
		}
	}
	rows := []Function{}
	for _, a := range apps {
		if !all && a.Name != own {
			continue
		}
		places := placesOf(a, defined)
		for _, f := range a.Functions {
			if strings.Contains(f.Slug, name) || strings.Contains(f.Name, name) {
				rows = append(rows, Function{Function: f, Defined: places[f.Slug], Also: also[f.Slug], Shared: shared[f.Slug]})
			}
		}
	}
	slices.SortFunc(rows, func(a, b Function) int { return strings.Compare(a.Slug, b.Slug) })
	return rows
}

// placesOf maps the slugs of an app's functions to FILE:LINE, from the catalog's index
// that the app was built from.
func placesOf(a model.App, c *catalog.Catalog) map[string]string {
	if c == nil {
		return nil
	}
	index, ok := c.Match(inCatalogsTerms(a.Functions))
	if !ok {
		return nil
	}
	places := map[string]string{}
	for _, f := range index.Functions {
		for _, slug := range f.Slugs(a.Name) {
			places[slug] = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
	return places
}
