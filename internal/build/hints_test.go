package build

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

func TestBetters(t *testing.T) {
	const fetch = fetching + "docker.io/oven/bun:1"
	for _, tt := range []struct{ step, why, evidence, want string }{
		{fetch, "docker.io/oven/bun:1: not found", "", "base-image-missing"},
		{fetch, "no match for platform in manifest: not found", "", "base-image-platform"},
		{fetch, "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed", "", "base-image-denied"},
		{fetch, "unexpected status from HEAD request: 429 Too Many Requests", "", "base-image-rate"},
		{fetch, `failed to do request: Head "https://x": dial tcp: lookup x: no such host`, "", "build-network"},
		{fetch, "something new", "", "base-image"},
		{"FROM docker.io/oven/bun:1", "initializing source docker://x: reading manifest 1: manifest unknown", "", "base-image-missing"},
		{"FROM x", "choosing an image from manifest list docker://x: no image found in manifest list for architecture arm64", "", "base-image-platform"},
		{"[2/2] RUN bun", "exit code: 255", "exec /bin/sh: exec format error", "builder-platform"},
		{"[2/2] COPY a b", "failed to copy: write /x: no space left on device", "", "build-no-space"},
		{"[2/2] RUN curl", "exit code: 6", "curl: (6) permission denied: not found", "build-step"},
		{"FROM oven/bun:1.3 AS deps", "creating build container: short-name resolution enforced but cannot prompt without a TTY", "", "base-image-short-name"},
		{"FROM --platform=linux/arm64 bun", `short-name "bun" did not resolve to an alias and no unqualified-search registries are defined in "/etc/containers/registries.conf"`, "", "base-image-short-name"},
		{"", `invalid progress mode "rawjson"`, "", "builder-old"},
		{"", "unknown flag: --metadata-file", "", "builder-old"},
	} {
		f := betters(&pipeline.Finding{Code: "build-step", What: "x", Why: tt.why, Evidence: []string{tt.evidence}}, tt.step)
		if string(f.Code) != tt.want {
			t.Errorf("%s %q %q: %s, want %s", tt.step, tt.why, tt.evidence, f.Code, tt.want)
		}
	}
}

// TestExplained checks that the remedy depends on which disk is full, and on the
// short name.
func TestExplained(t *testing.T) {
	req := Request{LayoutDir: "/cache/image"}
	const full = "write /x: no space left on device"
	for _, tt := range []struct{ builder, step, why, want string }{
		{"docker buildx", "[2/2] RUN x", full, "disk of the Docker engine"},
		{"docker", "[2/2] RUN x", full, "disk of the Docker engine"},
		{"docker buildx", "exporting to oci image format", full, "this machine's disk, where the image is written: /cache/image"},
		{"BuildKit", "", "open /cache/image/ingest/x: no space left on device", "/cache/image"},
		{"BuildKit", "[2/2] RUN x", full, "buildkitd runs"},
		{"podman", "RUN x", full, "podman system prune"},
		{"buildah", "FROM oven/bun:1.3 AS deps", "short-name resolution enforced", "write docker.io/oven/bun:1.3 in FROM"},
		{"podman", "FROM --platform=linux/arm64 node:22", "short-name resolution enforced", "write docker.io/library/node:22 in FROM"},
	} {
		f := explained(&pipeline.Finding{Code: "build-step", Why: tt.why}, tt.builder, req, tt.step)
		if !strings.Contains(f.Fix, tt.want) {
			t.Errorf("%s %q: %s", tt.builder, tt.step, f.Fix)
		}
	}
}

// TestHints checks the messages that hints rely on with the real programs.
func TestHints(t *testing.T) {
	base := publicRegistry(t)
	host, _ := buildkitd.Start(t)
	b := &buildKit{machine: testMachine("BUILDKIT_HOST=" + host), buildctl: require.Tool(t, "buildctl"), host: host}
	foreign := &containers{machine: storage(t), name: "buildah", program: require.Tool(t, "buildah"), binfmt: binfmtDir}
	// The program is for a machine that does not exist, because a kernel may be able
	// to run those of a real one.
	const run = "FROM scratch\nCOPY --chmod=755 alien /say\nRUN [\"/say\", \"x\", \"0\"]\n"
	alien := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\xfe\xff\x01" + strings.Repeat("\x00", 200)
	native := "linux/" + runtime.GOARCH
	for _, tt := range []struct {
		name, dockerfile, platform string
		builder                    Builder
		want, what                 string
	}{
		{"missing", "FROM " + base + "x\n", "linux/arm64", b, "base-image-missing", "the base image " + base + "x cannot be fetched"},
		{"no host", "FROM registry.invalid/a:1\n", "linux/arm64", b, "build-network", "the base image registry.invalid/a:1 cannot be fetched"},
		{"no emulation", run, native, b, "builder-platform", "RUN"},
		{"no emulation, buildah", run, native, foreign, "builder-platform", "RUN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := files(t, map[string]string{"Dockerfile": tt.dockerfile, "alien": alien})
			req := request(t, dir)
			req.Platforms = []string{tt.platform}
			_, err := tt.builder.Build(t.Context(), req, nil)
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok || string(f.Code) != tt.want || !strings.Contains(f.What, tt.what) {
				t.Errorf("err = %+v", err)
			}
		})
	}
}
