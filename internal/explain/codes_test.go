package explain

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryCodeHasItsEntry reads the module's source for the codes that
// findings are made with. A code that is handed through a function's parameter
// or a variable is followed to the literals; one that cannot be followed fails
// the test, since it could not be looked up in the source either.
func TestEveryCodeHasItsEntry(t *testing.T) {
	used, lost := codesIn(t, "../..")
	for _, where := range lost {
		t.Errorf("%s: the code cannot be followed to a literal", where)
	}
	if len(used) < 50 {
		t.Fatalf("only %d codes found: the search no longer fits the source", len(used))
	}
	has := map[string]bool{}
	for _, e := range List() {
		has[e.Code] = true
		_, inUse := used[e.Code]
		switch {
		case !inUse:
			t.Errorf("the entry %q is of no finding: remove it", e.Code)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(used)) {
		if !has[code] {
			t.Errorf("%s: code %q has no entry", used[code], code)
		}
	}
}

// codesIn maps each code under root to a place that uses it.
func codesIn(t *testing.T, root string) (used map[string]string, lost []string) {
	t.Helper()
	used = map[string]string{}
	files := map[string][]*ast.File{}
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "sandbox" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root):
			return filepath.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		files[dir] = append(files[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, pkg := range files {
		if strings.HasSuffix(dir, "internal/explain") {
			continue
		}
		s := &search{set: set, used: used, files: pkg, makers: map[maker]bool{}, pipeline: strings.HasSuffix(dir, "internal/pipeline")}
		for known := -1; known < len(s.makers); { // until no further maker is found
			known = len(s.makers)
			s.lost = nil
			for _, f := range pkg {
				s.file(f)
			}
		}
		lost = append(lost, s.lost...)
	}
	return used, lost
}

// maker is a function that makes a finding of the code in one of its arguments.
// One that is a literal is known only inside of the function that holds it.
type maker struct {
	name  string
	arg   int
	scope *ast.FuncDecl
}

type search struct {
	set      *token.FileSet
	files    []*ast.File
	used     map[string]string
	makers   map[maker]bool
	lost     []string
	pipeline bool // in package pipeline itself, Finding needs no qualifier
}

func (s *search) file(f *ast.File) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			s.walk(d, nil)
			continue
		}
		if fn.Body != nil {
			s.walk(fn.Body, fn)
		}
	}
}

func (s *search) walk(root ast.Node, in *ast.FuncDecl) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if s.isFinding(n.Type) {
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok && isIdent(kv.Key, "Code") {
						s.code(kv.Value, in)
					}
				}
			}
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if sel, ok := l.(*ast.SelectorExpr); ok && sel.Sel.Name == "Code" && i < len(n.Rhs) && s.isText(n.Rhs[i]) {
					s.code(n.Rhs[i], in)
				}
			}
		case *ast.CallExpr:
			name := ""
			switch fun := n.Fun.(type) {
			case *ast.Ident:
				name = fun.Name
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			}
			if name == "UsageErrorf" && len(n.Args) > 0 {
				s.code(n.Args[0], in)
			}
			for m := range maps.Keys(s.makers) {
				if m.name == name && m.arg < len(n.Args) && (m.scope == nil || m.scope == in) {
					s.code(n.Args[m.arg], in)
				}
			}
		}
		return true
	})
}

// isFinding knows the types whose Code is shown to users: pipeline.Finding,
// and those that become one.
func (s *search) isFinding(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.SelectorExpr:
		return t.Sel.Name == "Finding" || t.Sel.Name == "Cause"
	case *ast.Ident:
		return t.Name == "Cause" || s.pipeline && t.Name == "Finding"
	case nil: // an element of a slice of them
		return true
	}
	return false
}

// isText tells an assigned code from an HTTP status that has the same name.
func (s *search) isText(e ast.Expr) bool {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		return sel.Sel.Name == "code"
	}
	return isString(e)
}

