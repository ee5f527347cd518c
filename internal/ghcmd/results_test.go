package ghcmd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cli/clitest"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/publish"
	"github.com/joelhooks/gh-sbw/internal/push"
)

// TestResults runs each command with a prepared result instead of its use case. It checks
// what the command prints into a pipe, what a terminal of 80 columns shows, and which
// fields its documents have besides the head.
func TestResults(t *testing.T) {
	repo, err := imageref.ParseRepository("ghcr.io/o/w")
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	pushed := publish.Result{Reference: repo.At("v1@" + digest), Digest: digest, Pushed: &push.Result{}}
	planned := publish.Result{Reference: pushed.Reference, Digest: digest, Plan: &push.Plan{Repository: repo.String(), Digest: digest}}
	const wrapped = "ghcr.io/o/w:v1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789\nabcdef\n" // at 80 columns
	publishAs := func(res publish.Result, end pipeline.End) func(*cli.Env) *cobra.Command {
		return func(env *cli.Env) *cobra.Command {
			return newPublish(env, func(_ context.Context, o *publishOptions) error {
				if err := printPublish(env, o, res, end == pipeline.Done); err != nil || end == pipeline.Done {
					return err
				}
				return &cli.ExitError{Code: int(end)}
			})
		}
	}
	doctorAs := func(failed error) func(*cli.Env) *cobra.Command {
		return func(env *cli.Env) *cobra.Command {
			return newDoctor(env, func(_ context.Context, o *publishOptions) error {
				return printDoctor(env, o.output, &doctorDocument{Tag: o.Tag, Reference: repo.At(o.Tag).String()}, failed)
			})
		}
	}
	tagsAs := func(tags ...image.Tag) func(*cli.Env) *cobra.Command {
		return func(env *cli.Env) *cobra.Command {
			return newTags(env, func(_ context.Context, o *tagsOptions) error {
				o.Now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
				return printTags(env, o, repo, tags)
			})
		}
	}
	newest := image.Tag{Tag: "v1", Digest: digest, Commit: "0123456789abcdef", Dirty: true, Created: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		Publisher: "joel", Size: 1 << 20, Platforms: []string{"linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"}}
	broken := image.Tag{Tag: "gone", Problem: "it was deleted"}

	f := catalog.Function{ID: "a-f", File: "src/a.ts", Line: 7, Retries: catalog.Retries{Value: 4}, Triggers: []catalog.Trigger{{Event: "a/b"}},
		Concurrency: []catalog.Concurrency{{Limit: 2, Key: "event.data.id"}}}
	found := &catalog.Catalog{Version: 1, Indexes: []catalog.Index{{Path: "src/index.ts", Functions: []catalog.Function{f}}}}
	functionsAs := func(judged ...*pipeline.Finding) func(*cli.Env) *cobra.Command {
		return func(env *cli.Env) *cobra.Command {
			return newFunctions(env, func(_ context.Context, o *functionsOptions) error {
				if o.diff != "" {
					before := f
					before.Retries.Value = 0
					return printDiff(env, o.output, found, map[string]catalog.Difference{"src/index.ts": catalog.Diff([]catalog.Function{before}, []catalog.Function{f})})
				}
				return printFunctions(env, o.output, found, judged)
			})
		}
	}
	const onScreen = "INDEX      FUNCTION   TRIGGERS    RETRIES\nindex.ts   a-f        event a/b   4\n"
	warned := &pipeline.Finding{Code: "catalog-undecided", Severity: pipeline.Warning, What: "one cannot be decided"}
	wrong := &pipeline.Finding{Code: "catalog-zero-retries", Severity: pipeline.Error, What: "a-f has retries 0"}

	tested := map[string]bool{}
	for _, tc := range []struct {
		name    string
		command func(*cli.Env) *cobra.Command
		argv    string
		code    pipeline.End
		pipe    string   // stdout
		screen  string   // of a terminal, if it differs
		fields  []string // of the documents
	}{
		{"publish", publishAs(pushed, pipeline.Done), "publish v1", 0, "ghcr.io/o/w:v1@" + digest + "\n", wrapped,
			[]string{"reference", "tag", "digest", "pushed"}},
		{"publish, digest", publishAs(pushed, pipeline.Done), "publish v1 -o digest", 0, digest + "\n", "", nil},
		{"publish, name", publishAs(pushed, pipeline.Done), "publish v1 -o name", 0, "ghcr.io/o/w:v1@" + digest + "\n", wrapped, nil},
		{"publish, planned", publishAs(planned, pipeline.Done), "publish v1 --dry-run", 0, "ghcr.io/o/w:v1@" + digest + "\n", wrapped,
			[]string{"dryRun", "plan"}},
		{"publish, left", publishAs(pushed, pipeline.Left), "publish v1", pipeline.Left, "", "", []string{"reference", "digest"}},
		{"publish, refused", publishAs(publish.Result{}, pipeline.RefusedByPreflight), "publish v1", pipeline.RefusedByPreflight, "", "", []string{"tag"}},
		{"doctor", doctorAs(nil), "doctor v1", 0, "ghcr.io/o/w:v1 can be published\n", "", []string{"reference", "tag"}},
		{"doctor, refused", doctorAs(&cli.ExitError{Code: int(pipeline.RefusedByPreflight)}), "doctor v1", pipeline.RefusedByPreflight, "", "", []string{"reference", "tag"}},
		{"doctor, failed", doctorAs(errors.New("no such repository")), "doctor v1", pipeline.Unchanged, "", "", []string{"tag"}},
		{"tags", tagsAs(newest, broken), "tags", 0,
			"v1\t0123456789ab\t012345678+\t3h\tjoel\t1.0 MB\tlinux/amd64,linux/arm64,linux/arm/v7,linux/riscv64\ngone\tit was deleted\n",
			"TAG    DIGEST           COMMIT       AGE   BY     SIZE     PLATFORMS\n" +
				"v1     0123456789ab     012345678+   3h    joel   1.0 MB   linux/amd64,linux/ar…\ngone   it was deleted\n", []string{"repository", "tags"}},
		{"tags, name", tagsAs(newest, broken), "tags -o name", 0, "v1\ngone\n", "", nil},
		{"tags, none", tagsAs(), "tags", 0, "", "", []string{"repository", "tags"}},
		{"functions", functionsAs(), "functions", 0, "index.ts\ta-f\tevent a/b\t4\n", onScreen,
			[]string{"version", "indexes", "unresolved", "orphans"}},
		{"functions, wide", functionsAs(), "functions -o wide", 0, "index.ts\ta-f\tevent a/b\t4\t2 event.data.id\tsrc/a.ts:7\n",
			"INDEX      FUNCTION   TRIGGERS    RETRIES   CONCURRENCY       WRITTEN AT\nindex.ts   a-f        event a/b   4         2 event.data.id   src/a.ts:7\n", nil},
		{"functions, name", functionsAs(), "functions -o name", 0, "a-f\n", "", nil},
		{"functions, doubtful", functionsAs(warned), "functions -o name", 0, "a-f\n", "", nil},
		{"functions, wrong", functionsAs(warned, wrong), "functions -o name", pipeline.RefusedByPreflight, "a-f\n", "", nil},
		{"functions, documents", functionsAs(warned, wrong), "functions --worker system-bus-worker", pipeline.RefusedByPreflight, "index.ts\ta-f\tevent a/b\t4\n", onScreen, []string{"indexes"}},
		{"functions, compared", functionsAs(wrong), "functions --diff v0", 0, "src/index.ts: 1 changed\n  ~ a-f retries 0 → 4\n", "", []string{"indexes", "diff"}},
	} {
		tested[strings.Fields(tc.argv)[0]] = true
		t.Run(tc.name, func(t *testing.T) {
			env, _, _ := testEnv(t, "")
			command := func() *cobra.Command { return tc.command(env) }
			clitest.Printed{Argv: tc.argv, Code: tc.code, Pipe: tc.pipe, Screen: tc.screen, Fields: tc.fields}.Check(t, env, NewRoot, command, exactly)
		})
	}
	clitest.EveryCommand(t, NewRoot(&cli.Env{Plugin: "gh sbw", Getenv: func(string) string { return "" }}), tested)
}

func exactly(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
