package source

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// workspace finds the packages of a monorepo by their names, even if they are
// not linked into a node_modules directory.
type workspace struct {
	root string
	// dirs maps the names of packages to their directories.
	dirs map[string]string

	mu        sync.Mutex
	manifests map[string]*manifest // keyed by directory; nil if there is none
	maps      map[string]map[string]string
}

type manifest struct {
	Name         string            `json:"name"`
	Workspaces   json.RawMessage   `json:"workspaces"`
	Dependencies map[string]string `json:"dependencies"`
	Dev          map[string]string `json:"devDependencies"`
	Optional     map[string]string `json:"optionalDependencies"`
	Peer         map[string]string `json:"peerDependencies"`
	Exports      json.RawMessage   `json:"exports"`
	Imports      json.RawMessage   `json:"imports"`
	Main         string            `json:"main"`
	Module       string            `json:"module"`
	Types        string            `json:"types"`
	Source       string            `json:"source"`
}

// readManifest reads a package.json. A missing or invalid one counts as empty.
func readManifest(dir string) (manifest, bool) {
	var m manifest
	b, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil || json.Unmarshal(b, &m) != nil {
		return manifest{}, false
	}
	return m, true
}

// findWorkspace reads the patterns of package.json (npm, yarn, Bun) and of
// pnpm-workspace.yaml.
func findWorkspace(root string) *workspace {
	w := &workspace{root: root, dirs: map[string]string{}, manifests: map[string]*manifest{}, maps: map[string]map[string]string{}}
	for _, dir := range w.members(w.patterns()) {
		if m, ok := readManifest(dir); ok && m.Name != "" {
			if _, taken := w.dirs[m.Name]; !taken {
				w.dirs[m.Name] = dir
			}
		}
	}
	return w
}

func (w *workspace) patterns() []string {
	var all []string
	if m, ok := readManifest(w.root); ok && m.Workspaces != nil {
		var list []string
		var object struct{ Packages []string }
		if json.Unmarshal(m.Workspaces, &list) == nil {
			all = append(all, list...)
		} else if json.Unmarshal(m.Workspaces, &object) == nil {
			all = append(all, object.Packages...)
		}
	}
	var pnpm struct{ Packages []string }
	if b, err := os.ReadFile(filepath.Join(w.root, "pnpm-workspace.yaml")); err == nil && yaml.Unmarshal(b, &pnpm) == nil {
		all = append(all, pnpm.Packages...)
	}
	return append(all, ".")
}

// members returns the directories that match the patterns and contain a
// package.json.
func (w *workspace) members(patterns []string) []string {
	var dirs []string
	seen := map[string]bool{}
	excluded := func(rel string) bool {
		for _, p := range patterns {
			if neg, ok := strings.CutPrefix(p, "!"); ok && matchGlob(cleanPattern(neg), rel) {
				return true
			}
		}
		return false
	}
	add := func(dir string) {
		rel, err := filepath.Rel(w.root, dir)
		if err != nil || seen[dir] || excluded(filepath.ToSlash(rel)) {
			return
		}
		if _, err := os.Stat(filepath.Join(dir, "package.json")); err == nil {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	for _, p := range patterns {
		if strings.HasPrefix(p, "!") {
			continue
		}
		p = cleanPattern(p)
		base, deep, _ := strings.Cut(p, "**")
		if deep == "" && !strings.Contains(p, "**") {
			found, err := filepath.Glob(filepath.Join(w.root, filepath.FromSlash(p)))
			if err != nil {
				continue
			}
			for _, dir := range found {
				add(dir)
			}
			continue
		}
		walkDirs(filepath.Join(w.root, filepath.FromSlash(base)), func(dir string) {
			if rel, err := filepath.Rel(w.root, dir); err == nil && matchGlob(p, filepath.ToSlash(rel)) {
				add(dir)
			}
		})
	}
	return dirs
}

func cleanPattern(p string) string {
	return strings.Trim(strings.TrimPrefix(p, "./"), "/")
}

// matchGlob matches a slash-separated path; `**` matches any number of
// directories.
func matchGlob(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := 0; i <= len(name); i++ {
				if matchParts(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); err != nil || !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}

// walkDirs visits the directories below dir, except hidden ones and
// node_modules.
func walkDirs(dir string, visit func(dir string)) {
	// An unreadable directory contains no package that could be read.
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if name := d.Name(); p != dir && (name == "node_modules" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		visit(p)
		return nil
	})
}

// PackageName returns the package that a specifier names: "@scope/name" for
// "@scope/name/sub".
func PackageName(spec string) string {
	name, _ := splitSpecifier(spec)
	return name
}

// splitSpecifier splits "@scope/name/sub" into the package and the rest.
func splitSpecifier(spec string) (name, rest string) {
	parts := strings.SplitN(spec, "/", 3)
	n := 1
	if strings.HasPrefix(spec, "@") {
		n = 2
	}
	if len(parts) < n {
		return spec, ""
	}
	return strings.Join(parts[:n], "/"), strings.Join(parts[n:], "/")
}

// manifest reads a package.json only once, because every bare import needs it.
func (w *workspace) manifest(dir string) *manifest {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, ok := w.manifests[dir]
	if !ok {
		if read, exists := readManifest(dir); exists {
			m = &read
		}
		w.manifests[dir] = m
	}
	return m
}

// linked returns the directory to which the package.json above dir links a
// dependency (`link:`, `file:`, `portal:`), and the text of the link.
func (w *workspace) linked(dir, name string) (linkedDir, says string) {
	w.above(dir, func(at string, m *manifest) bool {
		says = m.requested(name)
		for _, scheme := range []string{"link:", "file:", "portal:"} {
			if p, ok := strings.CutPrefix(says, scheme); ok {
				linkedDir = filepath.Join(at, filepath.FromSlash(p))
			}
		}
		return says != ""
	})
	return linkedDir, says
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
