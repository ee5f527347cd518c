package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// docker builds with a Docker engine the way `docker build` does, and copies the
// image out of the engine with `docker save`.
//
// It is for engines from which buildx cannot export a layout (every engine
// without the containerd image store) and for machines without buildx. The docker
// program finds its engine itself (through DOCKER_HOST, including ssh, and docker
// context).
//
// The image stays in the engine, because the legacy builder's cache consists of
// images. Its name is used only for this layout, and the image that it replaces
// is removed.
type docker struct {
	machine
	program string
	buildx  []string // the command that starts buildx; nil if there is none
	binfmt  string   // directory of binfmt_misc
}

// dockerName is the name of both the builder and its program.
const dockerName = "docker"

func (b *docker) Name() string { return dockerName }

// dockerMode is the builder that docker uses.
type dockerMode int

const (
	// viaBuildx is buildx with the engine's own BuildKit.
	viaBuildx dockerMode = iota
	// viaClient is the BuildKit client that the docker program itself contained
	// before 23.0.
	viaClient
	// viaLegacy is the builder that docker uses if it does not find buildx.
	viaLegacy
)

// dockerEngine describes the programs and their engine.
type dockerEngine struct {
	mode     dockerMode
	progress string // for viaBuildx and viaClient
	platform string
	kernel   string
	podman   bool // the engine is podman posing as Docker
}

// dockerVersion is what `docker version --format '{{json .}}'` prints.
type dockerVersion struct {
	Client struct{ Version string }
	Server *struct {
		Version, Os, Arch, KernelVersion string
		Components                       []struct{ Name string }
	}
}

// errPodmanShim means that the docker program is podman under another name.
var errPodmanShim = errors.New("the docker program on this machine is podman")

// inspect asks the programs and the engine for their versions and capabilities.
func (b *docker) inspect(ctx context.Context) (e dockerEngine, err error) {
	env := b.env()
	said, err := env.output(ctx, b.program, "--version")
	if err != nil {
		return e, err
	}
	if strings.HasPrefix(said, "podman") {
		return e, errPodmanShim
	}
	text, err := env.output(ctx, b.program, "version", "--format", "{{json .}}")
	if err != nil {
		return e, err
	}
	var v dockerVersion
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return e, fmt.Errorf("docker version: %w", err)
	}
	if v.Server == nil {
		return e, errors.New("docker reports no engine")
	}
	e.platform, e.kernel = v.Server.Os+"/"+v.Server.Arch, v.Server.KernelVersion
	for _, c := range v.Server.Components {
		e.podman = e.podman || strings.HasPrefix(c.Name, "Podman")
	}
	e.mode, e.progress = b.mode(ctx, v.Client.Version, e.podman)
	return e, ctx.Err()
}

// mode chooses the builder like `docker build`: it is the legacy builder with
// DOCKER_BUILDKIT=0, and with docker 23.0 or newer if there is no buildx.
func (b *docker) mode(ctx context.Context, client string, podman bool) (dockerMode, string) {
	const firstWithout, firstRawJSON = 23, 13
	var major int
	_, err := fmt.Sscanf(client, "%d.", &major)
	switch {
	case podman, b.env().get("DOCKER_BUILDKIT") == "0":
		return viaLegacy, ""
	case b.buildx != nil:
		said, err := b.env().output(ctx, append(b.buildx[:len(b.buildx):len(b.buildx)], "version")...)
		if m := buildxVersion.FindStringSubmatch(said); err == nil && m != nil && m[1] == "0" && minor(m[2]) < firstRawJSON {
			return viaBuildx, "plain"
		}
		return viaBuildx, "rawjson"
	case err == nil && major < firstWithout:
		return viaClient, "plain"
	}
	return viaLegacy, ""
}

// buildxVersion matches the version in the output of `buildx version`.
var buildxVersion = lazyregexp.New(`\bv?(\d+)\.(\d+)\.\d+`)

func minor(s string) (n int) {
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil {
		return 0
	}
	return n
}

func (b *docker) Check(ctx context.Context, req Request) ([]*pipeline.Finding, error) {
	e, err := b.inspect(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, errPodmanShim):
		return builderDown("the docker program on this machine is podman", err, "choose podman with --builder podman"), nil
	case err != nil:
		return builderDown("docker cannot reach a Docker engine", err,
			"start Docker (with Colima: colima start), or choose another engine with docker context use NAME"), nil
	case !strings.HasPrefix(e.platform, "linux/"):
		return []*pipeline.Finding{
			{Code: CodePlatform, Severity: pipeline.Error, What: "the Docker engine builds images for " + e.platform + " only",
				Fix: "switch Docker to Linux containers"},
		}, nil
	}
	all := e.unsupported(req)
	if e.podman {
		return all, nil
	}
	can, grave := []string{e.platform}, pipeline.Warning
	if b.onThisKernel(ctx, e) {
		can, grave = localPlatforms(b.binfmt), pipeline.Error
	} else if e.mode == viaBuildx {
		if out, err := b.env().output(ctx, append(b.buildx[:len(b.buildx):len(b.buildx)], "inspect", engineBuilder)...); err == nil {
			can, grave = parseInspect(out).platforms, pipeline.Error
		}
	}
	return append(all, checkPlatforms("the Docker engine", can, req, grave)...), nil
}

