package ghcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

type publishOptions struct {
	env *cli.Env

	tag        string
	workerName string
	image      string
	platform   []string
	dockerfile string
	contextDir string
	builder    string
	layout     string
	args       []string
	secrets    []string
	target     string
	cacheFrom  []string
	cacheTo    []string
	noCache    bool
	pull       bool
	noLatest   bool

	noLayerReuse bool
	overwrite    bool
	dryRun       bool
	output       string

	root       string
	repository imageref.Repository // zero: it follows from the owner
	platforms  []imageref.Platform
	worker     worker.Worker
	epoch      time.Time
	now        func() time.Time
	cacheDir   func() (string, error)
}

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

func newOptions(env *cli.Env) *publishOptions {
	return &publishOptions{env: env, now: time.Now, cacheDir: os.UserCacheDir, builder: build.Auto}
}

func newPublish(env *cli.Env) *cobra.Command {
	o := newOptions(env)
	c := &cobra.Command{
		Use:   "publish [TAG] [flags]",
		Short: "Build the worker's image and push it to GHCR",
		Long: `Build the worker's image for the cluster's platform and push it to the GitHub Container Registry
under TAG, by default the time as YYYYMMDD-HHMMSS, and as latest.

Whatever would fail after the build is refused before it: identity, scopes, the right to push, the
builder, the Dockerfile, the tag. latest moves only when TAG is there complete. The result,
NAME:TAG@sha256:…, goes to standard output, the story to standard error.

Exit codes: 0 done, 1 failed and nothing changed, 2 wrong usage, 3 refused by the preflight,
5 failed with something changed, 130 interrupted.`,
		Example: publishExamples,
		Args:    cobra.MaximumNArgs(1),
	}
	o.addTarget(c)
	o.addBuild(c)
	f := c.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "do everything but change the registry, and say what would be pushed")
	cli.AddOutput(c, &o.output, "name", "digest", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.complete(args); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		return o.run(c.Context())
	}
	return c
}

// addTarget adds the flags that say whose image is meant.
func (o *publishOptions) addTarget(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.workerName, "worker", "", "the worker of "+worker.ConfigName+" that is meant; may be left out when there is one")
	f.StringVar(&o.image, "image", "", "the image's repository (default: ghcr.io/OWNER/WORKER)")
}

// addBuild adds the flags that say what is built and under which tags it goes.
func (o *publishOptions) addBuild(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&o.platform, "platform", nil, "platforms to build for (default: linux/arm64); several make an index")
	f.StringVarP(&o.dockerfile, "file", "f", "", "the Dockerfile (default: build.dockerfile)")
	f.StringVar(&o.contextDir, "context", "", "the build context (default: build.context, the repository's root)")
	f.StringVar(&o.builder, "builder", build.Auto, "what builds: "+strings.Join(append([]string{build.Auto}, build.Names()...), ", "))
	f.StringVar(&o.layout, "layout", "", "publish this OCI layout directory, DIR[:REF|@DIGEST], and build nothing")
	f.StringArrayVar(&o.args, "build-arg", nil, "a build argument, NAME=VALUE, or NAME to take it from the environment; never a secret")
	f.StringArrayVar(&o.secrets, "secret", nil, "a build secret, id=NAME[,src=FILE|,env=VAR]")
	f.StringVar(&o.target, "target", "", "the stage of the Dockerfile to build")
	f.StringArrayVar(&o.cacheFrom, "cache-from", nil, "a cache to read, as buildx takes it")
	f.StringArrayVar(&o.cacheTo, "cache-to", nil, "a cache to write, as buildx takes it")
	f.BoolVar(&o.noCache, "no-cache", false, "build every step anew")
	f.BoolVar(&o.pull, "pull", false, "look for newer base images")
	f.BoolVar(&o.noLayerReuse, "no-layer-reuse", false, "send layers as they are built, even where they hardly differ from published ones")
	f.BoolVar(&o.noLatest, "no-latest", false, "leave the tag latest where it is")
	f.BoolVar(&o.overwrite, "overwrite", false, "let TAG be moved from other content")
	cli.Complete(c, "builder", append([]string{build.Auto}, build.Names()...)...)
}

// tagLayout is the default tag: the time, as the seed's script had it.
const tagLayout = "20060102-150405"

