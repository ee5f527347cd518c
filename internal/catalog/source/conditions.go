package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The `exports` and `imports` of a package.json choose a file by conditions
// (nodejs.org/api/packages.html#conditional-exports). Some of them differ between
// the runtimes that a worker may have, which the sources do not show.

// runtimes lists the conditions of Bun and of Node.js, each without and with those
// that their options and NODE_ENV add.
var runtimes = func() (all [][]string) {
	for _, base := range [][]string{{"bun", "node"}, {"node"}} {
		for _, more := range []string{"", "development", "production"} {
			all = append(all, append([]string{"module-sync", "default", more}, base...))
		}
	}
	return all
}()

// member is a property of a JSON object. The order of conditions matters.
type member struct {
	name  string
	value any
}

// orderedJSON reads JSON. An object becomes a []member; null and invalid text
// become nil.
func orderedJSON(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	var value func() any
	value = func() any {
		t, err := d.Token()
		if err != nil {
			return nil
		}
		switch t {
		case json.Delim('{'):
			all := []member{}
			for d.More() {
				name, err := d.Token()
				text, ok := name.(string)
				if err != nil || !ok {
					return nil
				}
				all = append(all, member{text, value()})
			}
			_, _ = d.Token() // the bracket that More has seen
			return all
		case json.Delim('['):
			all := []any{}
			for d.More() {
				before := d.InputOffset()
				all = append(all, value())
				if d.InputOffset() == before {
					return nil
				}
			}
			_, _ = d.Token()
			return all
		}
		text, _ := t.(string)
		if text == "" {
			return nil
		}
		return text
	}
	return value()
}

// entryOf returns the entry of `exports` or `imports` for a key, and the text that
// the star in its pattern matches.
func entryOf(table any, key string) (value any, star string) {
	all, ok := table.([]member)
	if !ok || len(all) == 0 || !strings.HasPrefix(all[0].name, ".") && !strings.HasPrefix(all[0].name, "#") {
		if key == "." {
			return table, ""
		}
		return nil, ""
	}
	best := -1
	for _, m := range all {
		if m.name == key {
			return m.value, ""
		}
		before, after, _ := strings.Cut(m.name, "*")
		rest, ok := strings.CutPrefix(key, before)
		middle, ok2 := strings.CutSuffix(rest, after)
		if ok && ok2 && len(before) > best && strings.Contains(m.name, "*") {
			best, value, star = len(before), m.value, middle
		}
	}
	return value, star
}

// targetUnder returns the file under some conditions; ok is false if none applies.
func targetUnder(v any, conditions []string) (file string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []any:
		for _, e := range v {
			if file, ok := targetUnder(e, conditions); ok {
				return file, true
			}
		}
	case []member:
		for _, m := range v {
			if slices.Contains(conditions, m.name) {
				if file, ok := targetUnder(m.value, conditions); ok {
					return file, true
				}
			}
		}
	}
	return "", false
}

// choice is a specifier whose file depends on the runtime.
type choice struct {
	why string
	// files lists the possible files that exist.
	files []string
}

// choiceOf returns nil if a specifier in a file leads to the same file in every
// runtime. required says that require() names it too.
func (w *workspace) choiceOf(path, spec string, required bool) *choice {
	dir, table, key := w.tableOf(filepath.Dir(path), spec)
	if table == nil {
		return nil
	}
	v, star := entryOf(orderedJSON(table), key)
	var targets []string
	for _, kind := range []string{"import", "require"} {
		if kind == "require" && !required {
			continue
		}
		for _, conditions := range runtimes {
			t, _ := targetUnder(v, append([]string{kind}, conditions...))
			if t = strings.ReplaceAll(t, "*", star); !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	if len(targets) < 2 {
		return nil
	}
	c := &choice{}
	for _, t := range targets {
		if file := w.fileOf(dir, t); file == "" || !slices.Contains(c.files, file) {
			c.files = append(c.files, file)
		}
	}
	if len(c.files) < 2 {
		return nil // what is built, and what it is built from
	}
	c.files = slices.DeleteFunc(c.files, func(f string) bool { return f == "" })
	for i, t := range targets {
		if t == "" {
			targets[i] = "nothing"
		}
	}
	rel, err := filepath.Rel(w.root, filepath.Join(dir, "package.json"))
	if err != nil {
		rel = "package.json"
	}
	c.why = fmt.Sprintf("%s leads %q to %s, depending on the runtime", filepath.ToSlash(rel), spec, strings.Join(targets, " or "))
	return c
}

// tableOf returns the table of a package.json that decides a specifier, its
// directory, and the key in it; nil if there is none.
func (w *workspace) tableOf(dir, spec string) (in string, table json.RawMessage, key string) {
	if strings.HasPrefix(spec, "#") {
		w.above(dir, func(at string, m *manifest) bool {
			in, table = at, m.Imports
			return true
		})
		return in, table, spec
	}
	if strings.HasPrefix(spec, ".") || filepath.IsAbs(spec) || strings.Contains(spec, ":") {
		return "", nil, ""
	}
	name, sub := splitSpecifier(spec)
	in, ok := w.dirs[name]
	if !ok {
		if in, _ = w.linked(dir, name); in == "" {
			return "", nil, ""
		}
	}
	key = "."
	if sub != "" {
		key = "./" + sub
	}
	if m := w.manifest(in); m != nil {
		table = m.Exports
	}
	return in, table, key
}

// fileOf returns the source file of a target: the file that it is built from, or
// else the target itself. It is empty if neither exists.
func (w *workspace) fileOf(dir, target string) string {
	if !strings.HasPrefix(target, "./") {
		return ""
	}
	for _, source := range append(sourcePaths(target), target) {
		path := filepath.Join(dir, filepath.FromSlash(source))
		for _, ext := range []string{"", ".ts", ".tsx", ".mts", ".js", "/index.ts"} {
			if info, err := os.Stat(path + ext); err == nil && info.Mode().IsRegular() {
				return path + ext
			}
		}
	}
	return ""
}

// required matches the specifiers of require().
var required = regexp.MustCompile(`\brequire\s*\(\s*["']([^"'\n]+)["']`)

// choose records the specifiers of a file whose targets depend on the runtime.
func (p *Program) choose(f *file) {
	specs := f.scan.specifiers
	inRequire := map[string]bool{}
	if len(f.scan.dynamic) > 0 {
		for _, m := range required.FindAllSubmatch(f.src, -1) {
			inRequire[string(m[1])] = true
		}
	}
	for _, spec := range specs {
		if c := p.space.choiceOf(f.path, spec, inRequire[spec]); c != nil {
			if f.choices == nil {
				f.choices = map[string]*choice{}
			}
			f.choices[spec] = c
			f.extra = append(f.extra, c.files...)
		}
	}
}
