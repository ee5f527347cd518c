package cluster

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// MatchContexts returns the contexts that match the names and patterns, each once. A
// word that matches nothing is an error (context-unknown), because silently leaving out
// a cluster is worse than not starting.
func MatchContexts(words []string, have map[string]*api.Context) ([]string, error) {
	known := slices.Sorted(maps.Keys(have))
	var names []string
	for _, word := range words {
		word = strings.TrimSpace(word)
		// A slash has no special meaning, because the context names of cloud providers contain it.
		pattern := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(word))
		matches := regexp.MustCompile("^(?s:" + pattern + ")$")
		found := false
		for _, name := range known {
			if !matches.MatchString(name) {
				continue
			}
			found = true
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if !found {
			fix := "the kubeconfig has no contexts; choose another with --kubeconfig"
			if len(known) > 0 {
				fix = "use those of the kubeconfig: " + units.List(known)
			}
			return nil, pipeline.UsageErrorf(CodeContextUnknown, fix, "--contexts: no context is called %q", word)
		}
	}
	return names, nil
}

// WithContext returns a copy of kubectl's flags for another context. Flags cache their
// connection, so a copy of the struct would not be enough. Every exported field is the
// value of a flag.
func WithContext(from *genericclioptions.ConfigFlags, name string) *genericclioptions.ConfigFlags {
	to := genericclioptions.NewConfigFlags(true)
	values, copies := reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem()
	for i := range values.NumField() {
		value := values.Field(i)
		if !values.Type().Field(i).IsExported() {
			continue
		}
		if value.Kind() != reflect.Pointer || value.IsNil() {
			copies.Field(i).Set(value)
			continue
		}
		own := reflect.New(value.Type().Elem())
		own.Elem().Set(value.Elem())
		copies.Field(i).Set(own)
	}
	to.Context = &name
	return to
}
