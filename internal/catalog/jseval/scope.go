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

// scope contains the bindings of one block. Names are looked up when they are
// used, so a function sees bindings that are declared after it.
type scope struct {
	vars   map[string]*cell
	parent *scope
	frame  *frame
}

// frame is one activation of a function, or a module.
type frame struct {
	module *module
	source *source.Module // determines the places of what it runs
	scope  *scope         // the scope for `var`
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
