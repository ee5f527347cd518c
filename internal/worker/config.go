package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/editdistance"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// ConfigName is the file at a repository's root that describes its workers.
const ConfigName = ".sbw.yaml"

// Config is a repository's configuration of its workers.
type Config struct {
	// Path of the file that was read; empty if there is none.
	Path    string
	workers map[string]Worker
}

// Load reads root/.sbw.yaml; a repository without one only has the defaults.
// All errors in the file are returned at once, as joined *pipeline.Finding with
// the code "config", file and line.
func Load(root string) (*Config, error) {
	path := filepath.Join(root, ConfigName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return &Config{}, nil
	}
	// A dangling link is an error: falling back to the defaults might select another
	// worker. Reading a pipe would wait for its writer.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	var src []byte
	if err == nil {
		src, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, &pipeline.Finding{Code: codeConfig, Severity: pipeline.Error, End: pipeline.Usage,
			What: "cannot read " + ConfigName, Why: err.Error(), Fix: "make it readable, or remove it to use the defaults", Err: err}
	}
	c, err := Parse(ConfigName, src)
	if c != nil {
		c.Path = path
	}
	return c, err
}

// Parse reads the text of a configuration; name is used in findings.
func Parse(name string, src []byte) (*Config, error) {
	r := &reader{name: name, src: src, values: map[string]*yaml.Node{}}
	if err := r.encoding(src); err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, r.syntax(err)
	}
	if err := r.onlyOne(dec); err != nil {
		return nil, err
	}
	c := &Config{workers: map[string]Worker{}}
	if len(doc.Content) == 0 {
		return c, nil
	}
	top := doc.Content[0]
	if isNull(top) {
		return c, nil
	}
	if !r.mapping(top, "the configuration") {
		return nil, errors.Join(r.errs...)
	}
	r.pairs(top, []string{"workers"}, "", func(key string, val *yaml.Node) {
		if isNull(val) {
			return
		}
		if !r.mapping(val, "workers") {
			return
		}
		r.pairs(val, nil, "workers", func(worker string, body *yaml.Node) {
			w := Default(worker)
			if !isNull(body) {
				r.into(body, "workers."+worker, reflect.ValueOf(&w).Elem())
			}
			r.settle(worker, &w)
			r.check(body, worker, &w)
			c.workers[worker] = w
		})
	})
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return c, nil
}

