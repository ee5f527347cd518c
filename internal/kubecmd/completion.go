package kubecmd

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// kubeconfigFlags returns the names of the flags that select a cluster and an identity.
func kubeconfigFlags(root *cobra.Command) []string {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	genericclioptions.NewConfigFlags(true).AddFlags(set)
	var names []string
	set.VisitAll(func(f *pflag.Flag) {
		if root.PersistentFlags().Lookup(f.Name) != nil {
			names = append(names, f.Name)
		}
	})
	return names
}

// completions adds completion to the flags and arguments of every command. The words
// come from the kubeconfig, the cluster, the registry, Inngest, and the receipts on this
// machine.
func (k *factory) completions(root *cobra.Command) {
	var fromConfig = func(pick func(*clientcmdapi.Config) []string) cobra.CompletionFunc {
		return cli.CompleteBy(func(context.Context, *cobra.Command, []string) ([]string, error) {
			config, err := k.flags.ToRawKubeConfigLoader().RawConfig()
			if err != nil {
				return nil, err
			}
			words := pick(&config)
			slices.Sort(words)
			return words, nil
		})
	}
	contexts := fromConfig(func(c *clientcmdapi.Config) (all []string) {
		for name := range c.Contexts {
			all = append(all, name)
		}
		return all
	})
	cli.CompleteFlag(root, contexts, "context")
	for _, c := range root.Commands() {
		if c.Flags().Lookup("contexts") != nil {
			cli.CompleteFlag(c, cli.CompleteLast(contexts), "contexts")
		}
	}
	cli.CompleteFlag(root, cobra.FixedCompletions([]string{"6\teach request", "7\tits headers, too"}, cobra.ShellCompDirectiveNoFileComp), "v")
	cli.CompleteFlag(root, fromConfig(func(c *clientcmdapi.Config) (all []string) {
		for name := range c.Clusters {
			all = append(all, name)
		}
		return all
	}), "cluster")
	cli.CompleteFlag(root, fromConfig(func(c *clientcmdapi.Config) (all []string) {
		for name := range c.AuthInfos {
			all = append(all, name)
		}
		return all
	}), "user")
	cli.CompleteFlag(root, k.suggest(func(ctx context.Context, _ *cobra.Command, t *rollout.Target) ([]string, error) {
		return t.Namespaces(ctx)
	}), "namespace")
	cli.CompleteFlag(root, cli.CompleteBy(func(context.Context, *cobra.Command, []string) ([]string, error) {
		dir, _ := worker.FindRoot(k.env.Dir)
		config, err := worker.Load(dir)
		if err != nil {
			return nil, err
		}
		return config.Names(), nil
	}), "worker")
	words := map[string]cobra.CompletionFunc{
		"tag": k.suggest(func(ctx context.Context, c *cobra.Command, t *rollout.Target) ([]string, error) {
			return t.SuggestTags(ctx, given(c, "image"))
		}),
		"contexts": contexts,
		"dry-run":  cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp),
		"status": cobra.FixedCompletions(
			[]string{"running", "queued", "completed", "failed", "cancelled", "skipped"},
			cobra.ShellCompDirectiveNoFileComp,
		),
		"wait-idle": cobra.FixedCompletions([]string{"forever", "5m", "10m", "30m"}, cobra.ShellCompDirectiveNoFileComp),
		"filename":  cobra.FixedCompletions([]string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt),
		"kustomize": cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"to-revision": k.suggest(func(ctx context.Context, _ *cobra.Command, t *rollout.Target) ([]string, error) {
			return t.SuggestRevisions(ctx)
		}),
	}
	for _, name := range []string{ // numbers, text and URLs: file names would not help
		"image", "timeout", "lock-wait", "max-step-loss", "probe-path", "probe-port",
		"probe-expect", "confirm-run", "inngest-url", "count", "since",
	} {
		words[name] = cobra.NoFileCompletions
	}
	for _, c := range root.Commands() {
		for name, by := range words {
			if c.Flags().Lookup(name) != nil && !cli.Completed(c, name) {
				cli.CompleteFlag(c, by, name)
			}
		}
		switch {
		case c.ValidArgsFunction != nil || len(c.ValidArgs) > 0:
		case c.Name() == "functions":
			c.ValidArgsFunction = k.suggest(suggestFunctions)
		default:
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// suggest completes with the words that find returns for the target.
func (k *factory) suggest(find func(context.Context, *cobra.Command, *rollout.Target) ([]string, error)) cobra.CompletionFunc {
	return cli.CompleteBy(func(ctx context.Context, c *cobra.Command, args []string) ([]string, error) {
		if len(args) > 0 {
			return nil, nil // no command takes a second argument
		}
		t, err := k.target()
		if err != nil {
			return nil, err
		}
		if t.Conn.Config.ExecProvider != nil {
			t.Conn.Config.ExecProvider.StdinUnavailable = true // nobody is there to answer a prompt
		}
		return find(ctx, c, t)
	})
}

// suggestFunctions returns the names of functions.
func suggestFunctions(ctx context.Context, c *cobra.Command, t *rollout.Target) ([]string, error) {
	f := inngestFlags{url: given(c, "inngest-url")}
	if err := errors.Join(f.validate(), f.complete(t.Worker.Inngest)); err != nil {
		return nil, err
	}
	var o rollout.InngestOptions
	f.into(&o)
	all, err := c.Flags().GetBool("all")
	names, serr := t.SuggestFunctions(ctx, o, all)
	return names, errors.Join(err, serr)
}

// given returns the value of a flag, or "" if the command has no such flag.
func given(c *cobra.Command, name string) string {
	if f := c.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}
