package ghcmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/publish"
	"github.com/joelhooks/gh-sbw/internal/push"
)

const publishExamples = `  # build this checkout and publish it under the time as tag, and as latest
  gh sbw publish

  # under the commit as tag
  gh sbw publish "$(git rev-parse --short HEAD)"

  # everything but the push
  gh sbw publish --dry-run

  # an image that something else has built
  gh sbw publish a6de1e0 --layout ./oci

  # publish and roll out
  kubectl sbw rollout --image "$(gh sbw publish)"`

type publishOptions struct {
	publish.Options
	output string
}

// newPublish makes the command. runF takes the options in place of the use
// case, in tests.
func newPublish(env *cli.Env, runF func(context.Context, *publishOptions) error) *cobra.Command {
	var f flags
	o := &publishOptions{}
	var dryRun bool
	c := &cobra.Command{
		Use:   "publish [TAG] [flags]",
		Short: "Build the worker's image and push it to GHCR",
		Long: `Build the worker's image for the cluster's platform and push it to the GitHub Container Registry
under TAG, by default the time as YYYYMMDD-HHMMSS, and as latest.

Whatever would fail after the build is refused before it: identity, scopes, permission to push, the
builder, the Dockerfile, the tag. latest moves only when TAG is complete. The result,
NAME:TAG@sha256:…, goes to standard output; progress goes to standard error.

Exit codes: 0 done, 1 failed and nothing changed, 2 wrong usage, 3 refused by the preflight,
5 failed with something changed, 130 interrupted.`,
		Example: publishExamples,
		Args:    cobra.MaximumNArgs(1),
	}
	f.addTarget(c)
	f.addBuild(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "do everything except change the registry, and show what would be pushed")
	cli.AddOutput(c, &o.output, "name", "digest", "json")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if o.Options, err = f.options(env, args, time.Now); err != nil {
			return err
		}
		o.DryRun = dryRun
		if runF != nil {
			return runF(c.Context(), o)
		}
		return runPublish(c.Context(), env, o)
	}
	return c
}

func runPublish(ctx context.Context, env *cli.Env, o *publishOptions) error {
	r := publish.New(o.Options)
	out, err := env.Run(ctx, r.Pipeline(), map[pipeline.End]string{
		pipeline.Left: "run `gh sbw publish " + o.Tag + "` again: what was sent is there, and only the rest is sent",
	})
	env.Warn("keep the receipt", r.Record(ctx, out))
	if perr := printPublish(env, o.output, o.Tag, r.Result(), out); perr != nil {
		return perr
	}
	return err
}

// printPublish writes the result to stdout: one line, or a document.
func printPublish(env *cli.Env, output, tag string, res publish.Result, out pipeline.Outcome) error {
	if output == "json" {
		return cli.PrintObject(env.Out, output, newSummary(tag, res, out))
	}
	if out.End != pipeline.Done || res.Digest == "" {
		return nil
	}
	line := res.Reference.String()
	if output == "digest" {
		line = res.Digest
	}
	_, err := fmt.Fprintln(env.Out, line)
	return err
}

// summary is the result of `-o json`.
type summary struct {
	Reference string                 `json:"reference,omitempty"`
	Tag       string                 `json:"tag"`
	Digest    string                 `json:"digest,omitempty"`
	End       string                 `json:"end"`
	Pushed    *push.Result           `json:"pushed,omitempty"`
	Plan      *push.Plan             `json:"plan,omitempty"`
	Findings  []*pipeline.Finding    `json:"findings,omitempty"`
	Stages    []pipeline.StageRecord `json:"stages"`
	Error     string                 `json:"error,omitempty"`
}

func newSummary(tag string, res publish.Result, out pipeline.Outcome) summary {
	s := summary{Reference: res.Reference.String(), Tag: tag, Digest: res.Digest, End: out.End.String(), Pushed: res.Pushed, Plan: res.Plan,
		Findings: out.Findings, Stages: out.Stages}
	if out.Err != nil {
		s.Error = out.Err.Error()
	}
	return s
}
