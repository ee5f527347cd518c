package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// buildKit is a buildkitd reached by buildctl and BUILDKIT_HOST.
type buildKit struct {
	env      environment
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
	out, err := b.env.output(ctx, b.buildctl, "debug", "workers", "--format", "{{json .}}")
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return []*pipeline.Finding{{Code: "builder-down", Severity: pipeline.Error,
			What: "no BuildKit answers at BUILDKIT_HOST " + b.host, Why: plain(err.Error()),
			Fix: "start buildkitd there, or choose another builder with --builder", Err: err}}, nil
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
	return checkPlatforms("BuildKit at "+b.host, can, req), nil
}

func (b *buildKit) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	return buildToLayout(ctx, b.Name(), req, r, func(metadata string) error {
		argv := append([]string{b.buildctl, "build"}, b.args(req, metadata)...)
		return runRawJSON(ctx, b.env, "BuildKit", req.Dir, argv, r)
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

// ociOutput is the exporter that both of BuildKit's clients know.
func ociOutput(req Request) string {
	out := csvFields("type=oci", "tar=false", "dest="+req.LayoutDir)
	if !req.SourceDateEpoch.IsZero() {
		out += ",rewrite-timestamp=true"
	}
	return out
}

// csvFields joins fields as BuildKit's options are split: by the rules of CSV.
func csvFields(fields ...string) string {
	for i, f := range fields {
		if strings.ContainsAny(f, `,"`) {
			fields[i] = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		}
	}
	return strings.Join(fields, ",")
}

// cacheSpec writes a bare reference out; buildx takes both, buildctl only this.
func cacheSpec(c string) string {
	if strings.Contains(c, "type=") {
		return c
	}
	return csvFields("type=registry", "ref="+c)
}

// buildArgs are KEY=VALUE, sorted, with SOURCE_DATE_EPOCH when it is set.
func buildArgs(req Request) []string {
	args := maps.Clone(req.Args)
	if !req.SourceDateEpoch.IsZero() {
		if args == nil {
			args = map[string]string{}
		}
		args["SOURCE_DATE_EPOCH"] = strconv.FormatInt(req.SourceDateEpoch.Unix(), 10)
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(args)) {
		all = append(all, k+"="+args[k])
	}
	return all
}

// runRawJSON runs one of BuildKit's clients and tells of its progress.
func runRawJSON(ctx context.Context, env environment, who, dir string, argv []string, r *pipeline.Reporter) error {
	t := newTracker(r)
	pr, pw := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := t.read(pr)
		_, _ = io.Copy(io.Discard, pr) // never let the builder wait for us
		read <- err
	}()
	err := env.run(ctx, dir, argv, io.Discard, pw)
	pw.Close()
	if rerr := <-read; rerr != nil && err == nil {
		return fmt.Errorf("%s's progress: %w", who, rerr)
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return t.failure(who, err)
	}
	if cached, all := t.cached(); all > 0 {
		r.Notef("%d of %d steps from the cache", cached, all)
	}
	return nil
}

// metadata is what both clients write to --metadata-file.
type metadata struct {
	Digest string `json:"containerimage.digest"`
}

// buildToLayout is what building with BuildKit's clients has in common: do
// builds and writes its metadata to the file that it is given.
func buildToLayout(ctx context.Context, name string, req Request, r *pipeline.Reporter, do func(metadata string) error) (Result, error) {
	start := time.Now()
	tmp, remove, err := tempDir()
	if err != nil {
		return Result{}, err
	}
	defer remove()
	if err := os.MkdirAll(req.LayoutDir, 0o755); err != nil {
		return Result{}, fmt.Errorf("the layout directory: %w", err)
	}
	file := filepath.Join(tmp, "metadata.json")
	if err := do(file); err != nil {
		return Result{}, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Result{}, fmt.Errorf("%s built and told no digest: %w", name, err)
	}
	var m metadata
	if err := json.Unmarshal(text, &m); err != nil || m.Digest == "" {
		return Result{}, fmt.Errorf("%s told no digest in its metadata (%w)", name, err)
	}
	return finish(ctx, name, req, r, m.Digest, start)
}
