package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// stream is a parsed file: its documents, and the positions of its scalars.
type stream struct {
	src  []byte
	docs []*yaml.Node // of kind DocumentNode
	// json maps each JSON string to the position of its text between the quotes. It
	// is nil for YAML, where spans are computed when needed.
	json    map[*yaml.Node]span
	aliases bool // whether the file contains aliases
}

// span is a range of bytes, from start up to but not including end.
type span struct{ start, end int }

var bom = []byte("\xef\xbb\xbf")

// parse reads a file like kubectl: as JSON if it begins with a brace and is valid
// JSON, otherwise as YAML (apimachinery, pkg/util/yaml/decoder.go).
func parse(src []byte, file string) (*stream, error) {
	if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) || bytes.IndexByte(src, 0) >= 0 {
		return nil, &pipeline.Finding{
			Code: codeManifestEncoding, Severity: pipeline.Error, Where: file,
			What: "the manifest is not UTF-8 text", Why: "it contains a UTF-16 byte order mark or zero bytes",
			Fix: "save it as UTF-8",
		}
	}
	if line, b, ok := notUTF8(src); ok {
		return nil, &pipeline.Finding{
			Code:     codeManifestEncoding,
			Severity: pipeline.Error,
			Where:    place(file, line),
			What:     "the manifest is not UTF-8 text",
			Why:      fmt.Sprintf("it contains the byte 0x%02X, which Latin-1 and Windows-1252 use for letters with accents", b),
			Fix:      "save it as UTF-8",
		}
	}
	if t := bytes.TrimLeft(bytes.TrimPrefix(src, bom), " \t\r\n"); bytes.HasPrefix(t, []byte("{")) {
		if s, err := parseJSON(src); err == nil {
			return s, nil
		}
	}
	s, err := parseYAML(src)
	if err != nil {
		return nil, notYAML(src, file, err)
	}
	return s, nil
}

// notUTF8 returns the line and the value of the first byte that is not UTF-8.
func notUTF8(src []byte) (line int, b byte, found bool) {
	if utf8.Valid(src) {
		return 0, 0, false
	}
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size == 1 {
			return bytes.Count(src[:i], []byte("\n")) + 1, src[i], true
		}
		i += size
	}
	return 0, 0, false
}

func parseYAML(src []byte) (s *stream, err error) {
	// The parser panics on some inputs that it should refuse ("internal error …
	// please report"). Report that as an invalid file.
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	s = &stream{src: src}
	for dec := yaml.NewDecoder(bytes.NewReader(src)); ; {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return s, nil
		case err != nil:
			return nil, err
		}
		s.docs = append(s.docs, &doc)
		s.aliases = s.aliases || hasAlias(&doc)
	}
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// template matches the expressions of template engines and envsubst.
var template = lazyregexp.New(`\{\{|\{%|<%|\$[({A-Za-z_]|__[A-Z_]+__|@[A-Z_]+@`)

var yamlLine = lazyregexp.New(`line (\d+)`)

func notYAML(src []byte, file string, err error) *pipeline.Finding {
	f := &pipeline.Finding{
		Code: codeManifestNotYAML, Severity: pipeline.Error, Where: file,
		What: "the manifest is neither YAML nor JSON",
		Why:  strings.TrimPrefix(termtext.Line(err.Error()), "yaml: "),
		Fix:  "correct it; `kubectl apply --dry-run=client -f FILE` reads it the same way",
		Err:  err,
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		f.Where = place(file, atoi(m[1]))
	}
	for i, line := range strings.Split(string(src), "\n") {
		if strings.Contains(line, "{{") || strings.Contains(line, "{%") || strings.Contains(line, "<%") {
			f.Code = codeManifestTemplate
			f.Where = place(file, i+1)
			f.What = "the manifest is a template, not YAML"
			f.Fix = "give the rendered file with -f, or use --image-only, which changes only the live object's image"
			break
		}
	}
	return f
}

// parseJSON reads a sequence of JSON objects into the same kind of tree as YAML.
// The YAML parser could read most JSON, but not surrogate pairs (\ud83d\ude00),
// which encoders write.
func parseJSON(src []byte) (*stream, error) {
	s := &stream{src: src, json: map[*yaml.Node]span{}}
	skip := len(src) - len(bytes.TrimPrefix(src, bom))
	b := &jsonBuilder{stream: s, dec: json.NewDecoder(bytes.NewReader(src[skip:])), base: skip, line: 1}
	b.dec.UseNumber()
	for {
		n, err := b.value(0)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		s.docs = append(s.docs, &yaml.Node{Kind: yaml.DocumentNode, Line: n.Line, Content: []*yaml.Node{n}})
	}
}

type jsonBuilder struct {
	stream     *stream
	dec        *json.Decoder
	base       int // offset of the decoder's first byte in the file
	line, upTo int // line of the byte at upTo
}

const maxDepth = 1000

func (b *jsonBuilder) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	tok, err := b.dec.Token()
	if err != nil {
		return nil, err
	}
	end := b.base + int(b.dec.InputOffset())
	b.line += bytes.Count(b.stream.src[b.upTo:end], []byte("\n"))
	b.upTo = end
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: b.line}
	switch v := tok.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if v == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for b.dec.More() {
			child, err := b.value(depth + 1)
			if err != nil {
				return nil, noEOF(err)
			}
			n.Content = append(n.Content, child)
		}
		if _, err := b.dec.Token(); err != nil {
			return nil, noEOF(err)
		}
	case string:
		n.Tag, n.Value, n.Style = "!!str", v, yaml.DoubleQuotedStyle
		// The token ends at its closing quote. The opening quote is the nearest one
		// before it that is not escaped.
		start := end - 1
		for start--; !opens(b.stream.src, start); start-- {
		}
		b.stream.json[n] = span{start + 1, end - 1}
	case json.Number:
		n.Tag, n.Value = "!!float", v.String()
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(v)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

// opens reports whether src[i] is a quote that is not escaped, that is, not
// preceded by an odd number of backslashes. An opening quote is preceded by
// punctuation, never by a backslash.
func opens(src []byte, i int) bool {
	if src[i] != '"' {
		return false
	}
	n := 0
	for j := i - 1; j >= 0 && src[j] == '\\'; j-- {
		n++
	}
	return n%2 == 0
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// place returns FILE:LINE, or as much of it as is known.
func place(file string, line int) string {
	if file == "" {
		file = "manifest"
	}
	if line <= 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}

func atoi(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
