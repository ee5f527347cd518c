package build

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// buildKit is a buildkitd that is reached through buildctl and BUILDKIT_HOST.
type buildKit struct {
	machine
	buildctl string
	host     string
}

func (b *buildKit) Name() string { return "buildkit" }

// workers is what `buildctl debug workers --format '{{json .}}'` prints.
type workers []struct {
	Platforms []struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"platforms"`
}

func (b *buildKit) Check(ctx context.Context, req Request) ([]*pipeline.Finding, error) {
	out, err := b.env().output(ctx, b.buildctl, "debug", "workers", "--format", "{{json .}}")
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return builderDown(
			"BuildKit does not answer at BUILDKIT_HOST "+b.host,
			err,
			"start buildkitd there, or choose another builder with --builder",
		), nil
	}
	var ws workers
	if err := json.Unmarshal([]byte(out), &ws); err != nil {
		return nil, fmt.Errorf("buildctl debug workers: %w", err)
	}
	var can []string
	for _, w := range ws {
		for _, p := range w.Platforms {
			can = append(can, strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/"))
		}
	}
	return checkPlatforms("BuildKit at "+b.host, can, req, pipeline.Warning), nil
}

func (b *buildKit) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	return b.client(ctx, b.Name(), "BuildKit", req, r, func(metadata string) []string {
		return append([]string{b.buildctl, "build"}, b.args(req, metadata)...)
	})
}

func (b *buildKit) args(req Request, metadata string) []string {
	args := []string{
		"--frontend", "dockerfile.v0",
		"--local", "context=" + req.Context,
		"--local", "dockerfile=" + filepath.Dir(req.Dockerfile),
		"--opt", "filename=" + filepath.Base(req.Dockerfile),
		"--opt", "platform=" + strings.Join(req.Platforms, ","),
		"--output", ociOutput(req),
		"--metadata-file", metadata,
		"--progress", "rawjson",
	}
	if req.Target != "" {
		args = append(args, "--opt", "target="+req.Target)
	}
	if req.NoCache {
		args = append(args, "--no-cache")
	}
	if req.Pull {
		args = append(args, "--opt", "image-resolve-mode=pull")
	}
	for _, a := range buildArgs(req) {
		args = append(args, "--opt", "build-arg:"+a)
	}
	for _, s := range req.Secrets {
		args = append(args, "--secret", s)
	}
	for _, c := range req.CacheFrom {
		args = append(args, "--import-cache", cacheSpec(c))
	}
	for _, c := range req.CacheTo {
		args = append(args, "--export-cache", cacheSpec(c))
	}
	return args
}
