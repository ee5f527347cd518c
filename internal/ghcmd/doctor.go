package ghcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// newDoctor runs the checks of publish and nothing else.
func newDoctor(env *cli.Env) *cobra.Command {
	o := newOptions(env)
	c := &cobra.Command{
		Use:   "doctor [TAG] [flags]",
		Short: "Run the checks of publish, change nothing, and exit with their verdict",
		Example: `  # could this checkout be published?
  gh sbw doctor`,
		Args: cobra.MaximumNArgs(1),
	}
	o.addTarget(c)
	o.addBuild(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.complete(args); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		p := &publish{publishOptions: o}
		list := p.pipeline()
		list.Name, list.Stages = "doctor", nil
		out, err := env.Run(c.Context(), list, nil)
		if rerr := p.release(); err == nil {
			err = rerr
		}
		if err == nil && out.End == pipeline.Done {
			repo, rerr := p.repo.Get(c.Context())
			if rerr != nil {
				return rerr
			}
			_, err = fmt.Fprintf(env.Out, "%s can be published\n", repo.At(o.tag))
		}
		return err
	}
	return c
}
