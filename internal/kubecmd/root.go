// Package kubecmd is the command line of `kubectl sbw`. Each command has a file
// of its own in which flags become the options of a use case of internal/rollout
// and its result is printed.
//
// A command is made by newX(factory, runF): runF takes the options in place of
// the use case, so that a test reads what a command line means without a cluster.
// What a result looks like is a function of its own, from a result to text.
package kubecmd

import (
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Main runs kubectl-sbw and returns its exit code.
func Main() int {
	return cli.Main("kubectl sbw", func(env *cli.Env) *cobra.Command { return newRoot(env, newKlogger(env).install()) })
}

// NewRoot makes the command tree.
func NewRoot(env *cli.Env) *cobra.Command { return newRoot(env, newKlogger(env)) }

func newRoot(env *cli.Env, logs *klogger) *cobra.Command {
	root := &cobra.Command{
		Use:   "sbw <command>",
		Short: "Roll out a worker's image, prove it and register it with Inngest",
		Long: `Roll out what 'gh sbw publish' has published: stamp and apply the manifest, follow the
rollout to its end, ask the new pods, make Inngest's registration equal to what they serve,
and put everything back when that fails.`,
		Example: `  # is everything there?
  kubectl sbw doctor

  # roll out what 'gh sbw publish' has published
  kubectl sbw rollout --tag 20260102-030405

  # is the worker well?
  kubectl sbw status

  # what does an error mean?
  kubectl sbw explain "exec format error"`,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl sbw"},
		RunE:        func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	k := &factory{env: env, flags: genericclioptions.NewConfigFlags(true), named: &sync.Once{}}
	k.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().
		StringVar(&k.worker, "worker", "", "the worker of "+worker.ConfigName+" that is meant; may be left out when there is one")
	cli.AddOutputFlags(root, env)
	logs.addFlag(root.PersistentFlags())
	cli.AddVersion(root, env)
	addGrouped(root, templates.CommandGroups{
		{Message: "Rollout Commands:", Commands: []*cobra.Command{newRollout(k, nil), newRestart(k, nil), newUndo(k, nil), newHistory(k, nil)}},
		{Message: "Inngest Commands:", Commands: []*cobra.Command{newRefresh(k, nil), newFunctions(k, nil), newRuns(k, nil)}},
		{Message: "Troubleshooting Commands:", Commands: []*cobra.Command{newStatus(k, nil), newDoctor(k, nil), cli.NewExplain(env)}},
	})
	for _, c := range root.Commands() {
		flagRules.Apply(c)
	}
	k.completions(root)
	installHelp(root, env)
	return root
}

// factory makes what commands need from the flags that all of them have.
type factory struct {
	env    *cli.Env
	flags  *genericclioptions.ConfigFlags
	worker string
	// named makes sure that the worker which was picked out of several is named
	// once a run; a completion, which has none, names nobody.
	named *sync.Once
}

// target reads the configuration and the kubeconfig; it asks no network.
func (k *factory) target() (*rollout.Target, error) {
	t := &rollout.Target{Dir: k.env.Dir, Getenv: k.env.Getenv}
	t.Root, t.InCheckout = worker.FindRoot(k.env.Dir)
	config, err := worker.Load(t.Root)
	if err != nil {
		return nil, err
	}
	if t.Worker, err = config.Worker(k.worker); err != nil {
		return nil, err
	}
	if err := k.nameChoice(config); err != nil {
		return nil, err
	}
	t.NamespaceGiven = *k.flags.Namespace != ""
	// The worker's own namespace comes before the context's: only a flag says
	// otherwise.
	if !t.NamespaceGiven {
		*k.flags.Namespace = t.Worker.Deploy.Namespace
	}
	if t.Conn, err = cluster.Connect(k.flags, cluster.Options{UserAgent: rollout.Program}); err != nil {
		return nil, err
	}
	t.Ref = workload.Ref{Kind: t.Worker.Deploy.Kind, Namespace: t.Conn.Namespace, Name: t.Worker.Deploy.Deployment}
	return t, checkNames(t)
}

// nameChoice says which of several workers was taken without its being named.
func (k *factory) nameChoice(config *worker.Config) (err error) {
	choice := config.Choice(k.worker)
	if choice == "" || k.named == nil {
		return nil
	}
	k.named.Do(func() { err = k.env.Notef("%s", choice) })
	return err
}
