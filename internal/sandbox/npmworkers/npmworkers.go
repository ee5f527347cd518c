// Package npmworkers installs real Inngest workers from npm: the SDK's last
// third major version, its fourth, and Bun, which both run under as well as
// under Node.
//
// What is installed is embedded, so that a program needs no checkout. A
// worker's behaviour comes from its environment; see workers/serve.mjs.
//
// To add one, put a directory with package.json and sdk.mjs under workers and
// its name into Names.
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

// The workers.
const (
	SDK3 = "v3" // inngest 3.54.2
	SDK4 = "v4" // inngest 4.24.0
	bun  = "bun"
)

// Names are all directories that Install makes.
func Names() []string { return []string{SDK3, SDK4, bun} }

// marker holds the fingerprint of what was installed.
const marker = ".installed"

// Install puts every worker into dir/NAME with its modules, and skips those
// that are there unchanged. It needs npm. Several calls at once are safe: each
// builds beside the place and the first to finish takes it.
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

// hasModules says whether npm has done its part for this package.json.
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
	if err := os.Chmod(tmp, 0o755); err != nil { // MkdirTemp makes it private
		return err
	}
	place := filepath.Join(dir, name)
	if hasModules(dir, name) {
		return nil // somebody was faster
	}
	if err := os.RemoveAll(place); err != nil {
		return err
	}
	if err := os.Rename(tmp, place); err != nil && !hasModules(dir, name) {
		return err
	}
	return nil
}

// sources lists the embedded files of a worker: its own and the shared server.
func sources(name string) map[string]string {
	own := "workers/" + name
	entries, err := fs.ReadDir(files, own)
	if err != nil {
		panic("embedded workers: " + err.Error()) // the binary was built without them
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
		// By way of a second name, since another process may be reading it.
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

// fingerprint is of what npm reads.
func fingerprint(name string) string {
	raw, err := files.ReadFile("workers/" + name + "/package.json")
	if err != nil {
		panic("embedded workers: " + err.Error()) // the binary was built without them
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Bun is the path of the Bun binary below dir, for this machine.
func Bun(dir string) string {
	arch := map[string]string{"amd64": "x64", "arm64": "aarch64"}[runtime.GOARCH]
	return filepath.Join(dir, bun, "node_modules", "@oven", "bun-linux-"+arch, "bin", "bun")
}

// Main is the program of a worker below dir, for Bun or Node to run.
func Main(dir, name string) string { return filepath.Join(dir, name, "serve.mjs") }
