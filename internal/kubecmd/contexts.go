package kubecmd

import (
	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// each returns one factory for each context that the words match, in their order.
func (k *factory) each(words []string) ([]*factory, error) {
	if *k.flags.Context != "" {
		return nil, pipeline.UsageErrorf(pipeline.CodeUsage, "name all of them with --contexts", "--context and --contexts are both given")
	}
	raw, err := k.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, pipeline.UsageErrorf(cluster.CodeKubeconfig, "correct it, or choose another with --kubeconfig",
			"cannot read the kubeconfig: %v", err)
	}
	names, err := cluster.MatchContexts(words, raw.Contexts)
	if err != nil {
		return nil, err
	}
	var all []*factory
	for _, name := range names {
		one := *k
		one.flags = cluster.WithContext(k.flags, name)
		all = append(all, &one)
	}
	return all, nil
}
