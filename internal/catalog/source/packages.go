package source

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// A specifier can refer to an npm package in other ways than by its name: as
// `npm:name@1/sub`, by the URL of a service that delivers packages, by an
// import map (Deno's deno.json), or by an alias in package.json.

// urlPackage matches the package in a URL of esm.sh, skypack.dev, unpkg.com or
// jsdelivr.net.
var urlPackage = lazyregexp.New(`^https?://(?:esm\.sh|cdn\.skypack\.dev|unpkg\.com|cdn\.jsdelivr\.net/npm)/(?:v\d+/|stable/)?([^?#]+)`)

// Package parses a specifier in a file in dir: it returns the name of the npm
// package, the path in it, and the version if the specifier contains one.
func (w *workspace) Package(dir, spec string) (name, sub, version string) {
	if mapped, _ := w.mapped(dir, spec); mapped != "" {
		spec = mapped
	}
	rest, isNPM := strings.CutPrefix(spec, "npm:")
	if !isNPM {
		if m := urlPackage.FindStringSubmatch(spec); m != nil {
			rest, isNPM = m[1], true
		}
	}
	rest = strings.TrimPrefix(rest, "/")
	if isNPM {
		name, sub = splitSpecifier(rest)
		if i := strings.LastIndexByte(name, '@'); i > 0 {
			name, version = name[:i], name[i+1:]
		}
		return name, sub, version
	}
	name, sub = splitSpecifier(rest)
	if alias, ok := strings.CutPrefix(w.requested(dir, name), "npm:"); ok {
		name = alias
		if i := strings.LastIndexByte(alias, '@'); i > 0 {
			name, version = alias[:i], alias[i+1:]
		}
	}
	return name, sub, version
}

// importMap is the part of a deno.json, or of an import map, that is used.
type importMap struct {
	Imports   map[string]string `json:"imports"`
	ImportMap string            `json:"importMap"`
}

// mapped applies the import map to a specifier. It also returns the directory
// of the map; both are empty if there is none.
func (w *workspace) mapped(dir, spec string) (to, in string) {
	for {
		if m := w.importMapOf(dir); m != nil {
			best := ""
			for from := range m {
				if from == spec || strings.HasSuffix(from, "/") && strings.HasPrefix(spec, from) {
					if len(from) > len(best) {
						best = from
					}
				}
			}
			if best != "" {
				return m[best] + strings.TrimPrefix(spec, best), dir
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir || dir == w.root {
			return "", ""
		}
		dir = parent
	}
}

// importMapOf reads the import map of a directory only once. A missing or
// invalid map counts as empty.
func (w *workspace) importMapOf(dir string) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, ok := w.maps[dir]
	if ok {
		return known
	}
	for _, name := range []string{"deno.json", "deno.jsonc", "import_map.json"} {
		var m importMap
		if readJSONC(filepath.Join(dir, name), &m) && m.ImportMap != "" && m.Imports == nil {
			readJSONC(filepath.Join(dir, filepath.FromSlash(m.ImportMap)), &m)
		}
		if m.Imports != nil {
			known = m.Imports
			break
		}
	}
	w.maps[dir] = known
	return known
}

// readJSONC reads JSON with comments and trailing commas.
func readJSONC(path string, into any) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	return json.Unmarshal(b, into) == nil || json.Unmarshal(plainJSON(b), into) == nil
}

// plainJSON removes comments and trailing commas.
func plainJSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		n := 1
		switch {
		case b[0] == '"':
			n = stringEnd(b)
		case bytes.HasPrefix(b, []byte("//")):
			b = b[upTo(b, "\n"):]
			continue
		case bytes.HasPrefix(b, []byte("/*")):
			b = b[2+upTo(b[2:], "*/"):]
			b = bytes.TrimPrefix(b, []byte("*/"))
			continue
		case b[0] == ']' || b[0] == '}':
			trimmed := bytes.TrimRight(out, " \t\r\n")
			if before, ok := bytes.CutSuffix(trimmed, []byte(",")); ok {
				out = before
			}
		}
		out = append(out, b[:n]...)
		b = b[n:]
	}
	return out
}

