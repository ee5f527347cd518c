package tools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// build is one run of `go build` in one module.
type build struct {
	name     string
	module   string   // directory below internal/sandbox
	own      bool     // part of the product's own module: the compiler detects changes
	packages []string // what to build
	env      []string
	flags    []string
	links    []string // further names of the single output
	into     string   // directory below bin/, for programs that must not be found in place of Debian's
	// patch writes a replacement for the module's go.mod and returns its path.
	patch func(ctx context.Context, b Builder, module string) (modfile string, err error)
}

// MobyDir is where below bin/ the current Docker engine and its client are.
const MobyDir = "moby"

const kubernetesVersion = "v1.35.0"

// Thrift are the settings with which everything is compiled, because compiling is
// most of a first start. Without debugging information and inlining the compiler
// has a third less to do, and collecting garbage less often saves a sixth of the
// rest (measured on k8s.io/kubernetes/pkg/apis/core/v1). A cluster of one node
// loses nothing noticeable. The same settings for everything let the builds share
// what they have in common: a package is compiled again for each combination of
// flags, and again with and without cgo.
var Thrift = struct{ Env, Flags []string }{
	Env:   []string{"CGO_ENABLED=0", "GOGC=400"},
	Flags: []string{"-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false -l"},
}

// builds returns the builds in the order in which they are needed. They run one
// after the other, because two of the large ones at the same time need more memory
// than a small machine has.
func builds(all bool) []build {
	version := func(name, value string) string { return "-X k8s.io/component-base/version." + name + "=" + value }
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	// The flags are the same for both, because they share what does not depend
	// on the patch.
	containers := []string{"-ldflags=-s -w", "-tags=no_btrfs,no_devmapper,no_zfs,no_aufs"}
	list := []build{
		{name: "pods", own: true, env: []string{"GOARCH=arm64"}, flags: []string{"-ldflags=-s -w"},
			packages: []string{"./internal/sandbox/pause", "./internal/sandbox/inngestpod"}},
		{
			name:     "kube",
			module:   "kube",
			packages: []string{".", "./coredns"},
			flags: []string{
				"-ldflags=-s -w " + strings.Join(
					[]string{version("gitVersion", kubernetesVersion), version("gitMajor", major), version("gitMinor", minor)},
					" ",
				),
			},
			links: []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"},
		},
		{name: "buildkit", module: "buildkit", flags: containers,
			packages: []string{"github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"}},
		{name: "containerd", module: "buildkit", flags: containers, patch: arm64Platforms,
			packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
				"github.com/containerd/containerd/v2/cmd/ctr",
			}},
	}
	if all {
		list = append(
			list,
			build{name: "buildx", module: "buildkit", packages: []string{"github.com/docker/buildx/cmd/buildx"}, flags: []string{"-ldflags=-s -w"}},
			build{
				name:     "nerdctl",
				module:   "nerdctl",
				packages: []string{"github.com/containerd/nerdctl/cmd/nerdctl"},
				flags:    []string{"-ldflags=-s -w"},
			},
			// Debian's engine dates from 2022, and neither engine may find the
			// programs of the other one. Most packages of this engine have already
			// been compiled for BuildKit.
			build{
				name:     "moby",
				module:   "moby",
				into:     MobyDir,
				packages: []string{"github.com/moby/moby/v2/cmd/dockerd", "github.com/docker/cli/cmd/docker"},
				flags: append(containers[1:len(containers):len(containers)],
					// Its module has no go.mod, which stands for Go 1.16.
					"-gcflags=github.com/docker/cli/cmd/docker=-dwarf=false -l -lang=go1.26",
					"-ldflags=-s -w -X github.com/moby/moby/v2/dockerversion.Version=29.0.0 -X github.com/docker/cli/cli/version.Version=29.0.0"),
			},
			build{
				name:     "krew",
				module:   "krew",
				packages: []string{"sigs.k8s.io/krew/cmd/krew", "sigs.k8s.io/krew/cmd/validate-krew-manifest"},
				flags:    []string{"-ldflags=-s -w"},
			},
			// This one is built with inlining, because it runs for longer than
			// it takes to compile.
			build{
				name:     "lint",
				module:   "lint",
				packages: []string{"github.com/golangci/golangci-lint/v2/cmd/golangci-lint"},
				flags:    []string{"-ldflags=-s -w", "-gcflags=all="},
			},
		)
	}
	return list
}

// Builder builds programs and puts them into a directory.
type Builder struct {
	Root  string // the repository
	Cache string // bin/ gets the programs, src/ the generated sources
	Say   Say
}

// Build builds what is missing or older than its source. all includes what only
// the tests need.
func (b Builder) Build(ctx context.Context, all bool) error {
	for _, one := range builds(all) {
		if err := b.build(ctx, one); err != nil {
			return fmt.Errorf("build %s: %w", one.name, err)
		}
	}
	return nil
}

