// Package worker contains the repository that the sandbox ships: a small one
// with the layout that the product's defaults expect and a real Inngest
// worker, and the arm64 base image for its Dockerfile.
package worker

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed repo
var repo embed.FS

// dotfiles are stored without their dot, so that git and go treat them here as
// plain data.
var dotfiles = map[string]string{"gitignore": ".gitignore", "dockerignore": ".dockerignore"}

// modules is the archive with the repository's modules. The Dockerfile unpacks
// it, because a build in the sandbox has no registry to install from.
const modules = "modules.tar"

// WriteRepo creates the repository at dir, commits it, and adds its modules
// from npm, which are cached in cacheDir. It needs git and npm.
func WriteRepo(ctx context.Context, dir, cacheDir string) error {
	if err := writeFiles(dir); err != nil {
		return err
	}
	npm, err := Modules(ctx, cacheDir)
	if err != nil {
		return err
	}
	// A hard link is enough, because nobody changes the file.
	if err := os.Link(npm, filepath.Join(dir, modules)); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"remote", "add", "origin", "https://github.com/joelhooks/joelclaw.git"},
		{"add", "."},
		{"-c", "user.name=sandbox", "-c", "user.email=sandbox@example.com", "commit", "--quiet", "-m", "sample worker"},
	} {
		if err := run(ctx, dir, "git", args...); err != nil {
			return err
		}
	}
	return nil
}

func writeFiles(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	return fs.WalkDir(repo, "repo", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("repo", path)
		if err != nil {
			return err
		}
		if dot, ok := dotfiles[rel]; ok {
			rel = dot
		}
		to := filepath.Join(dir, rel)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		text, err := repo.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	})
}

// Modules returns the archive of the worker's modules, which npm installs
// once.
func Modules(ctx context.Context, cacheDir string) (path string, err error) {
	wanted, err := repo.ReadFile("repo/packages/system-bus/package.json")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cacheDir, "npm", "worker")
	path = filepath.Join(dir, modules)
	if have, err := os.ReadFile(filepath.Join(dir, "package.json")); err == nil && bytes.Equal(have, wanted) {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	if err := errors.Join(
		os.RemoveAll(dir),
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "package.json"), wanted, 0o644),
	); err != nil {
		return "", err
	}
	if err := run(
		ctx,
		dir,
		"npm",
		"install",
		"--omit=dev",
		"--no-audit",
		"--no-fund",
		"--no-package-lock",
		"--ignore-scripts",
		"--loglevel=error",
	); err != nil {
		return "", err
	}
	return path, make1(ctx, path, func(_ context.Context, _ string, to io.Writer) error {
		return pack(to, os.DirFS(dir))
	})
}

// unread lists files in packages that are only for people and compilers.
var unread = []string{".map", ".d.ts", ".d.cts", ".d.mts", ".md"}

// pack writes node_modules of root as a tar without the files that are not
// read at run time, which are three out of four.
func pack(to io.Writer, root fs.FS) error {
	out := tar.NewWriter(to)
	err := fs.WalkDir(root, "node_modules", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".bin" || strings.HasSuffix(path, "/build/esnext")):
			return fs.SkipDir
		case d.IsDir():
			return out.WriteHeader(&tar.Header{Name: path + "/", Typeflag: tar.TypeDir, Mode: 0o755})
		case !d.Type().IsRegular(), slices.ContainsFunc(unread, func(end string) bool { return strings.HasSuffix(path, end) }):
			return nil
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		return file(out, path, text, 0o644)
	})
	return errors.Join(err, out.Close())
}

// run runs a program and puts its output into the error.
func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// The user's git settings could sign the commit or refuse it in a hook.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}
