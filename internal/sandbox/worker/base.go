package worker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// BaseName is the image that the sample's Dockerfile starts from, by its name
// on Docker Hub. The sandbox's registry has BaseImage under this name.
const BaseName = "oven/bun:1.3.9"

const bunVersion = "1.3.9"

// packages lists what Bun needs, and a shell for debugging.
var packages = []string{"libc6", "libgcc-s1", "gcc-12-base", "busybox-static"}

// BaseImage builds the arm64 image from Debian's arm64 packages and npm's
// arm64 Bun. It needs apt-get, dpkg-deb and npm, and keeps their downloads in
// cacheDir. It neither uses nor changes the machine's own package state.
func BaseImage(ctx context.Context, cacheDir string, log io.Writer) (v1.Image, error) {
	dir := filepath.Join(cacheDir, "images", "base")
	system, bun := filepath.Join(dir, "debian.tar"), filepath.Join(dir, "bun.tar")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		path string
		make func(context.Context, string, io.Writer) error
	}{{system, debian}, {bun, bunLayer}} {
		if _, err := os.Stat(part.path); err == nil {
			continue
		}
		fmt.Fprintf(log, "base image: making %s\n", filepath.Base(part.path))
		if err := make1(ctx, part.path, part.make); err != nil {
			return nil, fmt.Errorf("base image: %w", err)
		}
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	for _, path := range []string{system, bun} {
		layer, err := tarball.LayerFromFile(path, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = "linux", "arm64", "v8"
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	config.Config.Cmd = []string{"bun"}
	return mutate.ConfigFile(img, config)
}

// make1 creates a file either completely or not at all.
func make1(ctx context.Context, path string, write func(context.Context, string, io.Writer) error) error {
	work, err := os.MkdirTemp(filepath.Dir(path), ".work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	tmp, err := os.Create(filepath.Join(work, "layer.tar"))
	if err != nil {
		return err
	}
	if err := errors.Join(write(ctx, work, tmp), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// debian writes one tar with the arm64 packages. apt gets a separate state
// directory in which arm64 is the only architecture.
func debian(ctx context.Context, work string, to io.Writer) error {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return err
		}
	}
	status := filepath.Join(work, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return err
	}
	apt := func(args ...string) error {
		return run(ctx, work, "apt-get", append([]string{"-qq",
			"-o", "APT::Architecture=arm64", "-o", "APT::Architectures::=arm64",
			"-o", "Dir::State::lists=" + filepath.Join(work, "lists"),
			"-o", "Dir::State::status=" + status,
			"-o", "Dir::Cache=" + filepath.Join(work, "cache"),
			"-o", "APT::Sandbox::User=root"}, args...)...)
	}
	if err := apt("update"); err != nil {
		return err
	}
	if err := apt(append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*_arm64.deb"))
	if err != nil {
		return err
	}
	if len(debs) != len(packages) {
		return fmt.Errorf("apt-get downloaded %d of %d arm64 packages", len(debs), len(packages))
	}
	out := tar.NewWriter(to)
	seen := map[string]bool{}
	for _, deb := range debs {
		text, err := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb).Output()
		if err != nil {
			return fmt.Errorf("dpkg-deb %s: %w", filepath.Base(deb), err)
		}
		if err := copyTar(out, tar.NewReader(bytes.NewReader(text)), seen); err != nil {
			return err
		}
	}
	for _, h := range []tar.Header{
		{Name: "./bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777},
		{Name: "./tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "./app/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./home/bun/", Typeflag: tar.TypeDir, Mode: 0o755, Uid: 1000, Gid: 1000},
	} {
		if err := out.WriteHeader(&h); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"./etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbun:x:1000:1000::/home/bun:/bin/sh\n",
		"./etc/group":  "root:x:0:\nbun:x:1000:\n",
	} {
		if err := file(out, name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return out.Close()
}

// copyTar copies the files that programs need at run time.
func copyTar(out *tar.Writer, in *tar.Reader, seen map[string]bool) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(h.Name, "./usr/share/") || seen[h.Name] {
			continue
		}
		seen[h.Name] = true
		h.Uname, h.Gname = "", ""
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// bunLayer writes a tar with npm's arm64 Bun.
func bunLayer(ctx context.Context, work string, to io.Writer) error {
	if err := run(ctx, work, "npm", "pack", "--silent", "@oven/bun-linux-aarch64@"+bunVersion); err != nil {
		return err
	}
	packed, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil {
		return err
	}
	if len(packed) != 1 {
		return fmt.Errorf("npm pack made %d files", len(packed))
	}
	f, err := os.Open(packed[0])
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	in := tar.NewReader(gz)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("npm's Bun package has no bin/bun")
		}
		if err != nil {
			return err
		}
		if h.Name != "package/bin/bun" {
			continue
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		out := tar.NewWriter(to)
		return errors.Join(file(out, "./usr/local/bin/bun", text, 0o755), out.Close())
	}
}

func file(out *tar.Writer, name string, text []byte, mode int64) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := out.Write(text)
	return err
}