// stringEnd returns the length of the string literal with which b begins.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// upTo returns the index of a text in b, or the length of b.
func upTo(b []byte, text string) int {
	if i := bytes.Index(b, []byte(text)); i >= 0 {
		return i
	}
	return len(b)
}

// requested returns the version that the package.json above dir requests.
func (w *workspace) requested(dir, name string) string {
	version := ""
	w.above(dir, func(_ string, m *manifest) bool {
		version = m.requested(name)
		return version != ""
	})
	return version
}

func (m *manifest) requested(name string) string {
	for _, deps := range []map[string]string{m.Dependencies, m.Dev, m.Optional, m.Peer} {
		if version, ok := deps[name]; ok {
			return version
		}
	}
	// The package may have an alias: "sdk": "npm:inngest@4".
	for _, version := range m.Dependencies {
		if strings.HasPrefix(version, "npm:"+name+"@") {
			return version
		}
	}
	return ""
}

// above visits the package.json files from dir up to the root until visit
// returns true.
func (w *workspace) above(dir string, visit func(dir string, m *manifest) bool) {
	for {
		if m := w.manifest(dir); m != nil && visit(dir, m) {
			return
		}
		parent := filepath.Dir(dir)
		if parent == dir || dir == w.root {
			return
		}
		dir = parent
	}
}

// builtFolders lists the directories that contain compiled sources.
var builtFolders = map[string]bool{
	"dist":  true,
	"build": true,
	"lib":   true,
	"out":   true,
	"esm":   true,
	"cjs":   true,
	"es":    true,
	"types": true,
}

// sourcesOf returns the files from which a package's path may be compiled, if
// the compiled file that package.json names does not exist. They are without
// extension and in the order in which to try them.
func (w *workspace) sourcesOf(dir, sub string) []string {
	m := w.manifest(dir)
	if m == nil {
		return nil
	}
	var built []string
	if sub == "" {
		built = append(built, m.Source, m.Module, m.Main, m.Types)
	}
	built = append(built, exportTargets(m.Exports, sub)...)
	var all []string
	for _, b := range built {
		all = append(all, sourcePaths(b)...)
	}
	if sub != "" {
		all = append(all, "./src/"+sub)
	} else {
		all = append(all, "./src/index", "./src")
	}
	return all
}

// sourcePaths returns the paths from which a file may be compiled, without their
// extensions.
func sourcePaths(built string) []string {
	parts := strings.Split(strings.TrimPrefix(built, "./"), "/")
	for len(parts) > 1 && builtFolders[parts[0]] {
		parts = parts[1:]
	}
	path := strings.Join(parts, "/")
	for _, ext := range []string{".d.ts", ".d.mts", ".d.cts", ".js", ".mjs", ".cjs", ".ts", ".tsx"} {
		path = strings.TrimSuffix(path, ext)
	}
	if path == "" {
		return nil
	}
	return []string{"./src/" + path, "./" + path, "./source/" + path}
}

// exportTargets returns all files that `exports` names for a path, under any
// condition.
func exportTargets(raw json.RawMessage, sub string) []string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	var leaves func(v any, star string) []string
	leaves = func(v any, star string) []string {
		switch v := v.(type) {
		case string:
			return []string{strings.ReplaceAll(v, "*", star)}
		case []any:
			var all []string
			for _, e := range v {
				all = append(all, leaves(e, star)...)
			}
			return all
		case map[string]any:
			var all []string
			for _, k := range sortedKeys(v) {
				all = append(all, leaves(v[k], star)...)
			}
			return all
		}
		return nil
	}
	key := "."
	if sub != "" {
		key = "./" + sub
	}
	object, ok := v.(map[string]any)
	if !ok {
		return leaves(v, "")
	}
	conditions := true
	for k := range object {
		conditions = conditions && !strings.HasPrefix(k, ".")
	}
	if conditions {
		if sub != "" {
			return nil
		}
		return leaves(object, "")
	}
	if target, ok := object[key]; ok {
		return leaves(target, "")
	}
	for _, k := range sortedKeys(object) {
		before, after, ok := strings.Cut(k, "*")
		if ok && strings.HasPrefix(key, before) && strings.HasSuffix(key, after) && len(key) >= len(before)+len(after) {
			return leaves(object[k], key[len(before):len(key)-len(after)])
		}
	}
	return nil
}
