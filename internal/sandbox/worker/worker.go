// Package worker is what the sandbox ships: a small repository of the shape
// that the product's defaults are made for, with a real Inngest worker in it,
// and the arm64 base image that its Dockerfile starts from.
package worker

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed repo
var repo embed.FS

// dotfiles are kept without their dot, so that git and go see them here as
// the plain data they are.
var dotfiles = map[string]string{"gitignore": ".gitignore", "dockerignore": ".dockerignore"}

// modules is where the repository wants its modules.
const modules = "packages/system-bus/node_modules"

// WriteRepo makes the repository at dir, commits it, and gives it its modules
// from npm, which are kept in cacheDir for the next time. It needs git and npm.
func WriteRepo(ctx context.Context, dir, cacheDir string) error {
	if err := writeFiles(dir); err != nil {
		return err
	}
	npm, err := installed(ctx, cacheDir)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, modules)
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	// Hard links: the files are many and read only.
	if err := run(ctx, "", "cp", "-al", filepath.Join(npm, "node_modules"), target); err != nil {
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

// installed returns the directory in which npm installed the worker's modules.
func installed(ctx context.Context, cacheDir string) (string, error) {
	wanted, err := repo.ReadFile("repo/packages/system-bus/package.json")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cacheDir, "npm", "worker")
	have, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err == nil && string(have) == string(wanted) {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", ".complete")); err == nil {
			return dir, nil
		}
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "package.json"), wanted, 0o644)); err != nil {
		return "", err
	}
	if err := run(ctx, dir, "npm", "install", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "node_modules", ".complete"), nil, 0o644)
}

// run runs a program and puts its words into the error.
func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}
