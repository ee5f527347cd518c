// Package runnable predicts from an image's layers whether its ENTRYPOINT or
// CMD can run on the image's platform, so that a pod's "exec format error" is
// reported before the push. Check reads the images of a layout and returns
// findings.
//
// # How
//
// Each layer is read once, as a stream, if possible while the builder still writes
// it (Follow), and only a summary is kept: its symlinks,
// its programs (from the start of the file: an ELF machine and loader, or the
// first line of a script), and the paths that it hides in the layers below. The
// summary depends only on the layer's digest and can be cached. Base layers do
// not change between builds, so checking an image a second time takes
// milliseconds. Summaries are then stacked from the bottom up, as a container
// runtime does, and the command is resolved in the result: PATH, working
// directory, symlinks, interpreters of scripts, the ELF loader.
//
// # Limits
//
// Memory use depends on the number of paths in a layer (8 bytes each) and of
// programs (about 200 bytes each). A layer with more than maxPaths paths is not
// checked. What a shell does inside a script is not followed.
package runnable

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Options say what is expected of an image, besides that it can run.
type Options struct {
	// Platforms lists the requested platforms, each of which must exist. If it is
	// empty, any will do.
	Platforms []string
	// Port is the worker's port; 0 if it has none.
	Port int
	// NonRoot means that the manifest requires a user other than root.
	NonRoot bool
	// CacheDir stores summaries of layers between runs. If it is empty, they are not
	// stored.
	CacheDir string
	// Contents also stores a listing of each layer that is read (layer.Remember), for
	// the comparison with later builds.
	Contents bool
}

// Report is what Check found.
type Report struct {
	Images   []layout.Image
	Findings []*pipeline.Finding
	// Size is the total size in bytes of all images, as they are pushed.
	Size int64
}

// Check examines every image behind digest in the layout dir. Findings:
// "image-platform", "exec-format", "entrypoint-missing", "entrypoint-mode",
// "entrypoint-loader", "entrypoint-none", "image-user", "image-port",
// "image-unread". It returns an error if the layout cannot be read or the context
// ends.
func Check(ctx context.Context, dir, digest string, o Options, r *pipeline.Reporter) (Report, error) {
	imgs, err := layout.Images(dir, digest)
	if err != nil {
		return Report{}, err
	}
	rep := Report{Images: imgs}
	for _, i := range imgs {
		rep.Size += i.Size
	}
	rep.Findings = platforms(imgs, o.Platforms)
	for _, i := range imgs {
		found, err := one(ctx, dir, i, o, r)
		if err != nil {
			return rep, err
		}
		rep.Findings = append(rep.Findings, found...)
	}
	return rep, nil
}

// platforms compares the existing platforms with the requested ones.
func platforms(imgs []layout.Image, want []string) (all []*pipeline.Finding) {
	var have []string
	for _, i := range imgs {
		have = append(have, i.Platform())
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h string) bool { return h == imageref.SplitPlatform(w).String() }) {
			all = append(all, &pipeline.Finding{Code: codeImagePlatform, Severity: pipeline.Error,
				What: "the image is not for " + w, Why: "its config says " + strings.Join(have, ", "),
				Fix: "look for --platform in the Dockerfile's FROM lines, or for a base image without " + w})
		}
	}
	return all
}

// one examines one image.
func one(ctx context.Context, dir string, img layout.Image, o Options, r *pipeline.Reporter) ([]*pipeline.Finding, error) {
	all := settings(img, o)
	if img.Config.OS != "linux" {
		return all, nil
	}
	layers, skipped, err := summaries(ctx, dir, img, o, r)
	if err != nil {
		return all, err
	}
	if skipped != "" {
		return append(all, &pipeline.Finding{Code: codeImageUnread, Severity: pipeline.Note,
			What: "whether the image for " + img.Platform() + " can run was not checked", Why: skipped}), nil
	}
	root := overlay(layers)
	return append(all, judge(root, img)...), nil
}

