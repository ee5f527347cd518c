package build

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/editdistance"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// dockerfile is what a preflight needs to know about a Dockerfile: its stages and
// instructions, but not their meaning. The builder's own parser is authoritative,
// so only certain problems are reported here.
type dockerfile struct {
	// frontend is the value of the directive `# syntax=`, which may select a
	// different language.
	frontend string
	args     map[string]string // ARGs before the first FROM, with their defaults
	stages   []stage
}

type stage struct {
	name, base, platform string
	line                 int
	instrs               []instr
}

type instr struct {
	name  string   // upper case
	flags []string // --from=…, without the dashes
	rest  string   // what follows the flags
	words []string // rest, split; also for the JSON form
	line  int
	here  bool // whether it has a heredoc
}

// flag returns the value of a flag of the instruction.
func (in instr) flag(name string) (string, bool) {
	for _, f := range in.flags {
		if k, v, _ := strings.Cut(f, "="); k == name {
			return v, true
		}
	}
	return "", false
}

// syntaxError is an error that the builder would also report.
type syntaxError struct {
	line      int
	what, fix string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// instructions lists those of a Dockerfile (moby/buildkit
// frontend/dockerfile/command).
var instructions = []string{
	"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
	"MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}

var (
	directive = lazyregexp.New(`^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$`)
	heredoc   = lazyregexp.New(`(?:^|[\s(])\d*<<(-?)(["']?)([a-zA-Z_][a-zA-Z0-9_.]*)(["']?)`)
)

// parseDockerfile parses the text of a Dockerfile.
func parseDockerfile(text string) (dockerfile, error) {
	d := dockerfile{args: map[string]string{}}
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	escape := "\\"
	for _, l := range lines {
		m := directive.FindStringSubmatch(strings.TrimRight(l, "\r"))
		if m == nil {
			break
		}
		switch strings.ToLower(m[1]) {
		case "syntax":
			d.frontend = m[2]
		case "escape":
			escape = m[2]
		}
	}
	if !d.plain() {
		return d, nil
	}
	for n := 0; n < len(lines); n++ {
		first := n
		line, more := logical(lines[n], escape)
		if blank(line) && !more {
			continue
		}
		for more && n+1 < len(lines) {
			n++
			if next := strings.TrimSpace(lines[n]); next == "" || strings.HasPrefix(next, "#") {
				continue // comments and empty lines within an instruction
			}
			var part string
			part, more = logical(lines[n], escape)
			line += " " + part
		}
		if blank(line) {
			continue
		}
		in := parseInstr(line, first+1)
		if in.name == "RUN" || in.name == "COPY" || in.name == "ADD" {
			var err error
			if n, err = skipHeredocs(&in, lines, n); err != nil {
				return d, err
			}
		}
		if err := d.add(in); err != nil {
			return d, err
		}
	}
	if len(d.stages) == 0 {
		return d, &syntaxError{1, "it has no FROM", "begin it with FROM and a base image"}
	}
	return d, nil
}

// plain reports whether the frontend is the standard one, in any version.
func (d dockerfile) plain() bool {
	return d.frontend == "" || strings.Contains(d.frontend, "docker/dockerfile")
}

func blank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}

// logical returns a line without its line end, and whether the next line
// continues it.
func logical(line, escape string) (string, bool) {
	line = strings.TrimRight(line, " \t\r")
	if blank(line) {
		return line, false
	}
	cut, more := strings.CutSuffix(line, escape)
	return cut, more
}

func parseInstr(line string, at int) instr {
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if i := strings.IndexByte(name, '\t'); i >= 0 {
		name, rest = name[:i], name[i+1:]+" "+rest
	}
	in := instr{name: strings.ToUpper(name), line: at}
	rest = strings.TrimSpace(rest)
	for strings.HasPrefix(rest, "--") {
		f, more, _ := strings.Cut(rest, " ")
		in.flags = append(in.flags, strings.TrimPrefix(f, "--"))
		rest = strings.TrimSpace(more)
	}
	in.rest = rest
	if !strings.HasPrefix(rest, "[") || json.Unmarshal([]byte(rest), &in.words) != nil {
		in.words = strings.Fields(rest)
	}
	return in
}

// skipHeredocs skips the lines of the instruction's heredocs.
func skipHeredocs(in *instr, lines []string, n int) (int, error) {
	for _, m := range heredoc.FindAllStringSubmatch(in.rest, -1) {
		if m[2] != m[4] {
			continue
		}
		in.here = true
		for n++; ; n++ {
			if n >= len(lines) {
				return n, &syntaxError{in.line, "its heredoc " + m[3] + " does not end", "end it with a line that says " + m[3]}
			}
			l := strings.TrimRight(lines[n], "\r")
			if m[1] == "-" {
				l = strings.TrimLeft(l, "\t")
			}
			if l == m[3] {
				break
			}
		}
	}
	return n, nil
}

// add puts an instruction into its stage.
func (d *dockerfile) add(in instr) error {
	if !slices.Contains(instructions, in.name) {
		e := &syntaxError{in.line, "unknown instruction " + in.name, "correct that line"}
		if near := editdistance.Nearest(in.name, instructions); near != "" {
			e.fix = "did you mean " + near + "?"
		}
		return e
	}
	switch {
	case in.name == "FROM":
		s := stage{line: in.line}
		s.platform, _ = in.flag("platform")
		if len(in.words) == 0 {
			return &syntaxError{in.line, "FROM does not name a base image", "name a base image"}
		}
		s.base = in.words[0]
		if len(in.words) == 3 && strings.EqualFold(in.words[1], "AS") {
			s.name = strings.ToLower(in.words[2])
		}
		d.stages = append(d.stages, s)
	case len(d.stages) == 0 && in.name == "ARG":
		for _, w := range in.words {
			k, v, _ := strings.Cut(w, "=")
			d.args[k] = strings.Trim(v, `"'`)
		}
	case len(d.stages) == 0:
		return &syntaxError{in.line, in.name + " comes before the first FROM", "begin with FROM; only ARG may come before it"}
	default:
		s := &d.stages[len(d.stages)-1]
		s.instrs = append(s.instrs, in)
	}
	return nil
}

// find returns the index of the stage before limit that has the given name or
// number; -1 if there is none.
func (d dockerfile) find(name string, limit int) int {
	name = strings.ToLower(name)
	for i := min(limit, len(d.stages)) - 1; i >= 0; i-- {
		if d.stages[i].name == name && name != "" {
			return i
		}
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < limit && n < len(d.stages) {
		return n
	}
	return -1
}

// reachable returns the stages that BuildKit builds for target, in order. ok is
// false if target does not exist.
func (d dockerfile) reachable(target string, vars map[string]string) (all []int, ok bool) {
	last := len(d.stages) - 1
	if target != "" {
		if last = d.find(target, len(d.stages)); last < 0 {
			return nil, false
		}
	}
	seen := map[int]bool{}
	var visit func(int)
	visit = func(i int) {
		if i < 0 || seen[i] {
			return
		}
		seen[i] = true
		s := d.stages[i]
		base, _ := expand(s.base, vars)
		visit(d.find(base, i))
		for _, in := range s.instrs {
			if from, ok := in.flag("from"); ok {
				visit(d.find(from, i))
			}
			for _, f := range in.flags {
				if spec, ok := strings.CutPrefix(f, "mount="); ok {
					for field := range strings.SplitSeq(spec, ",") {
						if from, ok := strings.CutPrefix(field, "from="); ok {
							visit(d.find(from, i))
						}
					}
				}
			}
		}
	}
	visit(last)
	for i := range d.stages {
		if seen[i] {
			all = append(all, i)
		}
	}
	return all, true
}

var variable = lazyregexp.New(`\$(?:\{([a-zA-Z_][a-zA-Z0-9_]*)(?:(:?[-+])([^}]*))?\}|([a-zA-Z_][a-zA-Z0-9_]*))`)

// expand replaces variables; known is false if one of them has no value.
func expand(s string, vars map[string]string) (out string, known bool) {
	known = true
	out = variable.ReplaceAllStringFunc(s, func(v string) string {
		m := variable.FindStringSubmatch(v)
		name := m[1] + m[4]
		val, ok := vars[name]
		switch {
		case strings.HasSuffix(m[2], "-") && (!ok || val == "" && m[2] == ":-"):
			return m[3]
		case strings.HasSuffix(m[2], "+"):
			if ok && (val != "" || m[2] == "+") {
				return m[3]
			}
			return ""
		case !ok:
			known = false
		}
		return val
	})
	return out, known
}
