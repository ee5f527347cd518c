package jseval

import "github.com/joelhooks/gh-sbw/internal/catalog/source"

// cell is one binding.
type cell struct {
	value Value // nil before it is initialised
	// from is set for an import.
	from *importRef
}

type importRef struct {
	importer   *module
	spec, name string // name "*" for the namespace
	at         Place
}

// scope is one block's bindings. Names are looked up when they are used, so
// that a function sees what is declared after it.
type scope struct {
	vars   map[string]*cell
	parent *scope
	frame  *frame
}

// frame is one function activation, or a module.
type frame struct {
	module *module
	source *source.Module // by which what it runs is placed
	scope  *scope         // where `var` goes
}

func (s *scope) inner() *scope { return &scope{parent: s, frame: s.frame} }

func (s *scope) lookup(name []byte) *cell {
	for at := s; at != nil; at = at.parent {
		if c, ok := at.vars[string(name)]; ok {
			return c
		}
	}
	return nil
}

func (s *scope) declare(name string) *cell {
	if s.vars == nil {
		s.vars = map[string]*cell{}
	}
	c, ok := s.vars[name]
	if !ok {
		c = &cell{}
		s.vars[name] = c
	}
	return c
}
