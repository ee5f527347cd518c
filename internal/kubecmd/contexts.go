package kubecmd

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// each is one factory for each context that the words name, in their order.
func (k *factory) each(words []string) ([]*factory, error) {
	if *k.flags.Context != "" {
		return nil, pipeline.UsageErrorf(codeUsage, "name all of them with --contexts", "--context and --contexts are both given")
	}
	raw, err := k.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, pipeline.UsageErrorf(
			codeKubeconfig,
			"correct it, or name another with --kubeconfig",
			"the kubeconfig cannot be read: %v",
			err,
		)
	}
	names, err := matchContexts(words, raw.Contexts)
	if err != nil {
		return nil, err
	}
	var all []*factory
	for _, name := range names {
		one := *k
		one.flags = withContext(k.flags, name)
		all = append(all, &one)
	}
	return all, nil
}

// matchContexts resolves names and patterns. A word that matches nothing is an
// error: a cluster that was left out unseen is worse than a run that does not
// begin.
func matchContexts(words []string, have map[string]*api.Context) ([]string, error) {
	known := slices.Sorted(maps.Keys(have))
	var names []string
	for _, word := range words {
		word = strings.TrimSpace(word)
		// A slash is a character like any other: the names that clouds give have some.
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
			fix := "the kubeconfig has no context at all: name one that has with --kubeconfig"
			if len(known) > 0 {
				fix = "use those of the kubeconfig: " + strings.Join(known, ", ")
			}
			return nil, pipeline.UsageErrorf(codeContextUnknown, fix, "--contexts: no context is called %q", word)
		}
	}
	return names, nil
}

// withContext copies kubectl's flags for another context. Flags cache the
// connection that they lead to, so a copy of the struct would not do; every
// exported field is the value of a flag.
func withContext(from *genericclioptions.ConfigFlags, name string) *genericclioptions.ConfigFlags {
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
