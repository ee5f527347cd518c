package ghcmd

import (
	"errors"
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
	"github.com/joelhooks/gh-sbw/internal/publish"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// flags holds the flags about the image. options combines them with the configuration.
type flags struct {
	worker, image string

	builder, layout     string
	file, context       string
	platforms           []string
	target              string
	args, secrets       []string
	cacheFrom, cacheTo  []string
	noCache, pull       bool
	noLatest, overwrite bool
	noLayerReuse        bool

	// chosen is the note about which of several workers was chosen if none was named.
	// options sets it.
	chosen string
}

// addTarget adds the flags that select the worker and the image.
func (f *flags) addTarget(c *cobra.Command) {
	c.Flags().StringVar(&f.worker, "worker", "", "which worker of "+worker.ConfigName+" to use; may be omitted if there is only one")
	c.Flags().StringVar(&f.image, "image", "", "the image's repository (default: ghcr.io/OWNER/WORKER)")
}

// addBuild adds the flags that control the build and the tags.
func (f *flags) addBuild(c *cobra.Command) {
	s := c.Flags()
	s.StringSliceVar(&f.platforms, "platform", nil, "platforms to build for (default: linux/arm64); several platforms make an index")
	s.StringVarP(&f.file, "file", "f", "", "the Dockerfile (default: build.dockerfile)")
	s.StringVar(&f.context, "context", "", "the build context (default: build.context, the repository's root)")
	s.StringVar(&f.builder, "builder", build.Auto, "which builder to use: "+strings.Join(append([]string{build.Auto}, build.Names()...), ", "))
	s.StringVar(&f.layout, "layout", "", "publish this OCI layout directory, DIR[:REF|@DIGEST], and build nothing")
	s.StringArrayVar(&f.args, "build-arg", nil, "a build argument, NAME=VALUE, or NAME to take it from the environment; never a secret")
	s.StringArrayVar(&f.secrets, "secret", nil, "a build secret, id=NAME[,src=FILE|,env=VAR]")
	s.StringVar(&f.target, "target", "", "the stage of the Dockerfile to build")
	s.StringArrayVar(&f.cacheFrom, "cache-from", nil, "a cache to read, in the syntax of buildx")
	s.StringArrayVar(&f.cacheTo, "cache-to", nil, "a cache to write, in the syntax of buildx")
	s.BoolVar(&f.noCache, "no-cache", false, "build every step again, without the cache")
	s.BoolVar(&f.pull, "pull", false, "look for newer base images")
	s.BoolVar(&f.noLayerReuse, "no-layer-reuse", false, "send layers as they are built, even if they hardly differ from published ones")
	s.BoolVar(&f.noLatest, "no-latest", false, "leave the tag latest where it is")
	s.BoolVar(&f.overwrite, "overwrite", false, "move TAG even if it already refers to other content")
	cli.Complete(c, "builder", append([]string{build.Auto}, build.Names()...)...)
}

// tagLayout is the format of the default tag, the time.
const tagLayout = "20060102-150405"

// options returns what to publish, from the flags and the configuration. Errors are
// findings about wrong usage.
func (f *flags) options(env *cli.Env, args []string, now func() time.Time) (publish.Options, error) {
	o := publish.Options{
		Builder:   f.builder,
		NoLatest:  f.noLatest,
		Overwrite: f.overwrite,
		Environ:   os.Environ(),
		Now:       now,
		CacheDir:  os.UserCacheDir,
	}
	if err := f.contradictions(); err != nil {
		return o, err
	}
	o.Root, _ = worker.FindRoot(env.Dir)
	config, err := worker.Load(o.Root)
	if err != nil {
		return o, err
	}
	if o.Worker, err = config.Worker(f.worker); err != nil {
		return o, err
	}
	f.chosen = config.Choice(f.worker)
	for _, name := range config.Names() {
		if w, err := config.Worker(name); err == nil {
			o.Siblings = append(o.Siblings, w)
		}
	}
	o.LayerReuse = o.Worker.Build.LayerReuse && !f.noLayerReuse
	o.Tag = now().Format(tagLayout)
	if len(args) == 1 {
		o.Tag = args[0]
	}
	if err := imageref.CheckTag(o.Tag); err != nil {
		return o, err
	}
	if o.Tag == push.Latest && o.NoLatest {
		return o, pipeline.UsageErrorf(pipeline.CodeUsage, "give another tag, or leave out --no-latest",
			"the tag is latest, but --no-latest leaves that tag where it is")
	}
	o.Repository = o.Worker.Image
	if f.image != "" {
		if o.Repository, err = imageref.ParseRepository(f.image); err != nil {
			return o, err
		}
	}
	if o.Platforms, err = f.parsePlatforms(o.Worker.Build.Platforms); err != nil {
		return o, err
	}
	if f.layout != "" {
		o.Layout = absolute(env.Dir, f.layout)
		if _, _, err := layout.Dir(o.Layout); err != nil {
			return o, err
		}
	}
	if o.Builder != "" && o.Builder != build.Auto && !slices.Contains(build.Names(), o.Builder) {
		return o, pipeline.UsageErrorf(pipeline.CodeUsage, "use one of "+strings.Join(append([]string{build.Auto}, build.Names()...), ", "),
			"--builder %q is not known", o.Builder)
	}
	o.Build, err = f.request(env, o)
	return o, err
}

// request returns what to build.
func (f *flags) request(env *cli.Env, o publish.Options) (build.Request, error) {
	b := o.Worker.Build
	r := build.Request{
		Dir:        o.Root,
		Context:    absolute(o.Root, b.Context),
		Dockerfile: absolute(o.Root, b.Dockerfile),
		Platforms:  imageref.PlatformNames(o.Platforms),
		Target:     b.Target,
		Args:       map[string]string{},
		Secrets: slices.Concat(
			b.Secrets,
			f.secrets,
		),
		CacheFrom:    slices.Concat(b.CacheFrom, f.cacheFrom),
		CacheTo:      slices.Concat(b.CacheTo, f.cacheTo),
		NoCache:      f.noCache,
		Pull:         f.pull,
		Uncompressed: true,
	}
	if f.context != "" {
		r.Context = absolute(env.Dir, f.context)
	}
	if f.file != "" {
		r.Dockerfile = absolute(env.Dir, f.file)
	}
	if f.target != "" {
		r.Target = f.target
	}
	for _, s := range r.Secrets {
		if err := build.CheckSecret(s); err != nil {
			return r, err
		}
	}
	for k, v := range b.Args {
		r.Args[k] = v
	}
	for _, a := range f.args {
		name, value, given := strings.Cut(a, "=")
		if name == "" {
			return r, pipeline.UsageErrorf(pipeline.CodeUsage, "write it as NAME=VALUE", "--build-arg %q has no name", a)
		}
		if !given {
			value = env.Getenv(name)
		}
		r.Args[name] = value
	}
	var err error
	r.SourceDateEpoch, err = sourceDateEpoch(env)
	return r, err
}

func (f *flags) parsePlatforms(configured []imageref.Platform) ([]imageref.Platform, error) {
	if len(f.platforms) == 0 {
		return configured, nil
	}
	var all []imageref.Platform
	for _, text := range f.platforms {
		p, err := imageref.ParsePlatform(text)
		if f, ok := errors.AsType[*pipeline.Finding](err); ok {
			return nil, f.With(func(f *pipeline.Finding) { f.What = "--platform " + f.What })
		}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, nil
}

// contradictions checks the flags alone, before they are combined with the
// configuration.
func (f *flags) contradictions() error {
	if f.layout == "" {
		return nil
	}
	for _, other := range []struct {
		name  string
		given bool
	}{
		{"--builder", f.builder != build.Auto}, {"--file", f.file != ""}, {"--context", f.context != ""},
		{"--build-arg", len(f.args) > 0}, {"--secret", len(f.secrets) > 0}, {"--target", f.target != ""},
		{"--cache-from", len(f.cacheFrom) > 0}, {"--cache-to", len(f.cacheTo) > 0}, {"--no-cache", f.noCache}, {"--pull", f.pull},
	} {
		if other.given {
			return pipeline.UsageErrorf(pipeline.CodeUsage, "leave out one of the two",
				"--layout publishes an image that is already built, but %s is about building one", other.name)
		}
	}
	return nil
}

// sourceDateEpoch reads SOURCE_DATE_EPOCH, seconds since 1970
// (reproducible-builds.org).
func sourceDateEpoch(env *cli.Env) (time.Time, error) {
	text := env.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"set it to whole seconds since 1970, or unset it",
			"SOURCE_DATE_EPOCH=%q is not a time",
			text,
		)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// absolute makes a path relative to dir absolute.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
