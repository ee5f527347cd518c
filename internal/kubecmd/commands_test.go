package kubecmd

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// read runs a command line of a command made by newX and returns its options.
func read[O any](t *testing.T, newX func(*factory, func(context.Context, O) error) *cobra.Command, argv ...string) (got O, err error) {
	t.Helper()
	env, _, _ := testEnv(t, "")
	c := newX(&factory{env: env, flags: genericclioptions.NewConfigFlags(true)}, func(_ context.Context, o O) error {
		got = o
		return nil
	})
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(argv)
	c.SetContext(t.Context())
	return got, c.Execute()
}

// TestCommandLines: what each command makes of its flags.
func TestCommandLines(t *testing.T) {
	undo, err := read(t, newUndo, "--to-revision", "3", "--no-write", "--no-inngest", "--force", "--lock-wait", "5s", "--timeout", "9s")
	if err != nil || undo.ToRevision != 3 || !undo.Manifest.NoWrite || !undo.Inngest.Off || !undo.Force || undo.LockWait != 5*time.Second || undo.Timeout != 9*time.Second {
		t.Errorf("undo: %+v, %v", undo, err)
	}
	doctor, err := read(t, newDoctor, "--tag", "t1", "--image-only", "-o", "yaml")
	if err != nil || doctor.Image.Tag != "t1" || !doctor.Manifest.ImageOnly || doctor.output != "yaml" {
		t.Errorf("doctor: %+v, %v", doctor, err)
	}
	status, err := read(t, newStatus, "--no-inngest", "--contexts", "a,b", "-o", "json")
	if err != nil || !status.noInngest || strings.Join(status.contexts, " ") != "a b" || status.output != "json" {
		t.Errorf("status: %+v, %v", status, err)
	}
	refresh, err := read(t, newRefresh, "--allow-removal", "--prune-stale", "--resync", "--dry-run")
	if err != nil || refresh.RefreshOptions != (rollout.RefreshOptions{AllowRemoval: true, PruneStale: true, Resync: true, DryRun: true}) {
		t.Errorf("refresh: %+v, %v", refresh, err)
	}
	functions, err := read(t, newFunctions, "approval", "-A", "--inngest-url", "http://x:1")
	if err != nil || functions.name != "approval" || !functions.all || functions.url != "http://x:1" {
		t.Errorf("functions: %+v, %v", functions, err)
	}
	runs, err := read(t, newRuns, "--count", "3", "--status", "failed,Running", "--since", "1h", "-w")
	if err != nil || runs.count != 3 || strings.Join(runs.status, " ") != "FAILED RUNNING" || runs.since != time.Hour || !runs.watch {
		t.Errorf("runs: %+v, %v", runs, err)
	}
	history, err := read(t, newHistory, "-o", "wide")
	if err != nil || history.output != "wide" {
		t.Errorf("history: %+v, %v", history, err)
	}
}

// oneRun is what a use case came to, without one.
type oneRun struct {
	res     rollout.Result
	objects []apply.Object
	diff    string
}

func (r oneRun) Result(pipeline.Outcome) rollout.Result { return r.res }
func (r oneRun) Rendered() []apply.Object               { return r.objects }
func (r oneRun) DiffText() (string, error)              { return r.diff, nil }

// TestResults: what each command prints of a result, without a terminal.
func TestResults(t *testing.T) {
	well := pipeline.Outcome{Name: "rollout", End: pipeline.Done}
	failed := pipeline.Outcome{Name: "rollout", End: pipeline.Restored, Err: &pipeline.Finding{Code: "crash-loop", Severity: pipeline.Error, What: "it crashes"}}
	res := rollout.Result{Workload: "deployment/w", Namespace: "ns", Tag: "t1", Image: "ghcr.io/o/w:t1", Container: "w"}
	server := res
	server.DryRun, server.Changes = "server", []rollout.Change{{Object: "deployment.apps/w", Action: apply.Configured}}
	client := res
	client.DryRun = "client"
	undone := res
	undone.Revision = 3
	for name, tc := range map[string]struct {
		print func(*cli.Env) error
		want  string // of stdout: the whole, or with … a part
	}{
		"rollout":         {func(e *cli.Env) error { return printRollout(e, "", oneRun{res: res}, well) }, "ns/deployment/w ghcr.io/o/w:t1\n"},
		"rollout, name":   {func(e *cli.Env) error { return printRollout(e, "name", oneRun{res: res}, well) }, "deployment/w\n"},
		"rollout, failed": {func(e *cli.Env) error { return printRollout(e, "", oneRun{res: res}, failed) }, ""},
		"rollout, server": {func(e *cli.Env) error { return printRollout(e, "", oneRun{res: server}, well) }, "deployment.apps/w configured (server dry run)\n"},
		"rollout, diff":   {func(e *cli.Env) error { return printRollout(e, "", oneRun{res: server, diff: "-a\n+b\n"}, well) }, "-a\n+b\n"},
		"rollout, client": {func(e *cli.Env) error { return printRollout(e, "", oneRun{res: client}, well) }, "ns/deployment/w: container w would get ghcr.io/o/w:t1\n"},
		"undo":            {func(e *cli.Env) error { return printUndo(e, "", oneRun{res: undone}, well) }, "ns/deployment/w revision 3 ghcr.io/o/w:t1\n"},
		"undo of a kill":  {func(e *cli.Env) error { return printUndo(e, "", oneRun{res: res}, well) }, "ns/deployment/w ghcr.io/o/w:t1\n"},
		"doctor":          {func(e *cli.Env) error { return printDoctor(e, "", res, well) }, "ns/deployment/w can be rolled out at t1\n"},
		"doctor, refused": {func(e *cli.Env) error { return printDoctor(e, "", res, failed) }, ""},
		"refresh": {func(e *cli.Env) error {
			return printRefresh(e, "", &rollout.Refresh{Done: &inngest.Refreshed{App: model.App{Name: "a", Functions: make([]model.Function, 2)}}})
		}, "app/a 2 functions\n"},
		"history": {func(e *cli.Env) error {
			return printHistory(e, []rollout.Past{{Command: "undo", Revision: 2, Current: true, Tag: "t1", End: "done"}}, false)
		}, "…2 *…done (undo)…"},
		"several": {func(e *cli.Env) error {
			return printFleet(e, "name", rollout.FleetResult{Contexts: []rollout.ContextResult{{Name: "eu", Started: true, Outcome: well, Result: res}, {Name: "us", Result: res}}}, well)
		}, "eu/deployment/w\n"},
		"rollout, json": {func(e *cli.Env) error { return printRollout(e, "json", oneRun{res: res}, failed) }, `…"command": "kubectl sbw rollout"…"end": "restored"…"exitCode": 4…"findings": […"crash-loop"…`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if err := tc.print(&cli.Env{Plugin: "kubectl sbw", Out: &out, Err: &errs}); err != nil {
				t.Fatal(err)
			}
			rest, parts := out.String(), strings.Split(tc.want, "…")
			if len(parts) == 1 && rest != tc.want {
				t.Errorf("%q, want %q", rest, tc.want)
			}
			for _, part := range parts {
				_, after, ok := strings.Cut(rest, part)
				if !ok {
					t.Errorf("%q is not in the rest of\n%s", part, out.String())
				}
				rest = after
			}
		})
	}
}
