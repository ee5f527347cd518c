package ghcmd

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/publish"
)

// testEnv is a repository in a temporary directory and an empty environment.
func testEnv(t *testing.T, config string) (*cli.Env, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, ".sbw.yaml"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	return &cli.Env{Plugin: "gh sbw", Out: &out, Err: &errs, In: strings.NewReader(""), Dir: dir, Getenv: func(string) string { return "" }}, &out, &errs
}

// parse returns the options that publish would run with.
func parse(t *testing.T, env *cli.Env, argv ...string) (publish.Options, error) {
	t.Helper()
	var f flags
	c := &cobra.Command{Use: "publish"}
	f.addTarget(c)
	f.addBuild(c)
	if err := c.ParseFlags(argv); err != nil {
		t.Fatal(err)
	}
	return f.options(env, c.Flags().Args(), func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) })
}

func TestDefaultsAreTheSeeds(t *testing.T) {
	env, _, _ := testEnv(t, "")
	o, err := parse(t, env)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		o.Tag:              "20260102-030405",
		o.Build.Dockerfile: filepath.Join(env.Dir, "packages/system-bus/Dockerfile"),
		o.Build.Context:    env.Dir,
	}
	for got, want := range want {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !slices.Equal(o.Build.Platforms, []string{"linux/arm64"}) || o.Worker.Name != "system-bus-worker" {
		t.Errorf("platforms %v of %s", o.Platforms, o.Worker.Name)
	}
	if got := o.Tags(); !slices.Equal(got, []string{"20260102-030405", "latest"}) {
		t.Errorf("tags %v", got)
	}
	o.NoLatest = true
	if got := o.Tags(); !slices.Equal(got, []string{"20260102-030405"}) {
		t.Errorf("tags with --no-latest %v", got)
	}
}

func TestFlagsComeBeforeTheConfiguration(t *testing.T) {
	env, _, _ := testEnv(t, "workers: {w: {image: ghcr.io/o/w, build: {dockerfile: D, args: {A: '1', B: '2'}, target: t}}}")
	o, err := parse(t, env, "t1", "--platform", "linux/amd64,linux/arm64", "-f", "other/Dockerfile", "--build-arg", "A=3", "--image", "ghcr.io/o/x")
	if err != nil {
		t.Fatal(err)
	}
	if o.Tag != "t1" || o.Repository.String() != "ghcr.io/o/x" || o.Build.Target != "t" || len(o.Platforms) != 2 || o.Build.Dockerfile != filepath.Join(env.Dir, "other/Dockerfile") {
		t.Errorf("%+v", o)
	}
	if args := o.Build.Args; args["A"] != "3" || args["B"] != "2" {
		t.Errorf("build arguments %v", args)
	}
}