// summaries reads all layers, several in parallel. skipped is the reason why a
// layer cannot be judged; empty if all can.
func summaries(
	ctx context.Context,
	dir string,
	img layout.Image,
	o Options,
	r *pipeline.Reporter,
) (all []*summary, skipped string, err error) {
	all = make([]*summary, len(img.Manifest.Layers))
	g, gctx := errgroup.WithContext(ctx)
	// Decompression takes most of the time. One processor is left for the requests
	// to the registry that run in parallel.
	g.SetLimit(max(1, min(4, runtime.GOMAXPROCS(0)-1)))
	for i, l := range img.Manifest.Layers {
		g.Go(func() error {
			var err error
			all[i], err = cached(o.CacheDir, l.Digest, func() (*summary, error) {
				r.Detailf("reading layer %s", short(l.Digest))
				return read(gctx, dir, l, o)
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		return nil, "", err
	}
	diffIDs := img.Config.RootFS.DiffIDs
	for i, s := range all {
		if s.Skipped != "" {
			return nil, s.Skipped, nil
		}
		if i < len(diffIDs) && s.DiffID != diffIDs[i].String() {
			return nil, "", broken(
				dir,
				fmt.Sprintf("layer %d, %s, is not the one in the image's config", i+1, short(img.Manifest.Layers[i].Digest)),
				"unpacked, it has the digest "+s.DiffID+" and not "+diffIDs[i].String(),
				nil,
			)
		}
	}
	return all, "", nil
}

func short(h v1.Hash) string { return h.Hex[:min(12, len(h.Hex))] }

func read(ctx context.Context, dir string, l v1.Descriptor, o Options) (*summary, error) {
	if strings.Contains(string(l.MediaType), "+encrypted") {
		return &summary{Skipped: "layer " + short(l.Digest) + " is encrypted"}, nil
	}
	f, err := os.Open(layout.BlobPath(dir, l.Digest))
	if err != nil {
		if len(l.URLs) > 0 {
			return &summary{Skipped: "layer " + short(l.Digest) + " is stored elsewhere"}, nil
		}
		return nil, fmt.Errorf("layer %s: %w", short(l.Digest), err)
	}
	defer f.Close()
	s, listing, got, err := summarize(ctx, f, o.listed())
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, broken(dir, "layer "+l.Digest.String()+" cannot be read", err.Error(), err)
	}
	if s.Skipped == "" && got != l.Digest.String() {
		return nil, broken(
			dir,
			"layer "+l.Digest.String()+" does not match its digest",
			"its content has the digest "+got,
			nil,
		)
	}
	if o.listed() && listing != nil {
		_ = layer.Remember(o.CacheDir, l.Digest, listing) // whoever needs it reads the layer again
	}
	return s, nil
}

// listed reports whether listings of layers are stored.
func (o Options) listed() bool { return o.Contents && o.CacheDir != "" }

// Follow reads the layers that a builder writes into the layout dir while it writes them, and stores what Check and
// the comparison with later builds need to know about each. The caller must call finish when the builder has ended.
//
// What is stored is named by the digest of the bytes that were read, so it is right even if the builder starts over,
// or if a layer turns out not to be part of the image. An error is not reported, because Check reads the layer again.
func Follow(ctx context.Context, dir string, o Options, r *pipeline.Reporter) (finish func()) {
	if o.CacheDir == "" {
		return func() {}
	}
	return layout.Follow(ctx, dir, func(ctx context.Context, blob io.Reader) {
		s, listing, got, err := summarize(ctx, blob, o.listed())
		if err != nil || s.Skipped != "" {
			return
		}
		digest, err := v1.NewHash(got)
		if err != nil {
			return
		}
		r.Detailf("read layer %s while it was exported", short(digest))
		if o.listed() && listing != nil {
			_ = layer.Remember(o.CacheDir, digest, listing) // whoever needs it reads the layer again
		}
		_, _ = cached(o.CacheDir, digest, func() (*summary, error) { return s, nil }) // cannot fail
	})
}

func broken(dir, what, why string, err error) *pipeline.Finding {
	return &pipeline.Finding{Code: codeLayoutBroken, Severity: pipeline.Error, Where: dir,
		What: what, Why: why, Fix: "build the image again, or export it again if something else made the layout", Err: err}
}

// settings judges the config: its user and its ports.
func settings(img layout.Image, o Options) (all []*pipeline.Finding) {
	c := img.Config.Config
	user, _, _ := strings.Cut(c.User, ":")
	if number, err := strconv.Atoi(user); o.NonRoot && (err != nil || number == 0) {
		f := &pipeline.Finding{Code: codeImageUser, Severity: pipeline.Warning,
			What: "the image's user is root, but the manifest requires another one",
			Fix:  "add USER with a number to the Dockerfile, or runAsUser to the manifest"}
		if err != nil && user != "" && user != "root" {
			f.What = "the image's user is " + user + ", given by name, but the manifest requires one that is not root"
			f.Why = "the kubelet does not know which user a name stands for, and refuses to start the container"
		}
		all = append(all, f)
	}
	if o.Port == 0 || len(c.ExposedPorts) == 0 {
		return all
	}
	var ports []string
	for p := range c.ExposedPorts {
		ports = append(ports, p)
	}
	slices.Sort(ports)
	want := fmt.Sprint(o.Port)
	if !slices.ContainsFunc(ports, func(p string) bool { return p == want || p == want+"/tcp" }) {
		all = append(all, &pipeline.Finding{Code: codeImagePort, Severity: pipeline.Warning,
			What: "the image exposes " + strings.Join(ports, ", ") + ", but the worker's port is " + want,
			Fix:  "correct EXPOSE in the Dockerfile, or probe.port in .sbw.yaml"})
	}
	return all
}