func (o *publishOptions) complete(args []string) error {
	if err := o.contradictions(); err != nil {
		return err
	}
	o.root, _ = worker.FindRoot(o.env.Dir)
	config, err := worker.Load(o.root)
	if err != nil {
		return err
	}
	if o.worker, err = config.Worker(o.workerName); err != nil {
		return err
	}
	w := o.worker
	if len(args) == 1 {
		o.tag = args[0]
	} else {
		o.tag = o.now().Format(tagLayout)
	}
	o.platforms = w.Build.Platforms
	if len(o.platform) > 0 {
		o.platforms = nil
	}
	for _, text := range o.platform {
		p, err := imageref.ParsePlatform(text)
		if f, ok := errors.AsType[*pipeline.Finding](err); ok {
			return f.With(func(f *pipeline.Finding) { f.What = "--platform " + f.What })
		}
		o.platforms = append(o.platforms, p)
	}
	o.dockerfile = o.pathOr(o.dockerfile, w.Build.Dockerfile)
	o.contextDir = o.pathOr(o.contextDir, w.Build.Context)
	if o.target == "" {
		o.target = w.Build.Target
	}
	o.secrets = append(slices.Clone(w.Build.Secrets), o.secrets...)
	o.cacheFrom = append(slices.Clone(w.Build.CacheFrom), o.cacheFrom...)
	o.cacheTo = append(slices.Clone(w.Build.CacheTo), o.cacheTo...)
	o.repository = w.Image
	if o.image != "" {
		if o.repository, err = imageref.ParseRepository(o.image); err != nil {
			return err
		}
	}
	return o.completeEpoch()
}

// contradictions looks at the flags alone, before the configuration's values
// join them.
func (o *publishOptions) contradictions() error {
	if o.layout == "" {
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--builder", o.builder != build.Auto}, {"--file", o.dockerfile != ""}, {"--context", o.contextDir != ""},
		{"--build-arg", len(o.args) > 0}, {"--secret", len(o.secrets) > 0}, {"--target", o.target != ""},
		{"--cache-from", len(o.cacheFrom) > 0}, {"--cache-to", len(o.cacheTo) > 0}, {"--no-cache", o.noCache}, {"--pull", o.pull},
	} {
		if f.given {
			return pipeline.UsageErrorf("usage", "leave one of the two away",
				"--layout publishes an image that is built already, and %s is about building one", f.name)
		}
	}
	return nil
}

// completeEpoch reads SOURCE_DATE_EPOCH, seconds since 1970 (reproducible-builds.org).
func (o *publishOptions) completeEpoch() error {
	text := o.env.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return pipeline.UsageErrorf("usage", "set it to whole seconds since 1970, or unset it", "SOURCE_DATE_EPOCH=%q is no time", text)
	}
	o.epoch = time.Unix(seconds, 0).UTC()
	return nil
}

// pathOr is a flag's path as seen from where the user is, or else the
// configuration's as seen from the repository's root.
func (o *publishOptions) pathOr(flag, config string) string {
	base, path := o.env.Dir, flag
	if flag == "" {
		base, path = o.root, config
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

func (o *publishOptions) validate() error {
	if err := imageref.CheckTag(o.tag); err != nil {
		return err
	}
	if o.tag == push.Latest && o.noLatest {
		return pipeline.UsageErrorf("usage", "give another tag, or leave --no-latest away", "the tag latest is to be written, and --no-latest says to leave it where it is")
	}
	if o.layout != "" {
		if _, _, err := layout.Dir(o.pathOr(o.layout, "")); err != nil {
			return err
		}
	}
	for _, s := range o.secrets {
		if err := build.CheckSecret(s); err != nil {
			return err
		}
	}
	if o.builder != build.Auto && !slices.Contains(build.Names(), o.builder) {
		return pipeline.UsageErrorf("usage", "use one of "+strings.Join(append([]string{build.Auto}, build.Names()...), ", "), "--builder %q is not known", o.builder)
	}
	for _, a := range o.args {
		if name, _, _ := strings.Cut(a, "="); name == "" {
			return pipeline.UsageErrorf("usage", "write it as NAME=VALUE", "--build-arg %q has no name", a)
		}
	}
	return nil
}

// buildArgs are the configuration's and the flags' build arguments.
func (o *publishOptions) buildArgs() map[string]string {
	all := map[string]string{}
	for k, v := range o.worker.Build.Args {
		all[k] = v
	}
	for _, a := range o.args {
		name, value, given := strings.Cut(a, "=")
		if !given {
			value = o.env.Getenv(name)
		}
		all[name] = value
	}
	return all
}

func (o *publishOptions) run(ctx context.Context) error {
	p := &publish{publishOptions: o}
	out, err := o.env.Run(ctx, p.pipeline(), map[pipeline.End]string{
		pipeline.Left: "run `gh sbw publish " + o.tag + "` again: what was sent is there, only the rest is sent",
	})
	if rerr := p.release(); rerr != nil && err == nil {
		err = rerr
	}
	p.record(ctx, out)
	if perr := p.print(out); perr != nil {
		return perr
	}
	return err
}

// print writes the result to stdout: one line, or JSON.
func (p *publish) print(out pipeline.Outcome) error {
	if p.output == "json" {
		return cli.PrintObject(p.env.Out, "json", p.summary(out))
	}
	if out.End != pipeline.Done || p.digest == "" {
		return nil
	}
	line := p.reference()
	if p.output == "digest" {
		line = p.digest
	}
	_, err := fmt.Fprintln(p.env.Out, line)
	return err
}
