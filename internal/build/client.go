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

// This file is what BuildKit's clients, buildctl and buildx, have in common.

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
func (m machine) buildToLayout(ctx context.Context, name string, req Request, r *pipeline.Reporter, do func(env environment, metadata string) error) (Result, error) {
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
	err = m.withDockerConfig(req, tmp, r, func(env environment) error { return do(env, file) })
	if err != nil {
		return Result{}, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Result{}, fmt.Errorf("%s built and told no digest: %w", name, err)
	}
	var told metadata
	if err := json.Unmarshal(text, &told); err != nil || told.Digest == "" {
		return Result{}, fmt.Errorf("%s told no digest in its metadata (%w)", name, err)
	}
	return finish(ctx, name, req, r, told.Digest, start)
}