func (b Builder) build(ctx context.Context, one build) error {
	dir := filepath.Join(b.Root, "internal", "sandbox", one.module)
	bin := filepath.Join(b.Cache, "bin", one.into)
	stamp, key := filepath.Join(bin, "."+one.name), ""
	if one.own {
		dir = b.Root
	} else {
		var err error
		if key, err = fingerprint(dir, one); err != nil {
			return err
		}
		if have, err := os.ReadFile(stamp); err == nil && string(have) == key && complete(bin, one) {
			return nil
		}
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	args := append([]string{"build", "-v", "-o", bin + string(filepath.Separator)}, Thrift.Flags...)
	args = append(args, one.flags...)
	if one.patch != nil {
		modfile, err := one.patch(ctx, b, dir)
		if err != nil {
			return err
		}
		args = append(args, "-modfile="+modfile)
	}
	begin := time.Now()
	if !one.own {
		b.Say("building %s", one.name)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, one.packages...)...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{"GOWORK=off"}, Thrift.Env, one.env)
	n := 0
	err := runReporting(cmd, b.Say, "building "+one.name, func(string) string {
		n++
		return fmt.Sprintf("%d packages so far", n)
	})
	if err != nil {
		return err
	}
	for _, l := range one.links {
		if err := link(one.name, filepath.Join(bin, l)); err != nil {
			return err
		}
	}
	if one.own {
		return nil
	}
	b.Say("built %s in %s", one.name, time.Since(begin).Round(time.Second))
	return os.WriteFile(stamp, []byte(key), 0o644)
}

// outputs returns the names of the files that a build produces.
func (one build) outputs() []string {
	names := slices.Clone(one.links)
	for _, p := range one.packages {
		if p == "." {
			p = one.module
		}
		names = append(names, filepath.Base(p))
	}
	return names
}

func complete(bin string, one build) bool {
	return !slices.ContainsFunc(one.outputs(), func(name string) bool {
		_, err := os.Stat(filepath.Join(bin, name))
		return err != nil
	})
}

// fingerprint covers everything that a build depends on: the compiler, the flags,
// and the module's own files. go.sum covers the rest.
func fingerprint(dir string, one build) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), one.packages, Thrift, one.env, one.flags, one.links, one.patch != nil)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		fmt.Fprintf(h, "%s %x\n", rel, sha256.Sum256(b))
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

func link(target, path string) error {
	if have, err := os.Readlink(path); err == nil && have == target {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, path)
}

// arm64Platforms copies containerd's platforms module, changes the machine's
// platform in it to linux/arm64, and writes a go.mod that uses the copy. containerd
// asks one function which image to choose from an index, what to unpack and what to
// run, and has no setting for it (runtime_platforms chooses only a snapshotter). The
// node is an arm64 node, so the function must say so. BuildKit is built without the
// change, because it should emulate arm64 like on a laptop.
func arm64Platforms(ctx context.Context, b Builder, module string) (string, error) {
	const path = "github.com/containerd/platforms"
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", path)
	cmd.Dir = module
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	from, to := strings.TrimSpace(string(out)), filepath.Join(b.Cache, "src", "platforms")
	if from == "" { // it is not downloaded yet
		download := exec.CommandContext(ctx, "go", "mod", "download", path)
		download.Dir = module
		if out, err := download.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go mod download %s: %w: %s", path, err, out)
		}
		return arm64Platforms(ctx, b, module)
	}
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return "", err
	}
	const file, old = "defaults_unix.go", "Architecture: runtime.GOARCH,"
	text, err := os.ReadFile(filepath.Join(from, file))
	if err != nil {
		return "", err
	}
	if bytes.Count(text, []byte(old)) != 1 {
		return "", fmt.Errorf("%s of %s does not contain the line %q: check what its DefaultSpec does now", file, path, old)
	}
	text = bytes.Replace(text, []byte(old), []byte(`Architecture: "arm64",`), 1)
	if err := os.Chmod(filepath.Join(to, file), 0o644); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(to, file), text, 0o644); err != nil {
		return "", err
	}
	modfile := filepath.Join(b.Cache, "src", "containerd.mod")
	for from, to := range map[string]string{"go.mod": modfile, "go.sum": strings.TrimSuffix(modfile, ".mod") + ".sum"} {
		text, err := os.ReadFile(filepath.Join(module, from))
		if err != nil {
			return "", err
		}
		if from == "go.mod" {
			text = fmt.Appendf(text, "\nreplace %s => %s\n", path, filepath.Join(b.Cache, "src", "platforms"))
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return "", err
		}
	}
	return modfile, nil
}
