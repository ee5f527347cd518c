package runnable

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// maxScripts is how many scripts may refer to each other; the kernel allows
// four (fs/exec.c, exec_binprm).
const maxScripts = 5

// defaultPath is the PATH that containerd and Docker use if an image does not set
// one.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// judge reports what prevents the image's command from being started.
func judge(t tree, img layout.Image) []*pipeline.Finding {
	c := img.Config.Config
	j := judgement{tree: t, platform: img.Platform(), arch: img.Config.Architecture, dir: clean(c.WorkingDir), search: defaultPath}
	for _, kv := range c.Env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			j.search = v
		}
	}
	argv := slices.Concat(c.Entrypoint, c.Cmd)
	word := "ENTRYPOINT"
	if len(c.Entrypoint) == 0 {
		word = "CMD"
	}
	if len(argv) == 0 {
		return []*pipeline.Finding{{Code: codeEntrypointNone, Severity: pipeline.Note,
			What: "the image for " + j.platform + " has no command to start", Fix: "add CMD to the Dockerfile, or command to the manifest"}}
	}
	j.said = word + " " + quoted(argv)
	j.start(argv, 0, false)
	return j.found
}

type judgement struct {
	tree           tree
	platform, arch string
	dir, search    string
	said           string // the command as written in the image
	found          []*pipeline.Finding
}

func (j *judgement) fail(code pipeline.Code, fix, format string, args ...any) {
	j.found = append(j.found, &pipeline.Finding{Code: code, Severity: pipeline.Error,
		What: fmt.Sprintf(format, args...), Why: "the image for " + j.platform + " starts with " + j.said, Fix: fix})
}

// start judges a command. maybe means that argv[0] may not be a program at all.
// In that case only a program that exists but cannot run is reported.
func (j *judgement) start(argv []string, depth int, maybe bool) {
	e, ok := j.lookup(argv[0])
	if !ok {
		if !maybe {
			j.fail(
				codeEntrypointMissing,
				"correct the command, or copy the program into the last stage of the Dockerfile",
				"%s is not in the image",
				j.named(argv[0]),
			)
		}
		return
	}
	if !e.Exec {
		if !maybe {
			j.fail(codeEntrypointMode, "make it executable: COPY --chmod=755, or chmod +x and build again", "%s is not executable", e.Path)
		}
		return
	}
	switch e.Kind {
	case program:
		if !j.elf(e) {
			return
		}
	case script:
		if !j.script(e, depth, maybe) {
			return
		}
	default:
		if !maybe {
			j.fail(
				codeExecFormat,
				"begin it with a line such as #!/bin/sh, starting at the very first byte",
				"%s is neither a program nor a script: exec format error",
				e.Path,
			)
		}
		return
	}
	j.inner(e, argv, depth)
}

// elf judges a program and its loader.
func (j *judgement) elf(e entry) bool {
	if !runs(e.head, j.arch) {
		j.fail(codeExecFormat, "look for a COPY --from or a download with a fixed architecture, or for --platform in FROM",
			"%s is a program for %s, but the image is for %s: exec format error", e.Path, machineName(e.head), j.platform)
		return false
	}
	if e.Loader == "" {
		return true
	}
	l, ok := j.tree.find(e.Loader)
	switch {
	case !ok:
		j.fail(codeEntrypointLoader, "use a base image with the C library that it was built for: glibc (debian) or musl (alpine)",
			"%s needs the loader %s, which is not in the image", e.Path, e.Loader)
		return false
	case l.Kind == program && !runs(l.head, j.arch):
		j.fail(
			codeExecFormat,
			"look for --platform in the Dockerfile's FROM lines",
			"%s, which loads %s, is for %s, but the image is for %s: exec format error",
			l.Path,
			e.Path,
			machineName(l.head),
			j.platform,
		)
		return false
	}
	return true
}

// script judges the interpreter that a script names.
func (j *judgement) script(e entry, depth int, maybe bool) bool {
	if strings.HasSuffix(e.Shebang, "\r") {
		j.fail(
			codeEntrypointMissing,
			"save it with Unix line endings (LF)",
			"%s begins with #!%s followed by a carriage return, which becomes part of the interpreter's name",
			e.Path,
			strings.TrimSuffix(e.Shebang, "\r"),
		)
		return false
	}
	interp, arg, _ := strings.Cut(strings.ReplaceAll(e.Shebang, "\t", " "), " ")
	if interp == "" || depth >= maxScripts {
		if !maybe {
			j.fail(
				codeExecFormat,
				"begin it with a line such as #!/bin/sh",
				"%s does not name an interpreter that can be started: exec format error",
				e.Path,
			)
		}
		return false
	}
	if !strings.Contains(interp, "/") {
		interp = path.Join(j.dir, interp) // the kernel does not search PATH
	}
	argv := []string{interp}
	if arg = strings.TrimSpace(arg); arg != "" {
		argv = append(argv, arg)
	}
	before := len(j.found)
	j.start(append(argv, e.Path), depth+1, false)
	return len(j.found) == before
}

