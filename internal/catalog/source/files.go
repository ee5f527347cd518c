package source

import (
	"bytes"
	"errors"
	"maps"
	"path/filepath"
	"strings"
)

// Text returns the text of a walked file.
func (p *Program) Text(path string) []byte { return p.read(path).src }

// Mentions reports whether a walked file contains one of the words.
func (p *Program) Mentions(path string) bool { return p.read(path).scan.mentions }

// LeadsTo returns the modules to which the file's imports lead, including
// types.
func (p *Program) LeadsTo(path string) []string {
	f := p.read(path)
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, t := range f.targets {
		if t.Path != "" {
			all = append(all, t.Path)
		}
	}
	return all
}

// NameOf returns the name of the package in a directory, or "".
func (p *Program) NameOf(dir string) string {
	if m := p.space.manifest(dir); m != nil {
		return m.Name
	}
	return ""
}

// Unfound returns the specifiers of a file's imports that lead neither to a
// module nor to a package that package.json asks for, without those of Node.js.
func (p *Program) Unfound(path string) []string {
	f := p.read(path)
	p.mu.Lock()
	targets := maps.Clone(f.targets)
	p.mu.Unlock()
	var all []string
	for spec, t := range targets {
		if strings.Contains(spec, "?") {
			all = append(all, spec) // only a bundler knows what it loads
			continue
		}
		if t.Path == "" && !strings.HasPrefix(spec, "node:") && (t.Package == "" || p.Version(path, t.Package) == "") {
			all = append(all, spec)
		}
	}
	return all
}

// Packages are the external packages that the file's imports name, types included.
func (p *Program) Packages(path string) []string {
	f := p.read(path)
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, t := range f.targets {
		if t.Path == "" && t.Package != "" {
			all = append(all, t.Package)
		}
	}
	return all
}

// Files returns all walked files.
func (p *Program) Files() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]string, 0, len(p.files))
	for path := range p.files {
		all = append(all, path)
	}
	return all
}

// ErrNoModule is returned for a file that is not a program, such as an image
// or a text.
var ErrNoModule = errors.New("is not a module that can be read")

// Imports reports whether an import in a file names an external package.
func (p *Program) Imports(path, name string) bool { return p.imports(p.read(path), name) }

func (p *Program) imports(f *file, name string) bool {
	for _, spec := range f.scan.specifiers {
		if strings.HasPrefix(spec, ".") || name == "" {
			continue
		}
		if pkg, _, _ := p.space.Package(filepath.Dir(f.path), spec); pkg == name {
			return true
		}
	}
	return false
}

// Runs returns the modules that a file's imports may run: those of its import
// statements that are not only for types, and of import() and require().
func (p *Program) Runs(path string) []string {
	f := p.read(path)
	specs := append([]string(nil), f.scan.dynamic...)
	if m, err := p.Module(path); err == nil {
		for _, load := range m.Links().Loads {
			specs = append(specs, load.Spec)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, spec := range specs {
		if t := f.targets[spec]; t.Path != "" {
			all = append(all, t.Path)
		}
		if c := f.choices[spec]; c != nil {
			all = append(all, c.files...)
		}
	}
	return all
}

// DeclaresType reports whether a file declares a type with that name. Types
// leave no trace in the parsed text, and a re-export may name one without
// `type`.
func (p *Program) DeclaresType(path, name string) bool {
	src := p.read(path).src
	for at := 0; ; {
		i := bytes.Index(src[at:], []byte(name))
		if i < 0 {
			return false
		}
		at += i + len(name)
		if at < len(src) && isWordByte(src[at]) {
			continue
		}
		before := bytes.TrimRight(src[:at-len(name)], " \t\r\n")
		for _, keyword := range []string{"type", "interface"} {
			rest, ok := bytes.CutSuffix(before, []byte(keyword))
			if ok && (len(rest) == 0 || !isWordByte(rest[len(rest)-1])) && len(before) < at-len(name) {
				return true
			}
		}
	}
}
