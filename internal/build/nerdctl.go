package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// nerdctl builds by the BuildKit that it finds, into containerd, and gives the
// image out as an archive.
//
// Its own --output type=oci is not used: nerdctl reads what it thinks is the
// archive from buildctl's stdout and fails where the output has gone to a
// directory (containerd/nerdctl#3629). As an archive it also comes out of the
// virtual machine that nerdctl lives in on macOS.
type nerdctl struct {
	machine
	program string
}

func (b *nerdctl) Name() string { return "nerdctl" }

func (b *nerdctl) Check(ctx context.Context, req Request) ([]*pipeline.Finding, error) {
	// Asks containerd, and then BuildKit by way of buildctl.
	for _, question := range [][]string{{"info"}, {"builder", "debug", "--help"}} {
		_, err := b.env().output(ctx, append([]string{b.program}, question...)...)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return []*pipeline.Finding{{Code: "builder-down", Severity: pipeline.Error, What: "nerdctl does not work here", Why: plain(err.Error()),
				Fix: "start containerd and buildkitd, or choose another builder with --builder", Err: err}}, nil
		}
	}
	return nil, nil
}

func (b *nerdctl) args(req Request, platform, ref string) []string {
	args := []string{"build", "--platform", platform, "--file", req.Dockerfile, "--tag", ref, "--progress", "rawjson"}
	if req.Target != "" {
		args = append(args, "--target", req.Target)
	}
	if req.NoCache {
		args = append(args, "--no-cache")
	}
	if req.Pull {
		args = append(args, "--pull")
	}
	if !req.SourceDateEpoch.IsZero() {
		// What nerdctl uses by itself, and the rewriting with it.
		args = append(args, "--output", "type=docker,rewrite-timestamp=true")
	}
	for _, a := range buildArgs(req) {
		args = append(args, "--build-arg", a)
	}
	for _, s := range req.Secrets {
		args = append(args, "--secret", s)
	}
	for _, c := range req.CacheFrom {
		args = append(args, "--cache-from", cacheSpec(c))
	}
	for _, c := range req.CacheTo {
		args = append(args, "--cache-to", cacheSpec(c))
	}
	return append(args, req.Context)
}

func (b *nerdctl) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	start := time.Now()
	tmp, remove, err := tempDir()
	if err != nil {
		return Result{}, err
	}
	defer remove()
	if err := os.MkdirAll(req.LayoutDir, 0o755); err != nil {
		return Result{}, fmt.Errorf("the layout directory: %w", err)
	}
	// A name of this layout's own, so that two publishes do not mix.
	name := fmt.Sprintf("sbw.local/build-%x", sha256.Sum256([]byte(req.LayoutDir)))[:32]
	var digests []string
	err = b.withDockerConfig(req, tmp, r, func(env environment) error {
		digests = nil
		for _, p := range req.Platforms {
			ref := name + ":" + strings.ReplaceAll(p, "/", "-")
			argv := append([]string{b.program}, b.args(req, p, ref)...)
			if err := runRawJSON(ctx, env, "nerdctl", req.Dir, argv, r); err != nil {
				return err
			}
			r.Detailf("copying the image for %s", p)
			d, err := b.export(ctx, env, req.LayoutDir, p, ref)
			if err != nil {
				return err
			}
			digests = append(digests, d)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	digest := digests[0]
	if len(digests) > 1 {
		if digest, err = layout.Compose(req.LayoutDir, digests); err != nil {
			return Result{}, err
		}
	}
	return finish(ctx, b.Name(), req, r, digest, start)
}

// export copies the image into the layout and takes it out of containerd.
func (b *nerdctl) export(ctx context.Context, env environment, dir, platform, ref string) (string, error) {
	pr, pw := io.Pipe()
	type unpacked struct {
		digest string
		err    error
	}
	done := make(chan unpacked, 1)
	go func() {
		d, err := layout.Unpack(dir, pr)
		_, _ = io.Copy(io.Discard, pr)
		done <- unpacked{d, err}
	}()
	var said tail
	said.max = 4 << 10
	err := env.run(ctx, "", []string{b.program, "save", "--platform", platform, ref}, pw, &said)
	pw.Close()
	got := <-done
	if ctx.Err() != nil {
		return "", err
	}
	if err != nil {
		return "", &pipeline.Finding{Code: "build-export", Severity: pipeline.Error, What: "nerdctl built the image and cannot give it out",
			Why: lastLine(said.String()), Fix: "run nerdctl save by hand to see more", Where: dir, Err: err}
	}
	_, rmErr := env.output(ctx, b.program, "rmi", "--force", ref)
	return got.digest, errors.Join(got.err, rmErr)
}