// wrappers maps programs whose arguments are a command to the number of words
// before that command, not counting flags.
var wrappers = map[string]int{
	"tini": 0, "tini-static": 0, "dumb-init": 0, "catatonit": 0, "docker-init": 0, "env": 0,
	"gosu": 1, "su-exec": 1, "nice": 0, "nohup": 0, "setsid": 0,
}

var (
	assignment = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*=`)
	// plainWord matches words that need no quotes.
	plainWord = lazyregexp.New(`^[A-Za-z0-9_./+-]+$`)
)

// inner looks for a command in the arguments of a program.
func (j *judgement) inner(e entry, argv []string, depth int) {
	if depth > maxScripts || len(argv) < 2 {
		return
	}
	name, args := path.Base(argv[0]), argv[1:]
	if skip, ok := wrappers[name]; ok {
		for len(args) > 0 && (strings.HasPrefix(args[0], "-") || assignment.MatchString(args[0])) {
			if text, rest, ok := splitString(args); ok && name == "env" {
				args = slices.Concat(shellWords(text), rest)
				continue
			}
			args = args[1:]
		}
		if len(args) > skip {
			// The value of a flag may be at the position of the command.
			_, there := j.lookup(args[skip])
			j.start(args[skip:], depth+1, !there && len(args)+1 < len(argv))
		}
		return
	}
	switch name {
	case "sh", "bash", "dash", "ash", "zsh":
		if line, ok := commandLine(args); ok {
			j.shell(line, depth)
		}
		return
	}
	// An entrypoint that is a script usually ends with exec "$@".
	if e.Kind == script && depth == 0 {
		j.start(args, maxScripts, true)
	}
}

// splitString returns the text of env's -S and the arguments after it. The text
// may be part of the same argument, as it always is after #!, and other flags may
// precede the S (coreutils env.c).
func splitString(args []string) (text string, rest []string, ok bool) {
	if text, ok = strings.CutPrefix(args[0], "--split-string="); ok {
		return text, args[1:], true
	}
	m := splitFlag.FindStringSubmatch(args[0])
	switch {
	case m != nil && m[1] != "":
		return m[1], args[1:], true
	case (m != nil || args[0] == "--split-string") && len(args) > 1:
		return args[1], args[2:], true
	}
	return "", nil, false
}

var splitFlag = lazyregexp.New(`(?s)^-[iv0]*S(.*)$`)

// commandLine returns the line that a shell runs: sh -c LINE, with any other
// flags.
func commandLine(args []string) (string, bool) {
	for i, a := range args {
		if !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "+") {
			return "", false
		}
		if strings.HasSuffix(a, "c") && !strings.HasPrefix(a, "--") && i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}

// shell judges the programs that a shell's line is certain to start. Only a
// program that exists but cannot run is reported, because a shell has functions,
// builtins and its own PATH. The path of the first program is judged as if there
// were no shell if the line fails without it.
func (j *judgement) shell(line string, depth int) {
	if w := BrokenExecForm(line); w != "" {
		if _, ok := j.lookup(w); !ok {
			j.fail(codeEntrypointMissing, `write it with double quotes and without a trailing comma: CMD ["program", "argument"]`,
				"the shell would look for a program called %s, because the list is not valid JSON and is therefore run by a shell", w)
			return
		}
	}
	dir := j.dir
	defer func() { j.dir = dir }()
	must := mustStart(line)
	for _, argv := range shellCommands(line) {
		switch {
		case argv[0] == must:
			// A shell interprets a file without #! itself.
			e, ok := j.lookup(must)
			j.start(argv, depth+1, ok && e.Exec)
		case argv[0] == "cd" && len(argv) == 2 && strings.HasPrefix(argv[1], "/"):
			j.dir = clean(argv[1])
		case argv[0] == "cd" && len(argv) == 2:
			j.dir = path.Join(j.dir, argv[1])
		default:
			j.start(argv, depth+1, true)
		}
	}
}

// lookup finds a command the way a runtime does: through PATH if the name
// contains no slash.
func (j *judgement) lookup(name string) (entry, bool) {
	if strings.Contains(name, "/") {
		if !strings.HasPrefix(name, "/") {
			name = path.Join(j.dir, name)
		}
		return j.tree.find(name)
	}
	var plain entry
	var there bool
	for dir := range strings.SplitSeq(j.search, ":") {
		if !strings.HasPrefix(dir, "/") {
			dir = path.Join(j.dir, dir)
		}
		e, ok := j.tree.find(path.Join(dir, name))
		if ok && e.Exec {
			return e, true
		}
		if ok && !there {
			plain, there = e, true
		}
	}
	return plain, there
}

// named returns the description of a command for a message.
func (j *judgement) named(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return name + ", looked for in " + j.search + ","
}

func quoted(argv []string) string {
	var all []string
	for _, a := range argv {
		if plainWord.MatchString(a) {
			all = append(all, a)
		} else {
			all = append(all, fmt.Sprintf("%q", a))
		}
	}
	s := strings.Join(all, " ")
	if r := []rune(s); len(r) > 120 {
		s = string(r[:119]) + "…"
	}
	return s
}
