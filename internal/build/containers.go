package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// containers is podman or buildah, which share a library and accept the same
// arguments.
//
// Each platform is built separately and copied into the layout. Several are
// combined into an index here, so that no manifest list stays behind in the
// user's storage.
type containers struct {
	machine
	name    string // podman or buildah
	program string
	binfmt  string // directory of binfmt_misc
}

func (b *containers) Name() string { return b.name }

// podmanInfo is the part of `podman info --format json` that is used.
type podmanInfo struct {
	Host struct {
		Arch     string   `json:"arch"`
		Remote   bool     `json:"serviceIsRemote"`
		Emulated []string `json:"emulatedArchitectures"`
	} `json:"host"`
}

func (b *containers) info(ctx context.Context) (podmanInfo, error) {
	var info podmanInfo
	if b.name != "podman" {
		info.Host.Arch = runtime.GOARCH
		_, err := b.env().output(ctx, b.program, "info")
		return info, err
	}
	out, err := b.env().output(ctx, b.program, "info", "--format", "json")
	if err == nil {
		if err = json.Unmarshal([]byte(out), &info); err != nil {
			err = fmt.Errorf("podman info: %w", err)
		}
	}
	return info, err
}

func (b *containers) Check(ctx context.Context, req Request) ([]*pipeline.Finding, error) {
	info, err := b.info(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		fix := "run `" + b.name + " info` and fix what it reports"
		if b.name == "podman" && runtime.GOOS != "linux" {
			fix = "podman machine start"
		}
		return builderDown(b.name+" does not work here", err, fix), nil
	}
	var all []*pipeline.Finding
	if len(req.CacheFrom)+len(req.CacheTo) > 0 {
		for _, c := range append(req.CacheFrom[:len(req.CacheFrom):len(req.CacheFrom)], req.CacheTo...) {
			if cacheRepository(c) == "" {
				all = append(all, &pipeline.Finding{
					Code:     CodeCache,
					Severity: pipeline.Warning,
					What:     b.name + " does not support a cache of type " + c + "; the build continues without it",
					Fix:      "use a repository in a registry as the cache, or build with buildx",
				})
			}
		}
	}
	var can []string
	if !info.Host.Remote {
		can = localPlatforms(b.binfmt)
	} else if len(info.Host.Emulated) > 0 {
		can = []string{"linux/" + info.Host.Arch}
		for _, a := range info.Host.Emulated {
			can = append(can, strings.TrimSpace(a))
		}
	}
	return append(all, checkPlatforms(b.name, can, req, pipeline.Error)...), nil
}

// cacheRepository returns the repository of a registry cache, the only type that
// these builders support; empty for other types.
func cacheRepository(spec string) string { return untagged(registryCache(spec)) }

// registryCache returns the reference of a registry cache; empty for other types.
func registryCache(spec string) string {
	if !strings.Contains(spec, "type=") {
		return spec
	}
	kind, ref := "", ""
	for f := range strings.SplitSeq(spec, ",") {
		switch k, v, _ := strings.Cut(f, "="); k {
		case "type":
			kind = v
		case "ref":
			ref = v
		}
	}
	if kind != "registry" {
		return ""
	}
	return ref
}

// untagged removes the tag from a reference, because these builders expect a
// repository.
func untagged(ref string) string {
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i]
	}
	return ref
}

func (b *containers) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	info, err := b.info(ctx)
	if err != nil {
		return Result{}, err
	}
	return b.toLayout(ctx, b.name, req, r, func(env environment, tmp string) (string, error) {
		return perPlatform(req, func(p string) (string, error) {
			iid := filepath.Join(tmp, strings.ReplaceAll(p, "/", "-"))
			build := func(req Request) (string, error) {
				if err := b.one(ctx, env, req, p, iid, r); err != nil {
					return "", err
				}
				return b.export(ctx, env, req, p, iid, info.Host.Remote, r)
			}
			d, err := build(req)
			if err == nil && !req.NoCache && !isFor(req.LayoutDir, d, p) {
				// The layer cache of some versions (buildah 1.28) mixes up
				// platforms when an image is built FROM scratch.
				r.Notef("the cached image is not for %s; building without the cache", p)
				uncached := req
				uncached.NoCache = true
				d, err = build(uncached)
			}
			return d, err
		})
	})
}

// isFor reports whether the image's config names the platform.
func isFor(dir, digest, platform string) bool {
	imgs, err := layout.Images(dir, digest)
	return err == nil && len(imgs) == 1 && imgs[0].Platform() == imageref.SplitPlatform(platform).String()
}

// containersDialect is that of podman and buildah: the source of a secret is a
// file unless its type is given, and a cache is a repository.
var containersDialect = dialect{
	pull: "--pull=always",
	secret: func(s string) string {
		if spec, ok := parseSecret(s); ok && spec.env != "" {
			return csvFields("id="+spec.id, "type=env", "env="+spec.env)
		}
		return s
	},
	cache:   cacheRepository,
	cacheTo: cacheRepository,
}

func (b *containers) args(req Request, platform, iid string) []string {
	args := []string{"build", "--format", "oci", "--layers", "--platform", platform, "--iidfile", iid,
		"--file", csvFields(req.Dockerfile)} // these programs read a comma-separated list
	if !req.SourceDateEpoch.IsZero() {
		args = append(args, "--timestamp", strconv.FormatInt(req.SourceDateEpoch.Unix(), 10))
	}
	return append(args, containersDialect.dockerArgs(req)...)
}

// one builds for one platform and writes the image's ID to the file iid.
func (b *containers) one(ctx context.Context, env environment, req Request, platform, iid string, r *pipeline.Reporter) error {
	return runSteps(ctx, env, b.name, platform, req, append([]string{b.program}, b.args(req, platform, iid)...), r)
}

// export copies the image into the layout and returns its digest there.
func (b *containers) export(
	ctx context.Context,
	env environment,
	req Request,
	platform, iid string,
	remote bool,
	r *pipeline.Reporter,
) (string, error) {
	text, err := os.ReadFile(iid)
	id := strings.TrimSpace(string(text))
	if err != nil || id == "" {
		return "", fmt.Errorf("%s built the image but did not report its ID: %w", b.name, err)
	}
	r.Detailf("copying the image for %s", platform)
	if remote {
		// podman's storage may be in a virtual machine that cannot see the
		// layout.
		file := iid + ".tar"
		argv := []string{b.program, "save", "--quiet", "--format", "oci-archive", "--output", file, id}
		if err := exporting(ctx, env, b.name, "", argv, io.Discard); err != nil {
			return "", err
		}
		digest, err := layout.UnpackFile(req.LayoutDir, file)
		return digest, errors.Join(err, os.Remove(file))
	}
	file := iid + ".digest"
	// The path is relative, because an absolute one may contain a colon, which oci:
	// treats as a separator.
	name := "oci:.:" + strings.ReplaceAll(platform, "/", "-")
	argv := []string{b.program, "push", "--quiet", "--digestfile", file, id, name}
	if err := exporting(ctx, env, b.name, req.LayoutDir, argv, io.Discard); err != nil {
		return "", err
	}
	text, err = os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s copied the image but did not report its digest: %w", b.name, err)
	}
	return strings.TrimSpace(string(text)), nil
}