func TestWrongUsageIsOneClearErrorAndChangesNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		argv   []string
		want   string
	}{
		"tag":             {"", []string{"publish", "a b"}, `"a b" is not a valid tag`},
		"upper case":      {"", []string{"publish", "--image", "ghcr.io/JoelHooks/w"}, "upper case"},
		"image with tag":  {"", []string{"publish", "--image", "ghcr.io/o/w:t"}, "has a tag or digest"},
		"builder":         {"", []string{"publish", "--builder", "make"}, `--builder "make" is not known`},
		"output":          {"", []string{"publish", "-o", "xml"}, `-o "xml" is not a format`},
		"unknown flag":    {"", []string{"publish", "--tagg"}, "unknown flag: --tagg"},
		"unknown command": {"", []string{"publsh"}, `has no command "publsh"`},
		"two tags":        {"", []string{"publish", "a", "b"}, "takes at most 1 argument"},
		"unknown worker":  {"workers: {a: {}, b: {}}", []string{"publish", "--worker", "c"}, `no worker is named "c"`},
		"configuration":   {"workers:\n  a: {prob: {}}", []string{"publish"}, ".sbw.yaml:2"},
		"explain":         {"", []string{"explain", "no-such-thing-at-all"}, "no page explains"},
		"tag of a dash":   {"", []string{"publish", "--", "-x"}, `"-x" is not a valid tag`},
		"no registry":     {"", []string{"publish", "--image", "worker"}, "does not start with a registry"},
		"latest and not":  {"", []string{"publish", "latest", "--no-latest"}, "leaves that tag where it is"},
		"no layout":       {"", []string{"publish", "--layout", "nowhere"}, "nowhere does not exist"},
		"a file":          {"workers: {w: {}}", []string{"publish", "--layout", ".sbw.yaml"}, "is a file, not a layout directory"},
		"build a layout":  {"", []string{"publish", "--layout", ".", "--builder", "buildx"}, "--builder is about building one"},
		"cache a layout":  {"", []string{"publish", "--layout", ".", "--no-cache"}, "--no-cache is about building one"},
		"platform":        {"", []string{"publish", "--platform", "arm64"}, `--platform "arm64" is not a platform`},
		"argument":        {"", []string{"publish", "--build-arg", "=x"}, "has no name"},
		"secret":          {"", []string{"publish", "--secret", "ghp_of_somebody"}, "is not written in the form that builders accept"},
		"two workers":     {"workers: {a: {}, b: {}}", []string{"publish"}, "choose one with --worker: a, b"},
		"no list":         {"workers: {a: {credentials: {command: secrets lease}}}", []string{"publish"}, "credentials.command must be a list"},
		"no text":         {"workers: {a: {image: [1]}}", []string{"publish"}, "image must be a text"},
		"no YAML":         {"workers:\n\ta: {}", []string{"publish"}, "not valid YAML"},
		"image in file":   {"workers: {a: {image: ghcr.io/Joel/w}}", []string{"publish"}, "upper case"},
		"publish help":    {"", []string{"publish", "help"}, "is a command"},
		"publish doctor":  {"", []string{"publish", "doctor"}, "is a command"},
		"publish version": {"", []string{"publish", "version", "--no-latest"}, "is a command"},
		"doctor help":     {"", []string{"doctor", "help"}, "is a command"},
		"riscv":           {"", []string{"publish", "--platform", "linux/riscv"}, "linux/riscv64"},
		"amd64 variant":   {"", []string{"publish", "--platform", "linux/amd64/v9"}, "v1, v2, v3, v4"},
		"riscv in file":   {"workers: {a: {build: {platforms: [linux/riscv]}}}", []string{"publish"}, ".sbw.yaml:1"},
		"dots in file":    {"workers:\n  a:\n    image: ghcr.io/o/a..b", []string{"publish"}, ".sbw.yaml:3"},
		"doctor's tags":   {"", []string{"doctor", "a", "b"}, "takes at most 1 argument"},
	} {
		t.Run(name, func(t *testing.T) {
			env, out, errs := testEnv(t, tc.config)
			code := cli.Execute(t.Context(), env, NewRoot(env), tc.argv)
			if code != int(pipeline.Usage) {
				t.Errorf("exit code %d, want 2\n%s", code, errs)
			}
			if !strings.Contains(errs.String(), tc.want) || !strings.Contains(errs.String(), "fix:") {
				t.Errorf("want %q and a fix in\n%s", tc.want, errs)
			}
			if out.Len() > 0 {
				t.Errorf("stdout is for results: %s", out)
			}
			if strings.Contains(errs.String(), "ghp_of") {
				t.Errorf("a possible secret is repeated: %s", errs)
			}
			if files, err := os.ReadDir(env.Dir); err != nil || len(files) > 2 { // .git and .sbw.yaml
				t.Errorf("%v, %v", files, err)
			}
		})
	}
}

func TestExplainFindsTheSeedsGotchas(t *testing.T) {
	for _, query := range []string{"exec-format", "exec format error", "docker-credential-desktop", "Unable to reach SDK URL"} {
		env, out, errs := testEnv(t, "")
		if code := cli.Execute(t.Context(), env, NewRoot(env), []string{"explain", query}); code != 0 || !strings.Contains(out.String(), "What to do") {
			t.Errorf("%s: exit %d\n%s%s", query, code, out, errs)
		}
	}
}
