package source

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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
	before  int // lines of the file before the text that was parsed
	bodies  []*body
}

// body is a function's body that is parsed when the function is called.
type body struct {
	text   []byte
	line   int
	once   sync.Once
	module *Module
	bad    error
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
	bodies := f.scan.bodies
	if loader != api.LoaderTS && loader != api.LoaderJSX || loader == api.LoaderJSX && bytes.Contains(f.src, []byte("</")) {
		bodies = nil // the lexer does not know JSX
	}
	short := outline(f.src, bodies)
	left := len(short) != len(f.src)
	if left {
		short = append(short, uses(f.src, bodies, f.scan.imported)...)
	}
	m, err := parseText(short, loader)
	if left {
		if err != nil {
			// Perhaps the lexer was mistaken: only parsing the whole text can show it.
			m, err = parseText(f.src, loader)
		} else {
			for _, b := range bodies {
				m.bodies = append(m.bodies, &body{text: f.src[b.from:b.to], line: b.line})
			}
			m.dropUses()
		}
	}
	if err != nil {
		return nil, err
	}
	m.Path = f.path
	return m, nil
}

// dropUses takes away the statement that uses made.
func (m *Module) dropUses() {
	n := len(m.Body)
	if n == 0 {
		return
	}
	if st, ok := m.Body[n-1].(*js.ExprStmt); ok {
		if call, ok := st.Value.(*js.CallExpr); ok {
			if name, ok := call.X.(*js.Var); ok && string(name.Data) == usedName {
				m.Body = m.Body[:n-1]
			}
		}
	}
}

// parseText parses TypeScript or JavaScript. The error is a *Refusal.
func parseText(text []byte, loader api.Loader) (*Module, error) {
	out := api.Transform(string(text), api.TransformOptions{
		Loader: loader,
		// What is newer (decorators, using, the v flag) is lowered, for the
		// parser's sake.
		Target:         api.ES2022,
		Sourcemap:      api.SourceMapExternal,
		SourcesContent: api.SourcesContentExclude,
		LegalComments:  api.LegalCommentsNone,
		Charset:        api.CharsetUTF8,
		LogLevel:       api.LogLevelSilent,
		// Neither folder nor compiler options change what is evaluated, and
		// looking for a tsconfig.json would read the disk again.
		// Decorators of parameters are read in their older form alone.
		TsconfigRaw: `{"compilerOptions": {"experimentalDecorators": true}}`,
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
	m := &Module{code: code, mapping: &sourceMap{text: out.Map}}
	ast, err := parseJS(code)
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

// parseJS keeps a mistake of the parser's from ending the process: the file is
// then one that cannot be read.
func parseJS(code []byte) (ast *js.AST, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser failed: %v", r)
		}
	}()
	return js.Parse(parse.NewInputBytes(code), js.Options{})
}

// Function returns the statements of a function's body and the module that
// they are placed by: m and list themselves, unless the body was left out when
// m was parsed. The error is a *Refusal.
func (m *Module) Function(list []js.IStmt) (*Module, []js.IStmt, error) {
	b := m.elided(list)
	if b == nil {
		return m, list, nil
	}
	b.once.Do(func() { b.parse(m) })
	if b.bad != nil {
		return nil, nil, b.bad
	}
	return b.module, b.module.Body, nil
}

// unparsed is the text of a function's body that was left out when m was
// parsed, and nil for any other.
func (m *Module) unparsed(list []js.IStmt) []byte {
	if b := m.elided(list); b != nil {
		return b.text
	}
	return nil
}

func (m *Module) elided(list []js.IStmt) *body {
	if len(list) != 1 || len(m.bodies) == 0 {
		return nil
	}
	st, ok := list[0].(*js.ExprStmt)
	if !ok {
		return nil
	}
	name, ok := st.Value.(*js.Var)
	if !ok || !bytes.HasPrefix(name.Data, []byte(elidedPrefix)) {
		return nil
	}
	n, err := strconv.Atoi(string(name.Data[len(elidedPrefix):]))
	if err != nil || n >= len(m.bodies) {
		return nil
	}
	return m.bodies[n]
}

func (b *body) parse(of *Module) {
	text := append([]byte("(async function*(){"), b.text...)
	text = append(text, "\n})"...)
	m, err := parseText(text, api.LoaderTS)
	if err != nil {
		if r, ok := errors.AsType[*Refusal](err); ok {
			r.Line += b.line - 1
		}
		b.bad = err
		return
	}
	m.Path, m.Rel, m.before = of.Path, of.Rel, b.line-1
	// What esbuild lowers may put helpers before the function.
	for _, st := range m.Body {
		if e, ok := st.(*js.ExprStmt); ok {
			if g, ok := e.Value.(*js.GroupExpr); ok {
				if f, ok := g.X.(*js.FuncDecl); ok {
					m.Body = f.Body.List
					b.module = m
					return
				}
			}
		}
	}
	b.bad = &Refusal{Line: b.line, Why: "its syntax is not understood"}
}

// Line is the line in the file (from 1) of a token: a slice of the syntax
// tree, all of which point into the text that was parsed. It is 0 for a slice
// that does not.
func (m *Module) Line(token []byte) int {
	at := m.offset(token)
	if at < 0 {
		return 0
	}
	line, column := 0, at
	for i, c := range m.code[:at] {
		if c == '\n' {
			line++
			column = at - i - 1
		}
	}
	return m.before + m.mapping.line(line, column)
}

// Find returns the first occurrence of text in what was parsed, from a token
// on; without one, from the start. It is nil where there is none.
func (m *Module) Find(from []byte, text string) []byte {
	start := 0
	if at := m.offset(from); at > 0 {
		start = at
	}
	i := bytes.Index(m.code[start:], []byte(text))
	if i < 0 {
		return nil
	}
	return m.code[start+i : start+i+len(text)]
}

// findWord is Find for a text that begins a word and, unless its last byte is a
// bracket, ends one.
func (m *Module) findWord(from []byte, text string) []byte {
	for {
		found := m.Find(from, text)
		if found == nil {
			return nil
		}
		at := m.offset(found)
		end := at + len(text)
		if (at == 0 || !isWordByte(m.code[at-1])) && (text[len(text)-1] == '(' || end >= len(m.code) || !isWordByte(m.code[end])) {
			return found
		}
		from = m.code[end:]
		if len(from) == 0 {
			return nil
		}
	}
}

// offset is where a token begins in what was parsed, or -1.
func (m *Module) offset(token []byte) int {
	if len(token) == 0 || len(m.code) == 0 {
		return -1
	}
	base := uintptr(unsafe.Pointer(unsafe.SliceData(m.code)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(token)))
	if at < base || at >= base+uintptr(len(m.code)) {
		return -1
	}
	return int(at - base)
}
