package kubecmd

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// addContexts adds the flag that means several clusters.
func addContexts(c *cobra.Command, value *[]string) {
	c.Flags().StringSliceVar(value, "contexts", nil, `several clusters: names of the kubeconfig's contexts or patterns such as "prod-*", separated by commas`)
}

// each is one kube for each context that the words name, in their order.
func (k *kube) each(words []string) ([]*kube, error) {
	if *k.flags.Context != "" {
		return nil, pipeline.UsageErrorf("usage", "name all of them with --contexts", "--context and --contexts are both given")
	}
	raw, err := k.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, pipeline.UsageErrorf("kubeconfig", "correct it, or name another with --kubeconfig", "the kubeconfig cannot be read: %v", err)
	}
	names, err := matchContexts(words, raw.Contexts)
	if err != nil {
		return nil, err
	}
	var all []*kube
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
			return nil, pipeline.UsageErrorf("context-unknown", fix, "--contexts: no context is called %q", word)
		}
	}
	return names, nil
}

// withContext copies kubectl's flags for another context. Flags cache the
// connection that they lead to, so a copy of the struct would not do.
func withContext(from *genericclioptions.ConfigFlags, name string) *genericclioptions.ConfigFlags {
	to := genericclioptions.NewConfigFlags(true)
	for _, pair := range []struct{ to, from *string }{
		{to.CacheDir, from.CacheDir}, {to.KubeConfig, from.KubeConfig}, {to.ClusterName, from.ClusterName}, {to.AuthInfoName, from.AuthInfoName},
		{to.Namespace, from.Namespace}, {to.APIServer, from.APIServer}, {to.TLSServerName, from.TLSServerName}, {to.CertFile, from.CertFile},
		{to.KeyFile, from.KeyFile}, {to.CAFile, from.CAFile}, {to.BearerToken, from.BearerToken}, {to.Impersonate, from.Impersonate},
		{to.ImpersonateUID, from.ImpersonateUID}, {to.Timeout, from.Timeout},
	} {
		if pair.to != nil && pair.from != nil {
			*pair.to = *pair.from
		}
	}
	*to.Insecure, *to.DisableCompression = *from.Insecure, *from.DisableCompression
	*to.ImpersonateGroup = slices.Clone(*from.ImpersonateGroup)
	*to.Context = name
	return to
}

// within tells a run in one of several contexts: its name stands before each
// stage, CONTEXT/STAGE, and before what is found.
func within(name string, sink pipeline.Sink) pipeline.Sink {
	return pipeline.SinkFunc(func(e pipeline.Event) {
		e.Stage = name + "/" + e.Stage
		if e.Finding != nil {
			e.Finding = named(name, e.Finding)
		}
		sink.Emit(e)
	})
}

// about tells of a context within a stage that is about all of them.
func about(name string, sink pipeline.Sink) pipeline.Sink {
	return pipeline.SinkFunc(func(e pipeline.Event) {
		if e.Text != "" {
			e.Text = name + ": " + e.Text
		}
		if e.Progress != nil {
			p := *e.Progress
			p.Item = name + " " + p.Item
			e.Progress = &p
		}
		if e.Finding != nil {
			e.Finding = named(name, e.Finding)
		}
		sink.Emit(e)
	})
}

func named(name string, f *pipeline.Finding) *pipeline.Finding {
	with := *f
	with.What = name + ": " + f.What
	return &with
}

// together names each finding's contexts; what is so in several is told once.
func together(names []string, found [][]*pipeline.Finding) []*pipeline.Finding {
	type group struct {
		*pipeline.Finding
		names []string
	}
	var order []*group
	same := map[string]*group{}
	for i, fs := range found {
		for _, f := range fs {
			key := fmt.Sprintf("%d\x00%s\x00%s\x00%s", f.Severity, f.Code, f.Error(), strings.Join(f.Evidence, "\n"))
			g := same[key]
			if g == nil {
				g = &group{Finding: f}
				same[key] = g
				order = append(order, g)
			}
			if !slices.Contains(g.names, names[i]) {
				g.names = append(g.names, names[i])
			}
		}
	}
	all := make([]*pipeline.Finding, len(order))
	for i, g := range order {
		all[i] = named(strings.Join(g.names, ", "), g.Finding)
	}
	return all
}
