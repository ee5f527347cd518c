package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

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
			return builderDown("nerdctl does not work here", err, "start containerd and buildkitd, or choose another builder with --builder"), nil
		}
	}
	return nil, nil
}

func (b *nerdctl) args(req Request, platform, ref string) []string {
	args := []string{"build", "--platform", platform, "--file", req.Dockerfile, "--tag", ref, "--progress", "rawjson"}
	if !req.SourceDateEpoch.IsZero() {
		// What nerdctl uses by itself, and the rewriting with it.
		args = append(args, "--output", "type=docker,rewrite-timestamp=true")
	}
	return append(args, buildxDialect.dockerArgs(req)...)
}

func (b *nerdctl) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	// A name of this layout's own, so that two publishes do not mix.
	name := fmt.Sprintf("sbw.local/build-%x", sha256.Sum256([]byte(req.LayoutDir)))[:32]
	return b.toLayout(ctx, b.Name(), req, r, func(env environment, _ string) (string, error) {
		return perPlatform(req, func(p string) (string, error) {
			ref := name + ":" + strings.ReplaceAll(p, "/", "-")
			argv := append([]string{b.program}, b.args(req, p, ref)...)
			if err := runRawJSON(ctx, env, "nerdctl", req, argv, r); err != nil {
				return "", err
			}
			r.Detailf("copying the image for %s", p)
			return b.export(ctx, env, req.LayoutDir, p, ref)
		})
	})
}

// export copies the image into the layout and takes it out of containerd.
func (b *nerdctl) export(ctx context.Context, env environment, dir, platform, ref string) (digest string, _ error) {
	err, unpacking := piped(func(w io.Writer) error {
		return exporting(ctx, env, "nerdctl", "", []string{b.program, "save", "--platform", platform, ref}, w)
	}, func(r io.Reader) (err error) {
		digest, err = layout.Unpack(dir, r)
		return err
	})
	if err != nil {
		return "", err
	}
	_, rmErr := env.output(ctx, b.program, "rmi", "--force", ref)
	return digest, errors.Join(unpacking, rmErr)
}
