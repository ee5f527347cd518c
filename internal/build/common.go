package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// This file contains what all builders have in common.

// toLayout prepares a build, calls do, which builds into the layout and returns
// the digest, and stamps the labels. tmp is for small files of the build. do may
// be called twice (see withDockerConfig).
func (m machine) toLayout(
	ctx context.Context,
	name string,
	req Request,
	r *pipeline.Reporter,
	do func(env environment, tmp string) (digest string, err error),
) (Result, error) {
	start := time.Now()
	tmp, remove, err := tempDir()
	if err != nil {
		return Result{}, err
	}
	defer remove()
	if err := os.MkdirAll(req.LayoutDir, 0o755); err != nil {
		return Result{}, fmt.Errorf("cannot use the layout directory: %w", err)
	}
	var digest string
	err = m.withDockerConfig(req, tmp, r, func(env environment) (err error) {
		digest, err = do(env, tmp)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	stamped, err := layout.Stamp(req.LayoutDir, digest, req.Labels)
	if err != nil {
		return Result{}, err
	}
	return Result{LayoutDir: req.LayoutDir, Digest: stamped, Builder: name, Took: took(start)}, nil
}

// perPlatform calls one for each platform and combines several images into an
// index. It is for builders that make one image at a time.
func perPlatform(req Request, one func(platform string) (digest string, err error)) (string, error) {
	var digests []string
	for _, p := range req.Platforms {
		d, err := one(p)
		if err != nil {
			return "", err
		}
		digests = append(digests, d)
	}
	if len(digests) == 1 {
		return digests[0], nil
	}
	return layout.Compose(req.LayoutDir, digests)
}

// dialect describes the differences between programs that have the command line
// of `docker build`.
type dialect struct {
	pull string // the flag that asks for newer base images
	// secret, cache and cacheTo convert a specification. If the result is empty, the
	// flag is omitted.
	secret, cache, cacheTo func(string) string
}

// dockerArgs returns the arguments that these programs share.
func (d dialect) dockerArgs(req Request) (args []string) {
	if req.Target != "" {
		args = append(args, "--target", req.Target)
	}
	if req.NoCache {
		args = append(args, "--no-cache")
	}
	if req.Pull {
		args = append(args, d.pull)
	}
	for _, a := range buildArgs(req) {
		args = append(args, "--build-arg", a)
	}
	for _, list := range []struct {
		flag  string
		specs []string
		write func(string) string
	}{{"--secret", req.Secrets, d.secret}, {"--cache-from", req.CacheFrom, d.cache}, {"--cache-to", req.CacheTo, d.cacheTo}} {
		for _, spec := range list.specs {
			if spec = list.write(spec); spec != "" {
				args = append(args, list.flag, spec)
			}
		}
	}
	return append(args, req.Context)
}

func verbatim(spec string) string { return spec }

// piped runs write and read in parallel, connected by a pipe. What read does not
// consume is discarded, so that a builder never waits for this process.
func piped(write func(io.Writer) error, read func(io.Reader) error) (written, done error) {
	pr, pw := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := read(pr)
		_, _ = io.Copy(io.Discard, pr)
		ended <- err
	}()
	written = write(pw)
	_ = pw.Close() // cannot fail
	return written, <-ended
}

// builderDown returns the finding for a builder that is installed but does not
// work.
func builderDown(what string, err error, fix string) []*pipeline.Finding {
	return []*pipeline.Finding{{Code: codeBuilderDown, Severity: pipeline.Error, What: what, Why: plain(err.Error()), Fix: fix, Err: err}}
}

// exporting runs a program that exports a built image.
func exporting(ctx context.Context, env environment, name, dir string, argv []string, stdout io.Writer) error {
	var said tail
	said.max = 4 << 10
	err := env.run(ctx, dir, argv, stdout, &said)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &pipeline.Finding{
		Code:     codeBuildExport,
		Severity: pipeline.Error,
		What:     name + " built the image but cannot copy it into the layout directory",
		Why:      lastLine(said.String()),
		Where:    dir,
		Fix:      "check that the disk has room and that the directory is writable",
		Err:      err,
	}
}
