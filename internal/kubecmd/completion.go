package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/units"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// kubeconfigFlags are the names of the flags that lead to a cluster.
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

// lastOf completes the last word of a list with commas.
func lastOf(one cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := toComplete[:strings.LastIndex(toComplete, ",")+1]
		words, how := one(c, args, toComplete[len(before):])
		var all []cobra.Completion
		for _, w := range words {
			all = append(all, before+w)
		}
		return all, how
	}
}

// completions say what flags and arguments of every command may be. What only
// the cluster, the registry or Inngest knows is asked of them; what was shipped
// from this machine is offered in any case.
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
			cli.CompleteFlag(c, lastOf(contexts), "contexts")
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
	cli.CompleteFlag(root, cli.CompleteBy(k.namespaces), "namespace")
	cli.CompleteFlag(root, cli.CompleteBy(func(context.Context, *cobra.Command, []string) ([]string, error) {
		dir, _ := worker.FindRoot(k.env.Dir)
		config, err := worker.Load(dir)
		if err != nil {
			return nil, err
		}
		return config.Names(), nil
	}), "worker")
	words := map[string]cobra.CompletionFunc{
		"tag":      cli.CompleteBy(k.tags),
		"contexts": contexts,
		"dry-run":  cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp),
		"status": cobra.FixedCompletions(
			[]string{"running", "queued", "completed", "failed", "cancelled", "skipped"},
			cobra.ShellCompDirectiveNoFileComp,
		),
		"wait-idle": cobra.FixedCompletions([]string{"forever", "5m", "10m", "30m"}, cobra.ShellCompDirectiveNoFileComp),
		"filename":  cobra.FixedCompletions([]string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt),
		"kustomize": cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		// Numbers, texts and addresses: files would be no help.
		"to-revision": cli.CompleteBy(k.revisionNumbers),
	}
	for _, name := range []string{
		"image", "timeout", "lock-wait", "max-step-loss", "probe-path", "probe-port", "probe-expect", "confirm-run", "inngest-url",
		"count", "since",
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
			c.ValidArgsFunction = cli.CompleteBy(k.functionNames)
		default:
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// quietly is the target for a completion: nothing is asked of a person.
func (k *factory) quietly() (*rollout.Target, error) {
	k.named = nil
	t, err := k.target()
	if err != nil {
		return nil, err
	}
	if t.Conn.Config.ExecProvider != nil {
		t.Conn.Config.ExecProvider.StdinUnavailable = true
	}
	return t, nil
}

func (k *factory) namespaces(ctx context.Context, _ *cobra.Command, _ []string) ([]string, error) {
	t, err := k.quietly()
	if err != nil {
		return nil, err
	}
	client, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 500})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names, nil
}

// tags are those that this machine has published, and those that the registry
// has.
func (k *factory) tags(ctx context.Context, c *cobra.Command, _ []string) ([]string, error) {
	t, err := k.quietly()
	if err != nil {
		return nil, err
	}
	kept, err := keptTags(t.Worker.Name)
	published, perr := t.PublishedTags(ctx, given(c, "image"))
	for _, t := range published {
		if !slices.ContainsFunc(kept, func(k string) bool { return k == t || strings.HasPrefix(k, t+"\t") }) {
			kept = append(kept, t)
		}
	}
	return kept, errors.Join(err, perr)
}

// keptTags are the tags of the receipts on this machine, the newest first.
func keptTags(name string) ([]string, error) {
	store, err := receipt.Open()
	if err != nil {
		return nil, err
	}
	receipts, err := store.List(name, 20)
	var tags []string
	for _, r := range receipts {
		if r.Command != "publish" || r.Code != 0 || r.Image.Tag == "" {
			continue
		}
		known := slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, r.Image.Tag+"\t") })
		if !known {
			tags = append(
				tags,
				fmt.Sprintf("%s\tpublished from here %s ago", r.Image.Tag, units.Duration(time.Since(r.Started).Round(time.Second))),
			)
		}
	}
	return tags, err
}

// functionNames are those that Inngest has registered, or else those of the
// last rollout from this machine.
func (k *factory) functionNames(ctx context.Context, c *cobra.Command, args []string) (names []string, err error) {
	if len(args) > 0 {
		return nil, nil
	}
	if _, err := k.quietly(); err != nil {
		return nil, err
	}
	t, o, err := inngestFlags{url: given(c, "inngest-url")}.target(k)
	if err != nil {
		return nil, err
	}
	link, _, err := t.ConnectLive(ctx, o)
	if err == nil {
		defer func() { err = errors.Join(err, link.Close()) }()
		var apps []model.App
		if apps, err = link.Client.Apps(ctx); err == nil {
			all, _ := c.Flags().GetBool("all")
			for _, f := range rollout.Functions(apps, link.App, "", all, nil) {
				names = append(names, f.LocalID())
			}
			return names, nil
		}
	}
	store, serr := receipt.Open()
	if serr != nil {
		return nil, errors.Join(err, serr)
	}
	last, serr := store.Latest(t.Worker.Name, func(r *receipt.Receipt) bool { return len(r.Functions) > 0 })
	if last != nil {
		for _, slug := range last.Functions {
			names = append(names, strings.TrimPrefix(slug, t.Worker.Inngest.App+"-"))
		}
	}
	return names, errors.Join(err, serr)
}

func (k *factory) revisionNumbers(ctx context.Context, _ *cobra.Command, _ []string) ([]string, error) {
	t, err := k.quietly()
	if err != nil {
		return nil, err
	}
	all, err := t.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	var numbers []string
	for _, r := range all {
		if !r.Current {
			numbers = append(numbers, strconv.FormatInt(r.Number, 10)+"\t"+strings.Join(r.Images, " "))
		}
	}
	return numbers, nil
}

// given is a string flag's value as far as the command line says it; empty
// where the command has no such flag.
func given(c *cobra.Command, name string) string {
	if f := c.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}
