package deps

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// once lists what is written in one place, so that copies with small
// differences do not come back.
var once = []struct {
	name    string // a package's member, or a string
	allowed []string
	instead string
}{
	{"os.Rename", []string{"internal/statefile", "internal/release/dist"}, "statefile.Write or statefile.Place"},
	{`"XDG_STATE_HOME"`, []string{"internal/statefile"}, "statefile.StateDir"},
	{"unicode.IsControl", []string{"internal/termtext"}, "termtext.Text, Line or Visible"},
	{"unicode.Cf", []string{"internal/termtext"}, "termtext.Text, Line or Visible"},
	{"unicode.Bidi_Control", []string{"internal/termtext"}, "termtext.Text, Line or Visible"},
	{"time.Sleep", nil, "waiting.For, which a context can end"},
}

// TestOneImplementation checks the product's code; tests and the sandbox may
// do as they like.
func TestOneImplementation(t *testing.T) {
	for _, line := range list(t, "-f", `{{.ImportPath}} {{.Dir}} {{join .GoFiles " "}}`, "./cmd/...", "./internal/...") {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		if strings.HasPrefix(pkg, "internal/sandbox") {
			continue
		}
		for _, file := range fields[2:] {
			for name, pos := range mentions(t, filepath.Join(fields[1], file)) {
				for _, o := range once {
					if o.name == name && !slices.Contains(o.allowed, pkg) {
						t.Errorf("%s: %s: use %s", pos, name, o.instead)
					}
				}
			}
		}
	}
}

// mentions returns the qualified names and the strings in a file, with one position
// of each.
func mentions(t *testing.T, file string) map[string]token.Position {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]token.Position{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				all[x.Name+"."+n.Sel.Name] = set.Position(n.Pos())
			}
		case *ast.BasicLit:
			all[n.Value] = set.Position(n.Pos())
		}
		return true
	})
	return all
}
