package kubecmd

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cli/clitest"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// read runs argv on the command that newX makes, and returns its options.
func read[O any](t *testing.T, tested map[string]bool, newX func(*factory, func(context.Context, O) error) *cobra.Command, argv ...string) (got O, err error) {
	t.Helper()
	env, _, _ := testEnv(t, "")
	c := newX(&factory{env: env, flags: genericclioptions.NewConfigFlags(true)}, func(_ context.Context, o O) error {
		got = o
		return nil
	})
	tested[c.Name()] = true
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(argv)
	c.SetContext(t.Context())
	return got, c.Execute()
}

// TestCommandLines checks the options that each command makes from its flags.
func TestCommandLines(t *testing.T) {
	tested := map[string]bool{}
	undo, err := read(t, tested, newUndo, "--to-revision", "3", "--no-write", "--no-inngest", "--force", "--lock-wait", "5s", "--timeout", "9s")
	if err != nil || undo.ToRevision != 3 || !undo.Manifest.NoWrite || !undo.Inngest.Off || !undo.Force || undo.LockWait != 5*time.Second || undo.Timeout != 9*time.Second {
		t.Errorf("undo: %+v, %v", undo, err)
	}
	restart, err := read(t, tested, newRestart, "--timeout", "9s", "--no-inngest", "--strategy", "switch", "-o", "name")
	if err != nil || restart.Timeout != 9*time.Second || !restart.Inngest.Off || restart.Switch.Strategy != "switch" || !restart.Manifest.ImageOnly || restart.output != "name" {
		t.Errorf("restart: %+v, %v", restart, err)
	}
	doctor, err := read(t, tested, newDoctor, "--tag", "t1", "--image-only", "-o", "yaml")
	if err != nil || doctor.Image.Tag != "t1" || !doctor.Manifest.ImageOnly || doctor.output != "yaml" {
		t.Errorf("doctor: %+v, %v", doctor, err)
	}
	several, err := read(t, tested, newRollout, "--tag", "t1", "--contexts", "a,b", "--wave-size", "2", "--max-failures", "1")
	if err != nil || strings.Join(several.contexts, " ") != "a b" || several.WaveSize != 2 || several.MaxFailures != 1 {
		t.Errorf("several clusters: %+v, %v", several, err)
	}
	status, err := read(t, tested, newStatus, "--no-inngest", "--contexts", "a,b", "-o", "json")
	if err != nil || !status.noInngest || strings.Join(status.contexts, " ") != "a b" || status.output != "json" {
		t.Errorf("status: %+v, %v", status, err)
	}
	refresh, err := read(t, tested, newRefresh, "--allow-removal", "--prune-stale", "--resync", "--dry-run")
	if err != nil || refresh.RefreshOptions != (rollout.RefreshOptions{AllowRemoval: true, PruneStale: true, Resync: true, DryRun: true}) {
		t.Errorf("refresh: %+v, %v", refresh, err)
	}
	functions, err := read(t, tested, newFunctions, "approval", "-A", "--inngest-url", "http://x:1")
	if err != nil || functions.name != "approval" || !functions.all || functions.url != "http://x:1" {
		t.Errorf("functions: %+v, %v", functions, err)
	}
	runs, err := read(t, tested, newRuns, "--count", "3", "--status", "failed,Running", "--since", "1h", "-w")
	if err != nil || runs.count != 3 || strings.Join(runs.status, " ") != "FAILED RUNNING" || runs.since != time.Hour || !runs.watch {
		t.Errorf("runs: %+v, %v", runs, err)
	}
	history, err := read(t, tested, newHistory, "-o", "wide")
	if err != nil || history.output != "wide" {
		t.Errorf("history: %+v, %v", history, err)
	}
	clitest.EveryCommand(t, NewRoot(&cli.Env{Plugin: "kubectl sbw", Getenv: func(string) string { return "" }}), tested)
}

// oneRun is a prepared result that stands in for a use case's.
type oneRun struct {
	res     rollout.Result
	objects []apply.Object
	diff    string
}

func (r oneRun) Result(pipeline.Outcome) rollout.Result { return r.res }
func (r oneRun) Rendered() []apply.Object               { return r.objects }
func (r oneRun) DiffText() (string, error)              { return r.diff, nil }

