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

// nerdctl builds with the BuildKit that it finds, stores the image in containerd,
// and exports it as an archive.
//
// Its own --output type=oci is not used: nerdctl expects the archive on
// buildctl's stdout and fails when the output goes to a directory
// (containerd/nerdctl#3629). An archive on stdout also works if nerdctl runs in a
// virtual machine, as on macOS.
type nerdctl struct {
	machine
	program string
}

func (b *nerdctl) Name() string { return "nerdctl" }

func (b *nerdctl) Check(ctx context.Context, req Request) ([]*pipeline.Finding, error) {
	// The first command asks containerd, the second one BuildKit through buildctl.
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
		// This is nerdctl's own default with the rewriting of times added.
		args = append(args, "--output", "type=docker,rewrite-timestamp=true")
	}
	return append(args, buildxDialect.dockerArgs(req)...)
}

func (b *nerdctl) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	// Only this layout uses the name, so that two publishes do not interfere.
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

// export copies the image into the layout and deletes it from containerd.
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
