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

const publishExamples = `  # build this checkout, and publish it with the time as the tag, and as latest
  gh sbw publish

  # with the commit as the tag
  gh sbw publish "$(git rev-parse --short HEAD)"

  # everything but the push
  gh sbw publish --dry-run

  # publish an image that something else has built
  gh sbw publish a6de1e0 --layout ./oci

  # publish and roll out
  kubectl sbw rollout --image "$(gh sbw publish)"`

type publishOptions struct {
	publish.Options
	output string
}

// newPublish makes the command. In tests, runF gets the options instead of the use case.
func newPublish(env *cli.Env, runF func(context.Context, *publishOptions) error) *cobra.Command {
	var f flags
	o := &publishOptions{}
	var dryRun bool
	c := &cobra.Command{
		Use:   "publish [TAG] [flags]",
		Short: "Build the worker's image and push it to GHCR",
		Long: `Build the worker's image for the cluster's platform and push it to the GitHub Container Registry
under TAG, by default the time as YYYYMMDD-HHMMSS, and as latest.

Whatever would fail after the build is checked before it: identity, scopes, permission to push, the
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
	cli.AddDocument(env, c, &o.output, func() cli.Document { return &publishDocument{} }, "name", "digest")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if err := notACommand(c, env, args); err != nil {
			return err
		}
		if o.Options, err = f.options(env, args, time.Now); err != nil {
			return err
		}
		o.DryRun = dryRun
		if f.chosen != "" {
			if err := env.Notef("%s", f.chosen); err != nil {
				return err
			}
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		return runPublish(c.Context(), env, o)
	}
	return c
}

// notACommand refuses a TAG that is the name of a command: somebody who types `publish
// help` wants help, not an image of that name. After --, it is a tag.
func notACommand(c *cobra.Command, env *cli.Env, args []string) error {
	if len(args) == 0 || c.ArgsLenAtDash() == 0 {
		return nil
	}
	word := args[0]
	found := word == "help" || word == "version"
	for _, other := range c.Root().Commands() {
		found = found || other.Name() == word
	}
	if !found {
		return nil
	}
	fix := fmt.Sprintf("run `%s %s`", env.Plugin, word)
	switch word {
	case "help":
		fix = fmt.Sprintf("run `%s %s --help`", env.Plugin, c.Name())
	case "version":
		fix = fmt.Sprintf("run `%s --version`", env.Plugin)
	}
	return pipeline.UsageErrorf(
		pipeline.CodeUsage,
		fix+fmt.Sprintf("; to publish a tag of that name, `%s %s -- %s`", env.Plugin, c.Name(), word),
		"%q is a command, but would become the image's tag",
		word,
	)
}

func runPublish(ctx context.Context, env *cli.Env, o *publishOptions) error {
	r := publish.New(o.Options)
	out, err := env.Run(ctx, r.Pipeline(), map[pipeline.End]string{
		pipeline.Left: "run `gh sbw publish " + o.Tag + "` again: it sends only what is still missing",
	})
	env.Warn("cannot save the receipt", r.Record(ctx, out))
	if perr := printPublish(env, o, r.Result(), out.End == pipeline.Done); perr != nil {
		return perr
	}
	return err
}

// publishDocument is what publish prints for programs.
type publishDocument struct {
	cli.Head
	Reference string       `json:"reference,omitempty" doc:"the published image: NAME:TAG@sha256:…"`
	Tag       string       `json:"tag,omitempty" doc:"its tag"`
	Digest    string       `json:"digest,omitempty" doc:"its digest"`
	DryRun    bool         `json:"dryRun,omitempty" doc:"whether nothing was sent because of --dry-run"`
	Pushed    *push.Result `json:"pushed,omitempty" doc:"what the push sent"`
	Plan      *push.Plan   `json:"plan,omitempty" doc:"with --dry-run, what a push would send"`
}

// printPublish writes the result to stdout: one line, or a document.
func printPublish(env *cli.Env, o *publishOptions, res publish.Result, done bool) error {
	env.SetDocument(
		&publishDocument{Reference: res.Reference.String(), Tag: o.Tag, Digest: res.Digest, DryRun: o.DryRun, Pushed: res.Pushed, Plan: res.Plan},
	)
	if cli.IsDocument(o.output) || !done || res.Digest == "" {
		return nil
	}
	line := res.Reference.String()
	if o.output == "digest" {
		line = res.Digest
	}
	_, err := fmt.Fprintln(env.Out, line)
	return err
}
