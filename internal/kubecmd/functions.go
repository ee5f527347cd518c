package kubecmd

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/units"
)

type functionsOptions struct {
	inngestFlags
	name   string
	all    bool
	output string
}

func newFunctions(k *factory, runF func(context.Context, *functionsOptions) error) *cobra.Command {
	o := &functionsOptions{}
	c := &cobra.Command{
		Use:   "functions [NAME]",
		Short: "List the functions that Inngest has registered",
		Long: `List the functions that Inngest has registered, with their triggers, retries and limits, and where
they are defined according to the catalog of the running image. Functions that another app also has,
or whose event also starts functions of another app, are marked.`,
		Example: `  # the worker's functions
  kubectl sbw functions

  # the functions of all apps with this text in their name
  kubectl sbw functions approval --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.name = strings.Join(args, "")
			if runF != nil {
				return runF(c.Context(), o)
			}
			t, link, live, err := o.connect(c.Context(), k)
			if err != nil {
				return err
			}
			err = o.run(c.Context(), k.env, t, link, live)
			return cmp.Or(err, link.Close())
		},
	}
	o.add(c)
	c.Flags().BoolVarP(&o.all, "all", "A", false, "list the functions of every app, not only of this worker's")
	cli.AddDocument(k.env, c, &o.output, func() cli.Document { return &functionsDocument{} }, "name", "wide")
	return c
}

func (o *functionsOptions) run(ctx context.Context, env *cli.Env, t *rollout.Target, c *conn.Conn, live *workload.Workload) error {
	type definitions struct {
		catalog *catalog.Catalog
		err     error
	}
	read := make(chan definitions, 1)
	go func() {
		var d definitions
		if o.output != "name" {
			d.catalog, d.err = t.RunningCatalog(ctx, live)
		}
		read <- d
	}()
	apps, err := c.Client.Apps(ctx)
	known := <-read
	if err != nil {
		return c.Explain("read Inngest's registrations", err)
	}
	if err := noteDetour(env, c); err != nil {
		return err
	}
	if known.err != nil {
		env.Warn("cannot read where the functions are defined", known.err)
	}
	return o.print(env, apps, c.App, rollout.Functions(apps, c.App, o.name, o.all, known.catalog))
}

// noteDetour prints how Inngest is reached if that is not the usual route.
func noteDetour(env *cli.Env, c *conn.Conn) error {
	if c.Detour() == "" {
		return nil
	}
	return env.Notef("Inngest is reached by %s", c.Detour())
}

// functionsDocument is what functions prints for programs.
type functionsDocument struct {
	cli.Head
	Functions []rollout.Function `json:"functions" doc:"the functions, each with slug, name, app, triggers, retries, concurrency, url, defined, alsoIn, sharesTriggerWith"`
}

// print writes the functions as a table, as names, or as a document.
func (o *functionsOptions) print(env *cli.Env, apps []model.App, own string, rows []rollout.Function) error {
	env.SetDocument(&functionsDocument{Functions: rows})
	switch {
	case cli.IsDocument(o.output):
		return nil
	case len(rows) == 0:
		what := "no functions are registered for app " + own
		if o.name != "" {
			what = "no registered function has a name that contains " + strconv.Quote(o.name)
		}
		return &pipeline.Finding{Code: codeFunctionMissing, Severity: pipeline.Error, What: what, Why: alternatives(apps, own, o),
			Fix: "check that the worker's index exports it; `kubectl sbw refresh` registers what the worker serves, and --all lists other apps"}
	case o.output == "name":
		for _, f := range rows {
			if _, err := fmt.Fprintln(env.Out, f.Slug); err != nil {
				return err
			}
		}
		return nil
	}
	return printTable(env, rollout.FunctionsTable(rows, o.output == "wide"))
}

// alternatives names the functions of other apps that match.
func alternatives(apps []model.App, own string, o *functionsOptions) string {
	if o.name == "" || o.all {
		return ""
	}
	var others []string
	for _, f := range rollout.Functions(apps, own, o.name, true, nil) {
		others = append(others, f.LocalID()+" of app "+f.App)
	}
	if len(others) == 0 {
		return ""
	}
	return "other apps have " + units.List(others)
}