// Names returns the sorted names of the configured workers, or the default name if there is
// no configuration.
func (c *Config) Names() []string {
	if len(c.workers) == 0 {
		return []string{DefaultName}
	}
	names := make([]string, 0, len(c.workers))
	for n := range c.workers {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Worker returns the worker with that name. An empty name means the only worker, or the
// default one. The error is a Finding with the code "worker-unknown" or "worker-ambiguous",
// which lists the names.
func (c *Config) Worker(name string) (Worker, error) {
	names := c.Names()
	if name == "" {
		switch {
		case len(names) == 1:
			name = names[0]
		case slices.Contains(names, DefaultName):
			name = DefaultName
		default:
			return Worker{}, pipeline.UsageErrorf(codeWorkerAmbiguous, "choose one with --worker: "+units.List(names),
				"%s describes %d workers", ConfigName, len(names))
		}
	}
	if w, ok := c.workers[name]; ok {
		return w, nil
	}
	if len(c.workers) == 0 && name == DefaultName {
		return Default(name), nil
	}
	where := "no " + ConfigName + " describes it"
	if c.Path != "" {
		where = ConfigName + " has " + units.List(names)
	}
	fix := "add it under workers: in " + ConfigName + " at the repository's root"
	if near := editdistance.Nearest(name, names); near != "" {
		fix = "did you mean " + near + "?"
	}
	f := pipeline.UsageErrorf(codeWorkerUnknown, fix, "no worker is named %q", name)
	f.Why = where
	return Worker{}, f
}

// onlyOne refuses a second document, because its author would expect it to be
// used.
func (r *reader) onlyOne(dec *yaml.Decoder) error {
	for {
		var more yaml.Node
		switch err := dec.Decode(&more); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return r.syntax(err)
		case len(more.Content) > 0 && !isNull(more.Content[0]):
			r.fail(&more, "put all workers below one workers: key, without ---", "a second YAML document begins here")
			return errors.Join(r.errs...)
		}
	}
}

// settle drops defaults that contradict the file.
func (r *reader) settle(name string, w *Worker) {
	if r.values["workers."+name+".catalog.indexes"] == nil && w.Inngest.Off {
		w.Catalog.Indexes = nil
	}
	if n := r.values["workers."+name+".probe.path"]; (n == nil || isNull(n)) && !w.Probe.Asks() {
		w.Probe.Path = ""
	}
}

// Choice returns a note about which of several workers an empty name means. It is "" if
// name is set or there is nothing to choose.
func (c *Config) Choice(name string) string {
	others := slices.DeleteFunc(c.Names(), func(n string) bool { return n == DefaultName })
	if name != "" || len(others) == 0 || len(others) == len(c.workers) {
		return ""
	}
	return fmt.Sprintf(
		"worker %s, the default of %s; choose another one with --worker: %s",
		DefaultName,
		ConfigName,
		units.List(others),
	)
}

type reader struct {
	name   string
	src    []byte
	errs   []error
	values map[string]*yaml.Node // by their full key
}

func (r *reader) fail(n *yaml.Node, fix, format string, args ...any) {
	f := pipeline.UsageErrorf(codeConfig, fix, format, args...)
	f.Where = fmt.Sprintf("%s:%d", r.name, n.Line)
	r.errs = append(r.errs, f)
}

// encoding refuses a file that is not UTF-8. The YAML parser reads UTF-16 if the file
// begins with a byte order mark, and otherwise complains about characters that are not in
// the user's text.
func (r *reader) encoding(src []byte) error {
	if bytes.HasPrefix(src, []byte{0xff, 0xfe}) || bytes.HasPrefix(src, []byte{0xfe, 0xff}) {
		return nil
	}
	is, at := "", 0
	if at = bytes.IndexByte(src, 0); at >= 0 {
		is = "UTF-16 without a byte order mark"
	} else if !utf8.Valid(src) {
		is = "Latin-1 (ISO 8859-1) or Windows-1252"
		for at = 0; at < len(src); {
			c, n := utf8.DecodeRune(src[at:])
			if c == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
	}
	if is == "" {
		return nil
	}
	f := pipeline.UsageErrorf(codeConfig, "save it as UTF-8", "the file is not UTF-8 but probably %s", is)
	f.Where = fmt.Sprintf("%s:%d", r.name, 1+bytes.Count(src[:at], []byte{'\n'}))
	return f
}

// syntax rewords an error of the YAML parser, which begins with the line number.
func (r *reader) syntax(err error) error {
	why := strings.TrimPrefix(err.Error(), "yaml: ")
	where := r.name
	var line int
	if n, _ := fmt.Sscanf(why, "line %d: ", &line); n == 1 {
		where = fmt.Sprintf("%s:%d", r.name, line)
		_, why, _ = strings.Cut(why, ": ")
	} else if m := unknownAnchor.FindStringSubmatch(why); m != nil {
		where = r.lineOf("*" + m[1])
	}
	return &pipeline.Finding{Code: codeConfig, Severity: pipeline.Error, End: pipeline.Usage, Where: where,
		What: "the file is not valid YAML", Why: why, Fix: "correct that line", Err: err}
}

// unknownAnchor matches the one error of the parser that does not name a line.
var unknownAnchor = lazyregexp.New(`^unknown anchor '(.+)' referenced`)

// lineOf returns the place of the first line that contains word.
func (r *reader) lineOf(word string) string {
	for i, line := range strings.Split(string(r.src), "\n") {
		if slices.Contains(strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\r,[]{}", c) }), word) {
			return fmt.Sprintf("%s:%d", r.name, i+1)
		}
	}
	return r.name
}
