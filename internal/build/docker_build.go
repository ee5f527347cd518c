package build

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func (b *docker) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	e, err := b.inspect(ctx)
	if err != nil {
		return Result{}, err
	}
	// Only this layout uses the name, so that two publishes do not interfere.
	name := fmt.Sprintf("sbw.local/build-%x", sha256.Sum256([]byte(req.LayoutDir)))[:32]
	return b.toLayout(ctx, b.Name(), req, r, func(env environment, tmp string) (string, error) {
		return perPlatform(req, func(p string) (string, error) {
			one := dockerBuild{docker: b, engine: e, env: env, req: req, platform: p, r: r,
				ref: name + ":" + strings.ReplaceAll(p, "/", "-"), iid: filepath.Join(tmp, strings.ReplaceAll(p, "/", "-"))}
			d, err := one.build(ctx)
			if err == nil && e.mode == viaLegacy && !isFor(req.LayoutDir, d, p) {
				// Its cache does not distinguish platforms (moby/moby#42406).
				r.Notef("the cached image is not for %s; building without the cache", p)
				one.req.NoCache = true
				d, err = one.build(ctx)
			}
			return d, err
		})
	})
}

// dockerBuild is a build for one platform.
type dockerBuild struct {
	*docker
	engine        dockerEngine
	env           environment
	req           Request
	platform, ref string
	iid           string // docker writes the image's ID to this file
	r             *pipeline.Reporter
}

func (b *dockerBuild) build(ctx context.Context) (digest string, err error) {
	before := b.idOf(ctx, b.ref)
	if err := b.run(ctx); err != nil {
		return "", err
	}
	text, err := os.ReadFile(b.iid)
	id := strings.TrimSpace(string(text))
	if err != nil || id == "" {
		return "", fmt.Errorf("docker built the image but did not report its ID: %w", err)
	}
	b.r.Detailf("copying the image for %s", b.platform)
	if digest, err = b.save(ctx, id); err != nil {
		return "", err
	}
	if before != "" && before != id {
		// The image had our name until this build, so it may be removed. It is removed
		// without force, so that the engine keeps it if it has another name or is in
		// use.
		if _, err := b.env.output(ctx, b.program, "rmi", before); err != nil && ctx.Err() == nil {
			b.r.Detailf("the previous image stays in the engine: %s", plain(err.Error()))
		}
	}
	return digest, ctx.Err()
}

// idOf returns the ID of an image in the engine; "" if no image has the name.
func (b *dockerBuild) idOf(ctx context.Context, ref string) string {
	out, err := b.env.output(ctx, b.program, "image", "inspect", "--format", "{{.Id}}", ref)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// run runs the build and reports its progress.
func (b *dockerBuild) run(ctx context.Context) error {
	argv, env := b.command(b.engine, b.env)
	argv = append(argv, b.engine.args(b.req, b.platform, b.ref, b.iid)...)
	switch {
	case b.engine.mode == viaLegacy:
		return runSteps(ctx, env, dockerName, b.platform, b.req, argv, b.r)
	case b.engine.progress == "plain":
		return runPlain(ctx, env, dockerName, b.req, argv, b.r)
	}
	return runRawJSON(ctx, env, dockerName, b.req, argv, b.r)
}

// save copies the image from the engine into the layout.
func (b *dockerBuild) save(ctx context.Context, id string) (digest string, err error) {
	out, err := b.env.output(ctx, b.program, "image", "inspect", "--format", "{{json .RootFS.Layers}}", id)
	if err != nil {
		return "", fmt.Errorf("docker image inspect: %w", err)
	}
	var diffIDs []string
	if err := json.Unmarshal([]byte(out), &diffIDs); err != nil {
		return "", fmt.Errorf("docker image inspect: %w", err)
	}
	saved, err := layout.NewSaved(b.req.LayoutDir, id, diffIDs)
	if err != nil {
		return "", err
	}
	if digest, err = saved.Known(); err != nil || digest != "" {
		return digest, err
	}
	saving, stop := context.WithCancel(ctx)
	defer stop()
	err, reading := piped(func(w io.Writer) error {
		return exporting(saving, b.env, dockerName, "", []string{b.program, "save", id}, w)
	}, func(r io.Reader) (err error) {
		digest, err = saved.Read(r)
		if err == nil {
			stop() // the rest is not needed
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case reading == nil:
		return digest, nil
	case err != nil:
		return "", err
	}
	return "", reading
}
