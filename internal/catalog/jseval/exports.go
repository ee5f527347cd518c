package jseval

import (
	"fmt"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// exported returns the value that a module exports under a name.
func (m *Machine) exported(mod *module, name string, at Place) Value {
	v, ok := m.findExport(mod, name, at, map[exportKey]bool{})
	if !ok {
		return Undefined{}
	}
	return v
}

type exportKey struct {
	mod  *module
	name string
}

func (m *Machine) findExport(mod *module, name string, at Place, visited map[exportKey]bool) (Value, bool) {
	key := exportKey{mod, name}
	if visited[key] {
		return nil, false
	}
	visited[key] = true
	if mod.source == nil {
		return &Unknown{Why: mod.failed.Why, At: at}, true
	}
	m.evaluate(mod)
	if mod.threw {
		return mod.failed, true
	}
	if ex, ok := mod.exports[name]; ok {
		if ex.cell != nil {
			return m.readCell(ex.cell, name, at, mod), true
		}
		v, ok := m.imported(mod, ex.spec, ex.name, ex.at, visited)
		if !ok && !m.isType(mod, ex.spec, ex.name, map[*module]bool{}) {
			v, ok = m.noExport(ex.spec, ex.name, ex.at), true
		}
		return v, ok
	}
	if mod.common != nil {
		exports := m.commonExports(mod)
		if name == "default" {
			return exports, true
		}
		return m.get(exports, name, at), true
	}
	if name == "default" {
		return nil, false
	}
	var open Value
	var found []Value
	for _, spec := range mod.links.Stars {
		t := m.resolve(mod, spec)
		v, ok := Value(nil), true
		if t.Path == "" {
			v = m.externalImport(spec, name, t, at)
		} else {
			v, ok = m.findExport(m.module(t.Path), name, at, visited)
		}
		switch _, unknown := v.(*Unknown); {
		case unknown && (t.Path == "" || m.module(t.Path).source == nil):
			open = v
		case ok:
			found = append(found, v)
		}
	}
	if len(found) == 0 {
		return open, open != nil
	}
	// The language removes such a name; bundlers and Bun take one of them.
	u := m.unknown("several modules export "+quote(name)+" by export *", Place{Module: mod.source, Token: mod.source.Find(nil, "export *")})
	return m.join(u, found...), true
}

// imported returns what `import {name} from spec` binds in a module.
func (m *Machine) imported(mod *module, spec, name string, at Place, visited map[exportKey]bool) (Value, bool) {
	t := m.resolve(mod, spec)
	if t.Path == "" {
		return m.externalImport(spec, name, t, at), true
	}
	target := m.module(t.Path)
	if name == "*" {
		if target.source == nil {
			return &Unknown{Why: target.failed.Why, At: at}, true
		}
		m.evaluate(target)
		if target.common != nil && len(target.exports) == 0 {
			return m.commonExports(target), true
		}
		return &Namespace{target}, true
	}
	return m.findExport(target, name, at, visited)
}

// load returns the result of import() and require().
func (m *Machine) load(mod *module, of Value, at Place) Value {
	spec, u := m.text(of, at)
	if u != nil {
		u = &Unknown{Why: "it is imported from a module whose name is not known: " + u.Why, At: at, Marked: true, Dynamic: true}
		m.escape(nil, nil, u, at)
		return u
	}
	v, ok := m.imported(mod, spec, "*", at, map[exportKey]bool{})
	if !ok {
		return m.unknown("the module "+quote(spec)+" cannot be found", at)
	}
	return v
}

// noExport returns the value of a name that a module should export but does
// not.
func (m *Machine) noExport(spec, name string, at Place) *Unknown {
	u := m.unknown("the module "+quote(spec)+" exports no "+quote(name), at)
	u.Missing = true
	return u
}

// isType reports whether a name that a module does not export is the name of a
// type in it, or in a module whose exports it re-exports.
func (m *Machine) isType(mod *module, spec, name string, visited map[*module]bool) bool {
	t := m.resolve(mod, spec)
	if t.Path == "" {
		return false
	}
	target := m.module(t.Path)
	if target.source == nil || visited[target] {
		return false
	}
	visited[target] = true
	if m.opts.Program.DeclaresType(t.Path, name) {
		return true
	}
	if ex, ok := target.exports[name]; ok && ex.spec != "" {
		return m.isType(target, ex.spec, ex.name, visited)
	}
	for _, star := range target.links.Stars {
		if m.isType(target, star, name, visited) {
			return true
		}
	}
	return false
}

func (m *Machine) externalImport(spec, name string, t source.Target, at Place) Value {
	if t.Specifier != "" {
		spec = t.Specifier
	}
	if m.opts.External != nil {
		if v, ok := m.opts.External(spec, name); ok {
			return v
		}
	}
	return m.externalValue(t, at)
}

// externalValue returns the value of an export of a package that is not read.
func (m *Machine) externalValue(t source.Target, at Place) *Unknown {
	why := t.Missing
	if why == "" {
		why = fmt.Sprintf("it comes from the package %q, which is not read", t.Package)
	}
	return &Unknown{Why: why, At: at, Missing: t.Missing != ""}
}

// commonExports returns `module.exports`.
func (m *Machine) commonExports(mod *module) Value {
	v, ok := mod.common.Own("exports")
	if !ok {
		return Undefined{}
	}
	return v
}

// commonJS defines `module`, `exports` and `require` of a CommonJS module.
func (m *Machine) commonJS(mod *module, name string) (Value, bool) {
	switch name {
	case "module", "exports", "require":
	default:
		return nil, false
	}
	if name == "require" {
		return NewFunc("require", func(c *Call) Value { return m.load(mod, c.Arg(0), c.At) }), true
	}
	if mod.common == nil {
		mod.common = NewObject("exports", NewObject())
	}
	if name == "module" {
		return mod.common, true
	}
	return m.commonExports(mod), true
}
