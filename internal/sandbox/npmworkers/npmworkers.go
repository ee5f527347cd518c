// Package npmworkers installs real Inngest workers from npm: one with the last
// release of the SDK's third major version, one with its fourth, and Bun. Both
// workers run under Bun as well as under Node.
//
// The sources are embedded, so a program needs no checkout. The environment
// controls a worker's behaviour; see workers/serve.mjs.
//
// To add a worker, put a directory with package.json and sdk.mjs under workers
// and add its name to Names.
package npmworkers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed workers
var files embed.FS

// These are the workers.
const (
	SDK3 = "v3" // inngest 3.54.2
	SDK4 = "v4" // inngest 4.24.0
	bun  = "bun"
)

// Names lists the directories that Install creates.
func Names() []string { return []string{SDK3, SDK4, bun} }

// marker is the file with the fingerprint of what is installed.
const marker = ".installed"

// Install puts every worker with its modules into dir/NAME, unless it is
// already there unchanged. It needs npm. Concurrent calls are safe: each one
// builds in a temporary directory, and the first to finish moves it into
// place.
func Install(ctx context.Context, dir string) error {
	for _, name := range Names() {
		if err := install(ctx, dir, name); err != nil {
			return fmt.Errorf("npm worker %s: %w", name, err)
		}
	}
	return nil
}

// Installed reports whether Install would have nothing to do.
func Installed(dir string) bool {
	for _, name := range Names() {
		if !installed(dir, name) {
			return false
		}
	}
	return true
}

func installed(dir, name string) bool {
	return hasModules(dir, name) && upToDate(filepath.Join(dir, name), name)
}

// hasModules reports whether npm has already installed the modules of this
// package.json.
func hasModules(dir, name string) bool {
	have, err := os.ReadFile(filepath.Join(dir, name, marker))
	return err == nil && string(have) == fingerprint(name)
}

func upToDate(place, name string) bool {
	for base, path := range sources(name) {
		want, err := files.ReadFile(path)
		if err != nil {
			return false
		}
		if have, err := os.ReadFile(filepath.Join(place, base)); err != nil || !bytes.Equal(have, want) {
			return false
		}
	}
	return true
}

func install(ctx context.Context, dir, name string) error {
	switch {
	case installed(dir, name):
		return nil
	case hasModules(dir, name):
		return write(filepath.Join(dir, name), name)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "."+name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := write(tmp, name); err != nil {
		return err
	}
	cmd := exec.CommandContext(
		ctx,
		"npm",
		"install",
		"--omit=dev",
		"--ignore-scripts",
		"--no-audit",
		"--no-fund",
		"--no-package-lock",
		"--loglevel=error",
	)
	cmd.Dir = tmp
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm install: %w: %s", err, strings.TrimSpace(said.String()))
	}
	if err := os.WriteFile(filepath.Join(tmp, marker), []byte(fingerprint(name)), 0o644); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil { // MkdirTemp creates it as private
		return err
	}
	place := filepath.Join(dir, name)
	if hasModules(dir, name) {
		return nil // another process was faster
	}
	if err := os.RemoveAll(place); err != nil {
		return err
	}
	if err := os.Rename(tmp, place); err != nil && !hasModules(dir, name) {
		return err
	}
	return nil
}

// sources lists the embedded files of a worker: its own and those of the
// shared server.
func sources(name string) map[string]string {
	own := "workers/" + name
	entries, err := fs.ReadDir(files, own)
	if err != nil {
		panic("embedded workers: " + err.Error()) // the binary was built without its embedded files
	}
	all := map[string]string{}
	for _, e := range entries {
		all[e.Name()] = own + "/" + e.Name()
	}
	if name != bun {
		all["serve.mjs"] = "workers/serve.mjs"
	}
	return all
}

func write(dir, name string) error {
	for base, path := range sources(name) {
		raw, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		// The file gets its name by renaming, because another process may be
		// reading it.
		tmp := filepath.Join(dir, "."+base+".new")
		if err := os.WriteFile(tmp, raw, 0o644); err != nil {
			return err
		}
		if err := os.Rename(tmp, filepath.Join(dir, base)); err != nil {
			return err
		}
	}
	return nil
}

// fingerprint covers the files that npm reads.
func fingerprint(name string) string {
	raw, err := files.ReadFile("workers/" + name + "/package.json")
	if err != nil {
		panic("embedded workers: " + err.Error()) // the binary was built without its embedded files
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Bun returns the path of the Bun binary for this machine below dir.
func Bun(dir string) string {
	arch := map[string]string{"amd64": "x64", "arm64": "aarch64"}[runtime.GOARCH]
	return filepath.Join(dir, bun, "node_modules", "@oven", "bun-linux-"+arch, "bin", "bun")
}

// Main returns the path of a worker's program below dir, which Bun or Node
// runs.
func Main(dir, name string) string { return filepath.Join(dir, name, "serve.mjs") }
