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

// maxModule is the largest size of a file that is parsed. Handwritten code is
// far smaller; larger files are generated tables, which do not define
// functions.
const maxModule = 1 << 20

// Module is one parsed file.
type Module struct {
	Path string // absolute
	Rel  string // for messages
	Body []js.IStmt

	code    []byte // JavaScript that the tokens in Body point into
	mapping *sourceMap
	before  int // the number of lines in the file before the text that was parsed
	bodies  []*body
}

// body is the body of a function, which is parsed when the function is called.
type body struct {
	text   []byte
	line   int
	once   sync.Once
	module *Module
	bad    error
}

// Refusal describes why and where a file cannot be read.
type Refusal struct {
	Line int
	Why  string
}

func (r *Refusal) Error() string { return r.Why }

// Module parses a file, only once. The error is a *Refusal, ErrNoModule, or
// the error of reading the file.
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
		bodies = nil // the lexer does not support JSX
	}
	short := outline(f.src, bodies)
	left := len(short) != len(f.src)
	if left {
		short = append(short, uses(f.src, bodies, f.scan.imported)...)
	}
	m, err := parseText(short, loader)
	if left {
		if err != nil || m.mapping.renames() {
			// The lexer may have been wrong; only parsing the whole text can
			// show that. And where esbuild renames what hides another name, a body
			// that was left out would keep the old name.
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

// dropUses removes the statement that uses added.
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
		// Newer syntax (decorators, using, the v flag) is lowered for the
		// parser.
		Target:         api.ES2022,
		Sourcemap:      api.SourceMapExternal,
		SourcesContent: api.SourcesContentExclude,
		LegalComments:  api.LegalCommentsNone,
		Charset:        api.CharsetUTF8,
		LogLevel:       api.LogLevelSilent,
		// The folder and the compiler options do not affect what is evaluated,
		// and looking for a tsconfig.json would read the disk again.
		// Decorators of parameters are supported only in their older form.
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
	// The parser needs a NUL after the end and would otherwise copy the text.
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

// parseJS turns a panic of the parser into an error, so that the file counts
// as unreadable and the process continues.
func parseJS(code []byte) (ast *js.AST, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser failed: %v", r)
		}
	}()
	return js.Parse(parse.NewInputBytes(code), js.Options{})
}

// Function returns the statements in a function's body and the module that
// determines their places. These are m and list themselves, unless the body
// was left out when m was parsed. The error is a *Refusal.
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
	// When esbuild lowers syntax, it may put helpers before the function.
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

// Line returns the line in the file (from 1) of a token, which must be a slice
// of the syntax tree and so points into the parsed text. It returns 0 for
// other slices.
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

// Find returns the first occurrence of text after a token in the parsed text,
// or from the start if there is no token. It returns nil if there is none.
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

// findWord is like Find for a text that begins with a word boundary and,
// unless its last byte is a bracket, ends with one.
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

// offset returns where a token begins in the parsed text, or -1.
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