// onThisKernel reports whether the engine runs on the kernel of this machine, so
// that it uses the same emulators. It does not if it runs in a virtual machine or
// elsewhere.
func (b *docker) onThisKernel(ctx context.Context, e dockerEngine) bool {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil || e.kernel != strings.TrimSpace(string(release)) {
		return false
	}
	host, err := b.env().output(ctx, b.program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	return err == nil && strings.HasPrefix(host, "unix://")
}

// engineBuilder is buildx's name for the engine of the current docker context.
const engineBuilder = "default"

// unsupported returns findings for what req asks for and this route does not
// support.
func (e dockerEngine) unsupported(req Request) (all []*pipeline.Finding) {
	const withBuildx = "install buildx (Homebrew: brew install docker-buildx)"
	if e.mode == viaLegacy {
		what := "Docker's legacy builder, which docker uses when buildx is missing, "
		if len(req.Secrets) > 0 {
			all = append(all, &pipeline.Finding{Code: CodeLegacy, Severity: pipeline.Error, What: what + "has no build secrets", Fix: withBuildx})
		}
		if where, feature := needsBuildKit(req); feature != "" {
			all = append(
				all,
				&pipeline.Finding{Code: CodeLegacy, Severity: pipeline.Error, What: what + "does not know " + feature, Where: where, Fix: withBuildx},
			)
		}
	}
	if !req.SourceDateEpoch.IsZero() {
		all = append(all, &pipeline.Finding{Code: CodeEpoch, Severity: pipeline.Warning,
			What: "a Docker engine without the containerd image store ignores SOURCE_DATE_EPOCH and keeps each file's own time in the image",
			Fix:  "if two builds must be identical, use another builder: docker buildx create --use"})
	}
	d := e.dialect()
	for _, list := range []struct {
		specs []string
		write func(string) string
	}{{req.CacheFrom, d.cache}, {req.CacheTo, d.cacheTo}} {
		for _, spec := range list.specs {
			if list.write(spec) == "" {
				all = append(all, &pipeline.Finding{
					Code:     CodeCache,
					Severity: pipeline.Warning,
					What:     "Docker's own builder cannot use the cache " + spec + "; the build continues without it",
					Fix:      "use another builder: docker buildx create --use",
				})
			}
		}
	}
	return all
}

// needsBuildKit finds the first thing at which the legacy builder would fail: a
// flag or heredoc that only BuildKit understands (docker/cli, moby
// builder/dockerfile).
func needsBuildKit(req Request) (where, feature string) {
	d, err := readDockerfile(req.Dockerfile)
	if err != nil {
		return "", ""
	}
	if !d.plain() {
		return place(req, 1), "the frontend " + d.frontend
	}
	for _, s := range d.stages {
		for _, in := range s.instrs {
			for _, f := range in.flags {
				name, _, _ := strings.Cut(f, "=")
				switch name {
				case "from", "chown", "platform", "interval", "timeout", "start-period", "retries":
				default:
					return place(req, in.line), in.name + " --" + name
				}
			}
			if in.here {
				return place(req, in.line), "heredocs"
			}
		}
	}
	return "", ""
}

// dialect returns the form of the arguments for this route.
func (e dockerEngine) dialect() dialect {
	none := func(string) string { return "" }
	d := dialect{pull: "--pull", secret: verbatim, cache: none, cacheTo: none}
	switch e.mode {
	case viaBuildx:
		d.cache = cacheSpec
		// Without the containerd image store, the engine can export only an inline
		// cache.
		d.cacheTo = func(spec string) string {
			if strings.Contains(spec, "type=inline") {
				return spec
			}
			return ""
		}
	case viaClient:
		d.cache = registryCache // plain references
	}
	return d
}

// command returns the program, its first arguments and its environment.
func (b *docker) command(e dockerEngine, env environment) ([]string, environment) {
	switch e.mode {
	case viaBuildx:
		argv := append(b.buildx[:len(b.buildx):len(b.buildx)], "build", "--builder", engineBuilder, "--load", "--progress", e.progress)
		// This is a variable because buildx before 0.10 does not have the flag.
		return argv, env.with("BUILDX_NO_DEFAULT_ATTESTATIONS=1")
	case viaClient:
		return []string{b.program, "build", "--progress", e.progress}, env.with("DOCKER_BUILDKIT=1")
	}
	return []string{b.program, "build"}, env.with("DOCKER_BUILDKIT=0")
}

func (e dockerEngine) args(req Request, platform, ref, iid string) []string {
	args := []string{"--platform", platform, "--file", req.Dockerfile, "--tag", ref, "--iidfile", iid}
	return append(args, e.dialect().dockerArgs(req)...)
}
