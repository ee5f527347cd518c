//go:build linux

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/tools"
)

// lint runs golangci-lint over the product's module, with govet, and reports
// how long that took. It uses the pinned version, which is built like the
// other tools.
func (s *Sandbox) lint(ctx context.Context) error {
	s.say("golangci-lint run")
	begin := time.Now()
	args := append(slices.Clone(lowest), filepath.Join(s.Bin(), "golangci-lint"), "run", "--allow-parallel-runners")
	if err := s.tool(ctx, s.Root, nil, args...); err != nil {
		return err
	}
	s.say("golangci-lint took %s", time.Since(begin).Round(time.Second))
	return nil
}

// vetNested vets the few files of this project that are in nested modules. `go
// vet` itself would analyse everything that they import, which is all of
// Kubernetes and takes minutes. This gives vet the packages that the build has
// compiled anyway, but no facts about them, so a wrapper of Printf in another
// module is not recognised.
func (s *Sandbox) vetNested(ctx context.Context) error {
	modules, err := s.nested()
	if err != nil {
		return err
	}
	for _, dir := range modules {
		s.say("vet in %s", strings.TrimPrefix(dir, s.Root+"/"))
		units, err := vetUnits(ctx, dir)
		if err != nil {
			return err
		}
		for _, unit := range units {
			if err := s.vet(ctx, unit); err != nil {
				return fmt.Errorf("vet %s: %w", unit.ImportPath, err)
			}
		}
	}
	return nil
}

// vetUnit is the input of vet for one package: those fields of
// golang.org/x/tools/go/analysis/unitchecker.Config that it needs.
type vetUnit struct {
	ID, Compiler, Dir, ImportPath, GoVersion, VetxOutput string

	GoFiles     []string
	ImportMap   map[string]string // import path in the source → package path
	PackageFile map[string]string // package path → compiled package
}

// listed is one package in the output of `go list -export -deps`.
type listed struct {
	ImportPath, Dir, Export string

	GoFiles   []string
	ImportMap map[string]string
	DepOnly   bool
	Module    *struct{ GoVersion string }
}

// vetUnits lists the packages of a module, each with the compiled form of
// everything that it imports. It passes the flags of the build, so that the
// compiled packages are in the cache.
func vetUnits(ctx context.Context, dir string) ([]vetUnit, error) {
	args := slices.Concat([]string{"list", "-export", "-deps"}, tools.Thrift.Flags,
		[]string{"-json=ImportPath,Dir,Export,GoFiles,ImportMap,DepOnly,Module", "./..."})
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = slices.Concat(os.Environ(), []string{"GOWORK=off"}, tools.Thrift.Env)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w", dir, err)
	}
	var units []vetUnit
	compiled, paths := map[string]string{}, map[string]string{}
	for packages := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := packages.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list in %s: %w", dir, err)
		}
		compiled[p.ImportPath], paths[p.ImportPath] = p.Export, p.ImportPath
		if p.DepOnly {
			continue
		}
		u := vetUnit{ID: p.ImportPath, Compiler: "gc", Dir: p.Dir, ImportPath: p.ImportPath, ImportMap: p.ImportMap, PackageFile: compiled}
		if p.Module != nil && p.Module.GoVersion != "" {
			u.GoVersion = "go" + p.Module.GoVersion
		}
		for _, f := range p.GoFiles {
			u.GoFiles = append(u.GoFiles, filepath.Join(p.Dir, f))
		}
		units = append(units, u)
	}
	for i := range units {
		all := maps.Clone(paths)
		maps.Copy(all, units[i].ImportMap)
		units[i].ImportMap = all
	}
	return units, nil
}

func (s *Sandbox) vet(ctx context.Context, unit vetUnit) error {
	dir, err := os.MkdirTemp("", "sbw-vet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	unit.VetxOutput = filepath.Join(dir, "facts")
	text, err := json.Marshal(unit)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "vet.cfg") // vet recognises its configuration by this suffix
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	return s.tool(ctx, unit.Dir, []string{"GOWORK=off"}, "go", "tool", "vet", config)
}