// code takes a code's expression: a literal, a parameter of the function
// around it, which makes that function a maker, a variable of it, or the field
// "code" of one of the package's own tables.
func (s *search) code(e ast.Expr, in *ast.FuncDecl) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && text != "" {
			s.used[text] = s.set.Position(e.Pos()).String()
		}
		return
	case *ast.SelectorExpr:
		if e.Sel.Name == "Code" || e.Sel.Name == "code" && s.tables() { // handed on from another finding
			return
		}
	case *ast.Ident:
		if in != nil && (s.inner(e, in) || s.parameter(e.Name, in.Name.Name, in.Type, nil) || s.variable(e, in)) {
			return
		}
	}
	s.lost = append(s.lost, s.set.Position(e.Pos()).String())
}

// inner looks for the parameter of a function literal that has a name.
func (s *search) inner(e *ast.Ident, in *ast.FuncDecl) bool {
	found := false
	ast.Inspect(in.Body, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || len(a.Lhs) != 1 || len(a.Rhs) != 1 {
			return true
		}
		name, isName := a.Lhs[0].(*ast.Ident)
		lit, isLit := a.Rhs[0].(*ast.FuncLit)
		if isName && isLit && lit.Pos() < e.Pos() && e.Pos() < lit.End() {
			found = found || s.parameter(e.Name, name.Name, lit.Type, in)
		}
		return true
	})
	return found
}

func (s *search) parameter(name, function string, of *ast.FuncType, scope *ast.FuncDecl) bool {
	i := 0
	for _, field := range of.Params.List {
		for _, n := range field.Names {
			if n.Name == name {
				s.makers[maker{function, i, scope}] = true
				return true
			}
			i++
		}
	}
	return false
}

// variable looks for what a variable is given: by the innermost range around
// its use, else by assignments of literals.
func (s *search) variable(e *ast.Ident, in *ast.FuncDecl) bool {
	var ranged *ast.CompositeLit
	var assigned []ast.Expr
	ast.Inspect(in.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.RangeStmt:
			lit, ok := n.X.(*ast.CompositeLit)
			if ok && n.Value != nil && isIdent(n.Value, e.Name) && n.Pos() < e.Pos() && e.Pos() < n.End() {
				ranged = lit
			}
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if isIdent(l, e.Name) && len(n.Lhs) == len(n.Rhs) && isString(n.Rhs[i]) {
					assigned = append(assigned, n.Rhs[i])
				}
			}
		}
		return true
	})
	if ranged != nil {
		assigned = nil
		for _, elt := range ranged.Elts {
			if kv, ok := elt.(*ast.KeyValueExpr); ok {
				elt = kv.Value
			}
			assigned = append(assigned, elt)
		}
	}
	for _, a := range assigned {
		s.code(a, nil)
	}
	return len(assigned) > 0
}

// tables takes the literals for the field "code" out of the package's tables
// of structs.
func (s *search) tables() bool {
	found := false
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			var elem ast.Expr
			switch t := lit.Type.(type) {
			case *ast.MapType:
				elem = t.Value
			case *ast.ArrayType:
				elem = t.Elt
			}
			at := fieldIndex(elem, "code")
			for _, row := range lit.Elts {
				if kv, ok := row.(*ast.KeyValueExpr); ok {
					row = kv.Value
				}
				cells, ok := row.(*ast.CompositeLit)
				for i := 0; ok && i < len(cells.Elts); i++ {
					if kv, keyed := cells.Elts[i].(*ast.KeyValueExpr); keyed && isIdent(kv.Key, "code") {
						s.code(kv.Value, nil)
						found = true
					}
				}
				if ok && at >= 0 && at < len(cells.Elts) {
					s.code(cells.Elts[at], nil)
					found = true
				}
			}
			return true
		})
	}
	return found
}

// fieldIndex is where a struct has a field, -1 where it has not.
func fieldIndex(t ast.Expr, name string) int {
	st, ok := t.(*ast.StructType)
	if !ok {
		return -1
	}
	i := 0
	for _, f := range st.Fields.List {
		for _, n := range f.Names {
			if n.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func isString(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}
