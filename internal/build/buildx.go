package build

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// buildx is docker buildx, either as a plugin of docker or on its own.
type buildx struct {
	machine
	argv []string // docker buildx, or docker-buildx, or buildx
}

func (b *buildx) Name() string { return "buildx" }

// errNoExport means that buildx works but cannot write a layout.
var errNoExport = errors.New("the driver cannot export a layout")

// pluginDirs lists where docker looks for plugins, besides the user's own
// directory (docker/cli cli-plugins/manager).
var pluginDirs = []string{
	"/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
	"/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
	"/opt/homebrew/lib/docker/cli-plugins",
}

// findBuildx returns the command that starts buildx; nil if it is not
// installed. The docker program alone is not enough: `docker buildx` is a
// plugin, which is often missing.
func findBuildx(ctx context.Context, env environment) []string {
	if docker := env.lookPath("docker"); docker != "" {
		if _, err := env.output(ctx, docker, "buildx", "version"); err == nil {
			return []string{docker, "buildx"}
		}
	}
	for _, name := range []string{"docker-buildx", "buildx"} {
		if p := env.lookPath(name); p != "" {
			return []string{p}
		}
	}
	dirs := pluginDirs
	if dir := env.dockerConfigDir(); dir != "" {
		dirs = append([]string{filepath.Join(dir, "cli-plugins")}, dirs...)
	}
	for _, d := range dirs {
		if p := (environment{"PATH=" + d}).lookPath("docker-buildx"); p != "" {
			return []string{p}
		}
	}
	return nil
}

func (b *buildx) call(args ...string) []string {
	return append(b.argv[:len(b.argv):len(b.argv)], args...)
}

func (b *buildx) Check(ctx context.Context, req Request) ([]*pipeline.Finding, error) {
	out, err := b.env().output(ctx, b.call("inspect")...)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	i := parseInspect(out)
	if err != nil && i.err == "" {
		i.err = plain(err.Error())
	}
	if i.err != "" {
		return []*pipeline.Finding{{Code: codeBuilderDown, Severity: pipeline.Error,
			What: strings.Join(strings.Fields("docker buildx's builder "+i.name+" does not answer"), " "), Why: i.err,
			Fix: "start Docker, or choose a builder: docker buildx ls; docker buildx use NAME", Err: err}}, nil
	}
	if i.driver == "docker" && !i.containerd {
		return []*pipeline.Finding{{Code: codeBuilderNoOCI, Severity: pipeline.Error,
			What: "docker buildx's builder " + i.name + " cannot write an OCI layout",
			Why:  "its driver is docker, and Docker's containerd image store is off",
			Fix:  "build with --builder docker, or run: docker buildx create --use", Err: errNoExport}}, nil
	}
	grave := pipeline.Warning
	switch i.driver {
	case "docker":
		grave = pipeline.Error // this driver has no emulators of its own
	case "docker-container", "kubernetes":
		return nil, nil // these drivers run BuildKit's image, which has emulators
	}
	return checkPlatforms("docker buildx's builder "+i.name, i.platforms, req, grave), nil
}

// inspected is what `buildx inspect` prints about the current builder.
type inspected struct {
	name, driver string
	platforms    []string
	// containerd means that a node keeps images in a containerd snapshotter.
	// Only then can the docker driver export an OCI layout (buildx
	// driver/docker/driver.go).
	containerd bool
	err        string
}

// parseInspect parses the output of `buildx inspect`, which has no
// machine-readable form (buildx commands/inspect.go).
func parseInspect(text string) (i inspected) {
	for line := range strings.Lines(text) {
		key, val, ok := strings.Cut(strings.TrimSpace(line), ":")
		val = plain(strings.TrimSpace(val))
		if !ok {
			continue
		}
		switch key {
		case "Name":
			if i.name == "" {
				i.name = val
			}
		case "Driver":
			i.driver = val
		case "Error":
			if i.err == "" {
				i.err = val
			}
		case "Platforms":
			for p := range strings.SplitSeq(val, ",") {
				// A star marks a platform that the user set for the node.
				i.platforms = append(i.platforms, strings.TrimSuffix(strings.TrimSpace(p), "*"))
			}
		case "org.mobyproject.buildkit.worker.snapshotter":
			i.containerd = true
		}
	}
	return i
}

func (b *buildx) Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error) {
	return b.client(ctx, b.Name(), "docker buildx", req, r, func(metadata string) []string { return b.call(b.args(req, metadata)...) })
}

// buildxDialect is the dialect of buildx and nerdctl.
var buildxDialect = dialect{pull: "--pull", secret: verbatim, cache: cacheSpec, cacheTo: cacheSpec}

func (b *buildx) args(req Request, metadata string) []string {
	args := []string{"build",
		"--file", req.Dockerfile,
		"--platform", strings.Join(req.Platforms, ","),
		"--output", ociOutput(req),
		"--metadata-file", metadata,
		"--progress", "rawjson",
		"--provenance=false", "--sbom=false",
	}
	return append(args, buildxDialect.dockerArgs(req)...)
}