// TestResults runs each command with a prepared result instead of its use case. It
// checks what the command prints into a pipe, what a terminal of 80 columns shows, and
// which fields its documents have besides the head.
func TestResults(t *testing.T) {
	tested := map[string]bool{}
	well := pipeline.Outcome{Name: "rollout", End: pipeline.Done}
	failed := pipeline.Outcome{Name: "rollout", End: pipeline.Restored, Err: &pipeline.Finding{Code: "crash-loop", Severity: pipeline.Error, What: "it crashes"}}
	res := rollout.Result{Workload: "deployment/w", Namespace: "ns", Tag: "t1", Image: "ghcr.io/o/w:t1", Container: "w"}
	server := res
	server.DryRun, server.Changes = "server", []rollout.Change{{Object: "deployment.apps/w", Action: apply.Configured}}
	client := res
	client.DryRun = "client"
	undone := res
	undone.Revision = 3
	fleet := rollout.FleetResult{Tag: "t1", Contexts: []rollout.ContextResult{{Name: "eu", Started: true, Outcome: well, Result: res}, {Name: "us", Outcome: pipeline.Outcome{Name: "rollout", End: pipeline.Unchanged}, Result: res}}}
	app := model.App{Name: "a", URL: "http://w", Functions: []model.Function{{Slug: "a-f", App: "a"}, {Slug: "a-g", App: "a"}}}
	status := &rollout.Status{Workload: "deployment/w", Namespace: "ns", Image: "ghcr.io/o/w:t1", Verdict: verdict.Verdict{State: verdict.Complete, Ready: 1, Wanted: 1},
		Findings: []*pipeline.Finding{{Code: "drift-image", Severity: pipeline.Error, What: "the image differs"}}}
	run := model.Run{ID: "01X", Slug: "a-f", Status: "COMPLETED", Queued: time.Now().Add(-time.Minute)}

	rolloutAs := func(r oneRun, out pipeline.Outcome) func(*factory) *cobra.Command {
		return func(k *factory) *cobra.Command {
			return newRollout(k, func(_ context.Context, o *rolloutOptions) error {
				if err := printRollout(k.env, o.output, r, out); err != nil || out.End == pipeline.Done {
					return err
				}
				return &cli.ExitError{Code: out.ExitCode()}
			})
		}
	}
	undoAs := func(r oneRun) func(*factory) *cobra.Command {
		return func(k *factory) *cobra.Command {
			return newUndo(k, func(_ context.Context, o *rolloutOptions) error { return printUndo(k.env, o.output, r, well) })
		}
	}
	restart := func(k *factory) *cobra.Command {
		return newRestart(k, func(_ context.Context, o *rolloutOptions) error {
			return printRollout(k.env, o.output, oneRun{res: res}, well)
		})
	}
	doctor := func(k *factory) *cobra.Command {
		return newDoctor(k, func(_ context.Context, o *rolloutOptions) error { return printDoctor(k.env, o.output, res, well) })
	}
	several := func(k *factory) *cobra.Command {
		return newRollout(k, func(_ context.Context, o *rolloutOptions) error { return printFleet(k.env, o.output, fleet, well) })
	}
	refreshAs := func(done *inngest.Refreshed, plan *inngest.Plan) func(*factory) *cobra.Command {
		return func(k *factory) *cobra.Command {
			return newRefresh(k, func(_ context.Context, o *refreshOptions) error { return printRefresh(k.env, o.output, done, plan) })
		}
	}
	history := func(k *factory) *cobra.Command {
		return newHistory(k, func(_ context.Context, o *historyOptions) error {
			return printHistory(k.env, o.output, []rollout.Past{{Command: "undo", Revision: 2, Current: true, Tag: "t1", Digest: "sha256:0123456789abcdef", End: "done", Cause: "a cause that is so long that no terminal of eighty columns can show it"}})
		})
	}
	functions := func(k *factory) *cobra.Command {
		return newFunctions(k, func(_ context.Context, o *functionsOptions) error {
			return o.print(k.env, []model.App{app}, "a", rollout.Functions([]model.App{app}, "a", o.name, o.all, nil))
		})
	}
	runs := func(k *factory) *cobra.Command {
		return newRuns(k, func(_ context.Context, o *runsOptions) error {
			if o.cancel != "" {
				return printAct(k.env, o.output, &runsDocument{Run: o.cancel, Cancelled: true})
			}
			return o.print(k.env, []model.Run{run}, time.Now(), true)
		})
	}
	statusCommand := func(k *factory) *cobra.Command {
		return newStatus(k, func(_ context.Context, o *statusOptions) error {
			if len(o.contexts) > 0 {
				all := []contextStatus{{Context: "eu", Status: status, Findings: status.Findings}, {Context: "us", Failed: []*pipeline.Finding{{Code: "workload-unknown", Severity: pipeline.Error, What: "it is unknown"}}}}
				return o.print(k.env, newStatusesDocument(all), func() error { return printStatuses(k.env, all) })
			}
			return o.print(k.env, &statusDocument{Status: status, Well: status.Well, reported: status.Findings}, func() error { return printTable(k.env, status.Table()) })
		})
	}
	for _, tc := range []struct {
		name    string
		command func(*factory) *cobra.Command
		argv    string
		code    pipeline.End
		pipe    string   // stdout; … stands for any text
		screen  string   // of a terminal, if it differs
		fields  []string // of the documents
	}{
		{"rollout", rolloutAs(oneRun{res: res}, well), "rollout --tag t1", 0, "ns/deployment/w ghcr.io/o/w:t1\n", "", []string{"workload", "image", "tag", "oldPodsGone"}},
		{"name", rolloutAs(oneRun{res: res}, well), "rollout --tag t1 -o name", 0, "deployment/w\n", "", nil},
		{"failed", rolloutAs(oneRun{res: res}, failed), "rollout --tag t1", pipeline.Restored, "", "", []string{"workload"}},
		{"server", rolloutAs(oneRun{res: server}, well), "rollout --tag t1 --dry-run=server", 0, "deployment.apps/w configured (server dry run)\n", "", []string{"dryRun", "changes"}},
		{"diff", rolloutAs(oneRun{res: server, diff: "-a\n+b\n"}, well), "rollout --tag t1 --dry-run=server --diff", 0, "-a\n+b\n", "", nil},
		{"client", rolloutAs(oneRun{res: client}, well), "rollout --tag t1 --dry-run=client", 0, "ns/deployment/w: container w would get ghcr.io/o/w:t1\n", "", []string{"dryRun"}},
		{"undo", undoAs(oneRun{res: undone}), "undo", 0, "ns/deployment/w revision 3 ghcr.io/o/w:t1\n", "", []string{"revision"}},
		{"undo of a kill", undoAs(oneRun{res: res}), "undo", 0, "ns/deployment/w ghcr.io/o/w:t1\n", "", []string{"workload"}},
		{"restart", restart, "restart", 0, "ns/deployment/w ghcr.io/o/w:t1\n", "", []string{"workload", "image"}},
		{"doctor", doctor, "doctor --tag t1", 0, "ns/deployment/w can be rolled out at t1\n", "", []string{"tag"}},
		{"several", several, "rollout --tag t1 --contexts eu,us -o name", 0, "eu/deployment/w\n", "", nil},
		{"several, documents", several, "rollout --tag t1 --contexts eu,us --dry-run=server", 0, "…eu…done…us…not-started…", "", []string{"contexts", "tag"}},
		{"refresh", refreshAs(&inngest.Refreshed{App: app}, nil), "refresh", 0, "app/a 2 functions\n", "", []string{"app", "diff", "stale", "pruned", "foreign"}},
		{"refresh, planned", refreshAs(nil, &inngest.Plan{Diff: judge.Diff{}}), "refresh --dry-run", 0, "", "", []string{"want", "diff", "stale"}},
		{"history", history, "history", 0, "REVISION   TAG   DIGEST         COMMIT   BY   AGE   TOOK   OUTCOME\n2 *        t1    0123456789ab   -        -    -     0s     done (undo)\n", "", []string{"revisions"}},
		{"history, wide", history, "history -o wide", 0, "…a cause that is so long that no terminal of eighty columns can show it\n", "…CAU…\n…", nil},
		{"functions", functions, "functions", 0, "FUNCTION   TRIGGERS   RETRIES   CONCURRENCY   APP\nf                     0                       a\ng                     0                       a\n", "", []string{"functions"}},
		{"functions, name", functions, "functions f -o name", 0, "a-f\n", "", nil},
		{"functions, none", functions, "functions nope", pipeline.Unchanged, "", "", nil},
		{"runs", runs, "runs", 0, "…a-f…COMPLETED…", "", []string{"runs"}},
		{"runs, cancel", runs, "runs --cancel 01X", 0, "run/01X cancelled\n", "", []string{"run", "cancelled"}},
		{"status", statusCommand, "status", pipeline.Unchanged, "…ns/deployment/w: complete, 1 of 1 ready…not well\n", "", []string{"workload", "verdict", "well"}},
		{"statuses", statusCommand, "status --contexts eu,us", pipeline.Unchanged, "…eu        w:t1    1/1     not well   drift-image\nus        -       -       unknown    workload-unknown\n", "", []string{"contexts", "well"}},
	} {
		tested[strings.Fields(tc.argv)[0]] = true
		t.Run(tc.name, func(t *testing.T) {
			env, _, _ := testEnv(t, "")
			command := func() *cobra.Command {
				return tc.command(&factory{env: env, flags: genericclioptions.NewConfigFlags(true)})
			}
			clitest.Printed{Argv: tc.argv, Code: tc.code, Pipe: tc.pipe, Screen: tc.screen, Fields: tc.fields}.Check(t, env, NewRoot, command, parts)
		})
	}
	clitest.EveryCommand(t, NewRoot(&cli.Env{Plugin: "kubectl sbw", Getenv: func(string) string { return "" }}), tested)
}

// parts fails unless got is want, in which … stands for any text.
func parts(t *testing.T, got, want string) {
	t.Helper()
	if all := strings.Split(want, "…"); len(all) == 1 {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	} else {
		rest := got
		for _, part := range all {
			_, after, ok := strings.Cut(rest, part)
			if !ok {
				t.Errorf("%q is not in the rest of\n%s", part, got)
			}
			rest = after
		}
	}
}
