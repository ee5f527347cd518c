package ghcmd

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cli/clitest"
)

// TestArgvBecomesOptions runs each command with its use case replaced, and checks the
// options that the use case would get.
func TestArgvBecomesOptions(t *testing.T) {
	tested := map[string]bool{}
	const config = "workers: {w: {image: ghcr.io/o/w, build: {platforms: [linux/amd64], secrets: ['id=a']}}}"
	for _, tc := range []struct {
		argv  []string
		check func(t *testing.T, given any)
	}{
		{[]string{"publish"}, func(t *testing.T, given any) {
			o := given.(*publishOptions)
			if len(o.Tag) != len(tagLayout) || o.DryRun || o.NoLatest || o.Overwrite || o.Builder != "auto" || o.Layout != "" || o.output != "" {
				t.Errorf("%+v", o)
			}
			if o.Repository.String() != "ghcr.io/o/w" || !slices.Equal(o.Build.Platforms, []string{"linux/amd64"}) || !slices.Equal(o.Build.Secrets, []string{"id=a"}) {
				t.Errorf("%+v", o)
			}
		}},
		{[]string{"publish", "v1", "--dry-run", "--no-latest", "--overwrite", "--builder", "buildx", "--no-cache", "--pull", "-o", "digest",
			"--secret", "id=b", "--platform", "linux/arm64,linux/arm64/v8", "--target", "t", "--cache-from", "c", "--cache-to", "d", "--build-arg", "A=1=2"},
			func(t *testing.T, given any) {
				o := given.(*publishOptions)
				if o.Tag != "v1" || !o.DryRun || !o.NoLatest || !o.Overwrite || o.Builder != "buildx" || o.output != "digest" {
					t.Errorf("%+v", o)
				}
				b := o.Build
				if !b.NoCache || !b.Pull || b.Target != "t" || b.Args["A"] != "1=2" || !slices.Equal(b.Platforms, []string{"linux/arm64"}) ||
					!slices.Equal(b.Secrets, []string{"id=a", "id=b"}) || !slices.Equal(b.CacheFrom, []string{"c"}) || !slices.Equal(b.CacheTo, []string{"d"}) {
					t.Errorf("%+v", b)
				}
			}},
		{[]string{"publish", "--layout", "."}, func(t *testing.T, given any) {
			if o := given.(*publishOptions); o.Layout == "" || o.Layout == "." {
				t.Errorf("layout %q", o.Layout)
			}
		}},
		{[]string{"publish", "--", "help"}, func(t *testing.T, given any) {
			if o := given.(*publishOptions); o.Tag != "help" {
				t.Errorf("%+v", o)
			}
		}},
		{[]string{"doctor", "v2"}, func(t *testing.T, given any) {
			if o := given.(*publishOptions); o.Tag != "v2" {
				t.Errorf("%+v", o)
			}
		}},
		{[]string{"tags", "-L", "3", "-o", "name", "--image", "ghcr.io/o/x"}, func(t *testing.T, given any) {
			if o := given.(*tagsOptions); o.limit != 3 || o.output != "name" || o.Repository.String() != "ghcr.io/o/x" {
				t.Errorf("%+v", o)
			}
		}},
		{[]string{"functions", "--diff", "latest", "-o", "wide"}, func(t *testing.T, given any) {
			if o := given.(*functionsOptions); o.diff != "latest" || o.output != "wide" || o.Worker.Name != "w" {
				t.Errorf("%+v", o)
			}
		}},
	} {
		tested[tc.argv[0]] = true
		t.Run(strings.Join(tc.argv, " "), func(t *testing.T) {
			env, out, errs := testEnv(t, config)
			var given any
			root := &cobra.Command{Use: "sbw"}
			root.AddCommand(
				newPublish(env, func(_ context.Context, o *publishOptions) error { given = o; return nil }),
				newDoctor(env, func(_ context.Context, o *publishOptions) error { given = o; return nil }),
				newTags(env, func(_ context.Context, o *tagsOptions) error { given = o; return nil }),
				newFunctions(env, func(_ context.Context, o *functionsOptions) error { given = o; return nil }),
			)
			if code := cli.Execute(t.Context(), env, root, tc.argv); code != 0 || given == nil {
				t.Fatalf("exit code %d\n%s%s", code, out, errs)
			}
			tc.check(t, given)
		})
	}
	clitest.EveryCommand(t, NewRoot(&cli.Env{Plugin: "gh sbw", Getenv: func(string) string { return "" }}), tested)
}
