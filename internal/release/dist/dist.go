// Package dist makes a release. Build creates all files to upload in one
// directory, from one checkout, byte for byte the same on every machine.
//
// What comes out, for a release v1.2.3:
//
//	gh-sbw_v1.2.3_linux-amd64            what `gh extension install` takes; .exe for windows
//	kubectl-sbw_v1.2.3_linux_amd64.tar.gz  what krew takes: binary and LICENSE; .zip for windows
//	plugins.yaml                         the krew manifest with this release's addresses and digests
//	sbw_v1.2.3.spdx.json                 every module in every binary, as SPDX 2.3
//	checksums.txt                        sha256 of all of them, as sha256sum writes it
//
// This is not goreleaser, because the tests install what this package produces, so
// the code that makes the release is tested. goreleaser would be another tool to
// install (its current version needs a newer Go than this module, and takes longer
// to compile than the plugins), and the krew manifest and the rule that krew's
// archives must not end like gh's assets would still need a script. This package
// only needs go build, tar and zip, and the last two are in the standard library.
//
// The bytes are the same everywhere because of -trimpath, no cgo, no VCS stamp by
// the toolchain (the commit is given to the linker instead, so that a build from a
// source archive is equal too), pinned GOAMD64 and GOARM64, no GOFLAGS or
// GOEXPERIMENT of the builder, times from SOURCE_DATE_EPOCH or the commit, and files
// sorted by name. The toolchain must have the same version, which binaries contain.
//
// To add a platform, add a line in Targets and an entry in plugins.yaml. A test
// compares the two.
package dist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Options configure Build.
type Options struct {
	// Root is the checkout.
	Root string
	// Out is the directory to create or replace.
	Out string
	// Version is the release's tag: v1.2.3.
	Version string
	// Commit and Dirty identify the sources.
	Commit string
	Dirty  bool
	// Date is the time of the build and of all files in archives.
	Date time.Time
	// Plugins and Targets select what to build; empty means all.
	Plugins []string
	Targets []Target
	// Log receives what is happening.
	Log io.Writer
}

// Asset is one file of the release.
type Asset struct {
	Name   string
	SHA256 string
	// Plugin and Target are empty for files that belong to all of them.
	Plugin string
	Target Target
}

// versions matches the versions that both krew (semver with a leading v) and gh
// (any tag) accept. Build metadata (+) is excluded, because GitHub changes it in
// the names of assets.
var versions = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?$`)

func (o *Options) complete() error {
	if !versions.MatchString(o.Version) {
		return fmt.Errorf("%q is not the version of a release: use v1.2.3 or v1.2.3-rc.1", o.Version)
	}
	if o.Date.IsZero() {
		return errors.New("no date: set SOURCE_DATE_EPOCH or build from a git checkout")
	}
	o.Date = o.Date.UTC().Truncate(time.Second)
	for _, p := range o.Plugins {
		if !slices.Contains(Plugins(), p) {
			return fmt.Errorf("plugin %q is not one of %v", p, Plugins())
		}
	}
	for _, t := range o.Targets {
		if !slices.Contains(Targets(), t) {
			return fmt.Errorf("platform %s is not one of %v", t, Targets())
		}
	}
	if len(o.Plugins) == 0 {
		o.Plugins = Plugins()
	}
	if len(o.Targets) == 0 {
		o.Targets = Targets()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	return nil
}

// Build creates the release in o.Out, completely or not at all: it is assembled next
// to that directory and replaces it at the end.
func Build(ctx context.Context, o Options) ([]Asset, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	out, err := filepath.Abs(o.Out)
	if err != nil {
		return nil, err
	}
	if err := ours(out); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), ".dist-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	assets, err := build(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(out); err != nil {
		return nil, err
	}
	return assets, os.Rename(dir, out)
}

func build(ctx context.Context, o Options, dir string) ([]Asset, error) {
	scratch, err := os.MkdirTemp("", "sbw-dist-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	var assets []Asset
	var contents []content
	for _, plugin := range o.Plugins {
		for _, t := range o.Targets {
			fmt.Fprintf(o.Log, "building %s for %s\n", plugin, t)
			bin := filepath.Join(scratch, plugin+"-"+t.OS+"-"+t.Arch, t.Binary(plugin))
			if err := compile(ctx, o, plugin, t, bin); err != nil {
				return nil, err
			}
			a := Asset{Name: AssetName(plugin, o.Version, t), Plugin: plugin, Target: t}
			if err := pack(o, a, bin, filepath.Join(dir, a.Name)); err != nil {
				return nil, err
			}
			c, err := contentOf(a, bin)
			if err != nil {
				return nil, err
			}
			contents = append(contents, c)
			assets = append(assets, a)
		}
	}
	if err := digest(dir, assets); err != nil {
		return nil, err
	}
	manifest, err := manifestFor(o, assets)
	if err != nil {
		return nil, err
	}
	bom, err := sbom(o, contents)
	if err != nil {
		return nil, err
	}
	rest := []Asset{{Name: ManifestName}, {Name: sbomName(o.Version)}}
	for i, text := range [][]byte{manifest, bom} {
		if err := os.WriteFile(filepath.Join(dir, rest[i].Name), text, 0o644); err != nil {
			return nil, err
		}
	}
	if err := digest(dir, rest); err != nil {
		return nil, err
	}
	assets = append(assets, rest...)
	return assets, os.WriteFile(filepath.Join(dir, ChecksumsName), checksums(assets), 0o644)
}

// ours fails if this package did not create the directory, so that it is not
// replaced.
func ours(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(out, ChecksumsName)); err != nil {
		return fmt.Errorf("%s is not empty and does not contain a release (there is no %s): name another directory", out, ChecksumsName)
	}
	return nil
}
