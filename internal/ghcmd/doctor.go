package ghcmd

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/publish"
)

// newDoctor makes the command that runs the checks of publish and nothing else.
func newDoctor(env *cli.Env, runF func(context.Context, *publishOptions) error) *cobra.Command {
	var f flags
	o := &publishOptions{}
	c := &cobra.Command{
		Use:   "doctor [TAG] [flags]",
		Short: "Run the checks of publish, change nothing, and exit with their verdict",
		Example: `  # could this checkout be published?
  gh sbw doctor`,
		Args: cobra.MaximumNArgs(1),
	}
	f.addTarget(c)
	f.addBuild(c)
	cli.AddDocument(env, c, &o.output, func() cli.Document { return &doctorDocument{} })
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if err := notACommand(c, env, args); err != nil {
			return err
		}
		if o.Options, err = f.options(env, args, time.Now); err != nil {
			return err
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		return runDoctor(c.Context(), env, o)
	}
	return c
}

func runDoctor(ctx context.Context, env *cli.Env, o *publishOptions) error {
	r := publish.New(o.Options)
	_, err := env.Run(ctx, r.Preflight(), nil)
	d := &doctorDocument{Tag: o.Tag}
	repo, rerr := r.Facts.Repository.Get(ctx)
	if rerr == nil {
		d.Reference = repo.At(o.Tag).String()
	}
	return printDoctor(env, o.output, d, cmp.Or(err, rerr))
}

// printDoctor writes the verdict to stdout. failed is the error, if any.
func printDoctor(env *cli.Env, output string, d *doctorDocument, failed error) error {
	env.SetDocument(d)
	if failed != nil || cli.IsDocument(output) {
		return failed
	}
	_, err := fmt.Fprintf(env.Out, "%s can be published\n", d.Reference)
	return err
}

// doctorDocument is what doctor prints for programs.
type doctorDocument struct {
	cli.Head
	Reference string `json:"reference,omitempty" doc:"what would be published: NAME:TAG"`
	Tag       string `json:"tag,omitempty" doc:"its tag"`
}
