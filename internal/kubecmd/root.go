// Package kubecmd is the command line of `kubectl sbw`. Each command has its own
// file, which turns flags into the options of a use case in internal/rollout and
// prints the result.
//
// newX(factory, runF) makes a command. If runF is set, it gets the options instead
// of the use case, so that a test can check what a command line means without a
// cluster. Each result is printed by a separate function, from a result to text.
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

// NewRoot returns the command tree.
func NewRoot(env *cli.Env) *cobra.Command { return newRoot(env, newKlogger(env)) }

func newRoot(env *cli.Env, logs *klogger) *cobra.Command {
	root := &cobra.Command{
		Use:   "sbw <command>",
		Short: "Roll out a worker's image, prove it and register it with Inngest",
		Long: `Roll out what 'gh sbw publish' has published: stamp and apply the manifest, follow the
rollout to its end, probe the new pods, make Inngest's registration match what they serve,
and restore the previous state if any of this fails.`,
		Example: `  # is everything ready for a rollout?
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
		StringVar(&k.worker, "worker", "", "which worker of "+worker.ConfigName+" to use; may be omitted if there is only one")
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

// factory makes what commands need from the flags that all of them share.
type factory struct {
	env    *cli.Env
	flags  *genericclioptions.ConfigFlags
	worker string
	// named makes sure that a worker chosen by default is named only once, even if
	// a run has several contexts. If it is nil, the worker is not named.
	named *sync.Once
}

// target reads the configuration and the kubeconfig without using the network.
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
	// The worker's own namespace takes precedence over the context's; only the
	// flag overrides it.
	if !t.NamespaceGiven {
		*k.flags.Namespace = t.Worker.Deploy.Namespace
	}
	if t.Conn, err = cluster.Connect(k.flags, cluster.Options{UserAgent: rollout.Program}); err != nil {
		return nil, err
	}
	t.Ref = workload.Ref{Kind: t.Worker.Deploy.Kind, Namespace: t.Conn.Namespace, Name: t.Worker.Deploy.Deployment}
	return t, checkNames(t)
}

// nameChoice prints which of several workers was chosen if --worker names none.
func (k *factory) nameChoice(config *worker.Config) (err error) {
	choice := config.Choice(k.worker)
	if choice == "" || k.named == nil {
		return nil
	}
	k.named.Do(func() { err = k.env.Notef("%s", choice) })
	return err
}
