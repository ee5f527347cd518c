// Package kubecmd is the command line of `kubectl sbw`: flags become options,
// and options a list of checks and stages that is written out in one place for
// each command.
package kubecmd

import (
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// userAgent is how servers see this plugin.
const userAgent = "kubectl-sbw"

// Main runs kubectl-sbw and returns its exit code.
func Main() int {
	return cli.Main("kubectl sbw", func(env *cli.Env) *cobra.Command { return newRoot(env, newLibraryLog(env).route()) })
}

// NewRoot makes the command tree.
func NewRoot(env *cli.Env) *cobra.Command { return newRoot(env, newLibraryLog(env)) }

func newRoot(env *cli.Env, logs *libraryLog) *cobra.Command {
	root := &cobra.Command{
		Use:   "sbw <command> [flags]",
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
	k := &kube{env: env, flags: genericclioptions.NewConfigFlags(true)}
	k.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&k.worker, "worker", "", "the worker of "+worker.ConfigName+" that is meant; may be left out when there is one")
	cli.AddTelling(root, env)
	logs.addFlag(root.PersistentFlags())
	cli.AddCommon(root, env)
	cli.AddVersion(root, env)
	root.AddCommand(newRollout(k), newRefresh(k), newFunctions(k), newRuns(k), newStatus(k), newUndo(k), newHistory(k), newDoctor(k))
	k.completions(root)
	dress(root, env)
	return root
}

// kube is what every command's flags have in common.
type kube struct {
	env    *cli.Env
	flags  *genericclioptions.ConfigFlags
	worker string
}

// scope is what those flags lead to: a worker, and the cluster it runs in.
type scope struct {
	*kube
	root       string // the repository's, or the current directory
	inCheckout bool
	worker     worker.Worker
	// namespaceGiven: by --namespace; objects of another one are then refused.
	namespaceGiven bool
	conn           *cluster.Conn
	ref            workload.Ref
}

// complete reads the configuration and the kubeconfig; it asks no network.
func (k *kube) complete() (*scope, error) {
	s := &scope{kube: k}
	s.root, s.inCheckout = worker.FindRoot(k.env.Dir)
	config, err := worker.Load(s.root)
	if err != nil {
		return nil, err
	}
	if s.worker, err = config.Worker(k.worker); err != nil {
		return nil, err
	}
	s.namespaceGiven = *k.flags.Namespace != ""
	// The worker's own namespace comes before the context's: only a flag says
	// otherwise.
	if *k.flags.Namespace == "" {
		*k.flags.Namespace = s.worker.Deploy.Namespace
	}
	if s.conn, err = cluster.Connect(k.flags, cluster.Options{UserAgent: userAgent}); err != nil {
		return nil, err
	}
	s.ref = workload.Ref{Kind: s.worker.Deploy.Kind, Namespace: s.conn.Namespace, Name: s.worker.Deploy.Deployment}
	return s, nil
}

// path makes a path of the configuration absolute.
func (s *scope) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.root, p)
}
