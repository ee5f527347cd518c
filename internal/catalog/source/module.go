package source

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/js"
)

// maxModule is the size up to which a file is parsed. Written code stays far
// below; beyond it lie generated tables, which no function is defined in.
const maxModule = 1 << 20

// Module is one parsed file.
type Module struct {
	Path string // absolute
	Rel  string // for people
	Body []js.IStmt

	code    []byte // JavaScript that Body points into
	mapping *sourceMap
}

// Refusal says why a file cannot be read, and where.
type Refusal struct {
	Line int
	Why  string
}

func (r *Refusal) Error() string { return r.Why }

// Module parses a file; it does so once. The error is a *Refusal, ErrNoModule,
// or the error of reading it.
func (p *Program) Module(path string) (*Module, error) {
	f := p.read(path)
	p.parse(f)
	return f.module, f.bad
}

func (p *Program) parse(f *file) {
	f.parse.Do(func() {
		p.slots <- struct{}{}
		defer func() { <-p.slots }()
		f.module, f.bad = parseFile(f)
		if f.module != nil {
			f.module.Rel = p.Rel(f.path)
		}
		f.src = nil
	})
}

func loaderOf(path string) api.Loader {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".ts", ".mts", ".cts":
		return api.LoaderTS
	case ".tsx":
		return api.LoaderTSX
	case ".js", ".mjs", ".cjs", ".jsx":
		return api.LoaderJSX
	case ".json":
		return api.LoaderJSON
	}
	return api.LoaderNone
}

func parseFile(f *file) (*Module, error) {
	loader := loaderOf(f.path)
	switch {
	case f.err != nil:
		return nil, f.err
	case loader == api.LoaderNone:
		return nil, ErrNoModule
	case len(f.src) > maxModule:
		return nil, &Refusal{Line: 1, Why: fmt.Sprintf("it is larger than %d KiB", maxModule>>10)}
	case f.scan.tooDeep > 0:
		return nil, &Refusal{Line: f.scan.tooDeep, Why: "it nests too deeply"}
	}
	out := api.Transform(string(f.src), api.TransformOptions{
		Loader: loader,
		// What is newer (decorators, using, the v flag) is lowered, for the
		// parser's sake.
		Target:         api.ES2022,
		Format:         api.FormatESModule,
		Sourcemap:      api.SourceMapExternal,
		SourcesContent: api.SourcesContentExclude,
		LegalComments:  api.LegalCommentsNone,
		Charset:        api.CharsetUTF8,
		LogLevel:       api.LogLevelSilent,
		// Neither folder nor compiler options change what is evaluated, and
		// looking for a tsconfig.json would read the disk again.
		TsconfigRaw: `{}`,
	})
	if len(out.Errors) > 0 {
		e := out.Errors[0]
		r := &Refusal{Line: 1, Why: e.Text}
		if e.Location != nil {
			r.Line = e.Location.Line
		}
		return nil, r
	}
	// The parser wants a NUL after the end and would copy to have it.
	code := append(out.Code, 0)[:len(out.Code)]
	m := &Module{Path: f.path, code: code, mapping: &sourceMap{text: out.Map}}
	ast, err := js.Parse(parse.NewInputBytes(code), js.Options{})
	if err != nil {
		r := &Refusal{Line: 1, Why: err.Error()}
		if e, ok := errors.AsType[*parse.Error](err); ok {
			r.Line, r.Why = m.mapping.line(e.Line-1, e.Column-1), e.Message
		}
		return nil, r
	}
	m.Body = ast.List
	return m, nil
}

// Line is the line in the file (from 1) of a token: a slice of the syntax
// tree, all of which point into the text that was parsed. It is 0 for a slice
// that does not.
func (m *Module) Line(token []byte) int {
	if len(token) == 0 || len(m.code) == 0 {
		return 0
	}
	base := uintptr(unsafe.Pointer(unsafe.SliceData(m.code)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(token)))
	if at < base || at >= base+uintptr(len(m.code)) {
		return 0
	}
	line, column := 0, int(at-base)
	for i, c := range m.code[:at-base] {
		if c == '\n' {
			line++
			column = int(at-base) - i - 1
		}
	}
	return m.mapping.line(line, column)
}
