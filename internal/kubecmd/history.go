package kubecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

type historyOptions struct {
	output string
}

func newHistory(k *factory, runF func(context.Context, *historyOptions) error) *cobra.Command {
	o := &historyOptions{}
	c := &cobra.Command{
		Use:   "history",
		Short: "List what was rolled out: tag, digest, commit, who, when, how long, how it ended",
		Long: `List what was rolled out into this workload, by you or anybody else: the runs of kubectl sbw, which
are recorded on the workload itself, and the revisions that the cluster keeps. 'undo --to-revision'
takes a REVISION; the running one is marked. A run without one can be repeated with 'rollout --tag'.`,
		Example: `  # the latest rollouts
  kubectl sbw history

  # with whole digests, the functions that were registered, and the change cause
  kubectl sbw history -o wide`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(c.Context(), o)
			}
			t, err := k.target()
			if err != nil {
				return err
			}
			all, err := t.History(c.Context())
			if f := rollout.Warning(err); f != nil {
				k.env.Warn("cannot read the history", f)
			} else if err != nil {
				return err
			}
			return printHistory(k.env, o.output, all)
		},
	}
	cli.AddDocument(k.env, c, &o.output, func() cli.Document { return &historyDocument{} }, "wide")
	return c
}

// historyDocument is what history prints for programs.
type historyDocument struct {
	cli.Head
	Revisions []rollout.Past `json:"revisions" doc:"runs and revisions, the newest first, each with revision, current, command, started, seconds, image, tag, digest, commit, dirty, by, end, functions, pods, cause"`
}

// printHistory writes one line per run or revision, or a document.
func printHistory(env *cli.Env, output string, all []rollout.Past) error {
	env.SetDocument(&historyDocument{Revisions: all})
	if cli.IsDocument(output) {
		return nil
	}
	return printTable(env, rollout.HistoryTable(all, output == "wide"))
}
