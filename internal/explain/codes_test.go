package explain

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const module = "github.com/joelhooks/gh-sbw/"

// TestEveryCodeHasItsEntry asks the type checker for every constant of type
// pipeline.Code in the module. A code that is computed, or written as text where it is
// used, fails the test: nobody could find it by its name.
func TestEveryCodeHasItsEntry(t *testing.T) {
	used, unnamed := codesIn(t)
	for _, where := range unnamed {
		t.Errorf("%s: this code has no name; make it a constant of type pipeline.Code", where)
	}
	if len(used) < 50 {
		t.Fatalf("only %d codes found: the search no longer matches the source", len(used))
	}
	has := map[string]bool{}
	for _, e := range List() {
		has[e.Code] = true
		if _, inUse := used[e.Code]; !inUse {
			t.Errorf("no finding has the code of the entry %q: remove the entry", e.Code)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(used)) {
		if !has[code] {
			t.Errorf("%s: code %q has no entry", used[code], code)
		}
	}
}

// codesIn maps each code of the module to a position that uses it, and lists the
// places where something else than a named constant becomes a code.
func codesIn(t *testing.T) (used map[string]string, unnamed []string) {
	t.Helper()
	found, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports,
		Dir:  require.Sources(t),
	}, "./cmd/...", "./internal/...")
	if err != nil {
		t.Fatal(err)
	}
	used = map[string]string{}
	for _, pkg := range found {
		if strings.HasPrefix(pkg.PkgPath, module+"internal/sandbox") || pkg.PkgPath == module+"internal/explain" {
			continue
		}
		for _, e := range pkg.Errors {
			t.Errorf("%s: %s", pkg.PkgPath, e)
		}
		named := constants(pkg)
		for e, tv := range pkg.TypesInfo.Types {
			where := pkg.Fset.Position(e.Pos()).String()
			call, isCall := e.(*ast.CallExpr)
			_, isText := e.(*ast.BasicLit)
			switch {
			case !isCode(tv.Type):
			case tv.Value != nil:
				code := constant.StringVal(tv.Value)
				if code != "" {
					used[code] = where
				}
				if isText && code != "" && !named[e.Pos()] {
					unnamed = append(unnamed, where)
				}
			case isCall && pkg.TypesInfo.Types[call.Fun].IsType():
				unnamed = append(unnamed, where)
			}
		}
	}
	return used, unnamed
}

// constants returns the positions of the values in the package's declarations of constants.
func constants(pkg *packages.Package) map[token.Pos]bool {
	at := map[token.Pos]bool{}
	for _, file := range pkg.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				return true
			}
			for _, spec := range decl.Specs {
				for _, v := range spec.(*ast.ValueSpec).Values {
					at[v.Pos()] = true
				}
			}
			return false
		})
	}
	return at
}

func isCode(t types.Type) bool {
	named, ok := t.(*types.Named)
	return ok && named.Obj().Name() == "Code" && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == module+"internal/pipeline"
}
