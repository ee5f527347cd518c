package reuse

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// CodeChurn means that a layer was built again and has hardly changed.
const CodeChurn pipeline.Code = "layer-churn"

// Instruction is the line of a Dockerfile that creates a layer.
type Instruction struct {
	Where string // file:line; empty if it was not found
	// FromContext means that it copies from the build context, so any difference is a change that somebody has made.
	FromContext bool
}

// shownPaths is how many paths a finding lists.
const shownPaths = 10

// Churn is the finding for a reused layer: which files differ, and how the Dockerfile can avoid rebuilding the layer.
func Churn(u Reused, in Instruction) *pipeline.Finding {
	f := &pipeline.Finding{Code: CodeChurn, Severity: pipeline.Note, Where: in.Where}
	paths := slices.Concat(u.Changed, u.Removed)
	if len(paths) == 0 {
		f.What = u.Name() + " was rebuilt, but only modification times differ"
		f.Why = "the published layer was reused"
	} else {
		f.What = fmt.Sprintf("%s was rebuilt, but only %s", u.Name(), u.differs())
		f.Why = "the published layer was reused, with a small one on top: " + paths[0]
		if len(paths) > 1 {
			f.Why += fmt.Sprintf(" and %d more", len(paths)-1)
		}
		f.Evidence = append(f.Evidence, paths[:min(len(paths), shownPaths)]...)
		if more := len(paths) - shownPaths; more > 0 {
			f.Evidence = append(f.Evidence, fmt.Sprintf("and %d more", more))
		}
	}
	f.Fix = advice(u, in, paths)
	return f
}

// advice returns what to write instead. There is none for a COPY from the context, because that layer has to be
// rebuilt when its sources change.
func advice(u Reused, in Instruction, paths []string) string {
	inModules := func(p string) bool { return strings.Contains(p, "node_modules") }
	modules := inModules(u.CreatedBy) || slices.ContainsFunc(paths, inModules)
	var stamped []string
	for _, p := range paths {
		base := path.Base(p)
		if generated(base) && !slices.Contains(stamped, base) {
			stamped = append(stamped, base)
		}
	}
	remove := "in the same RUN, delete files that contain timestamps"
	if len(stamped) > 0 {
		remove += ": find . -name '" + strings.Join(stamped, "' -delete -o -name '") + "' -delete"
	}
	switch {
	case in.FromContext && len(paths) > 0 && len(stamped) == 0:
		return ""
	case modules:
		return "copy the package.json files and the lockfile, install, and copy the sources after that; " + remove
	case len(paths) == 0:
		return "move the step that creates it above the COPY of what changes more often"
	}
	return "move the step that creates it above the COPY of what changes more often; " + remove
}

// generated reports whether package managers or tools write times or paths into files of this name.
func generated(base string) bool {
	switch base {
	case ".modules.yaml", ".package-lock.json", ".yarn-state.yml", ".yarn-integrity":
		return true
	}
	switch path.Ext(base) {
	case ".tsbuildinfo", ".pyc", ".log":
		return true
	}
	return strings.HasPrefix(base, ".pnpm-workspace-state")
}

// Name returns a description of the layer: "layer 3 (COPY node_modules)".
func (u Reused) Name() string {
	name := fmt.Sprintf("layer %d", u.Layer)
	if step := Step(u.CreatedBy); step != "" {
		name += " (" + step + ")"
	}
	return name
}

// differs returns a phrase such as "1 of its 33,271 files differs".
func (u Reused) differs() string {
	n := len(u.Changed) + len(u.Removed)
	return fmt.Sprintf("%s of its %s %s", grouped(n), counted(u.Files, "file"), verb(n))
}

// Line returns the line that verify prints: "layer 3 (COPY node_modules): 1 of 33,271 files differs, 2.1 kB instead
// of 286 MB".
func (u Reused) Line(bytes func(int64) string) string {
	n := len(u.Changed) + len(u.Removed)
	if n == 0 {
		return fmt.Sprintf("%s: none of %s differs, nothing instead of %s", u.Name(), counted(u.Files, "file"), bytes(u.Instead))
	}
	return fmt.Sprintf("%s: %s of %s %s, %s instead of %s",
		u.Name(), grouped(n), counted(u.Files, "file"), verb(n), bytes(u.Small), bytes(u.Instead))
}

func verb(n int) string {
	if n == 1 {
		return "differs"
	}
	return "differ"
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// grouped formats a number with separated thousands: 33,271.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

const maxStep = 48

// Step turns the created_by of a history entry into a short form of the instruction as written in a
// Dockerfile: without the shell and BuildKit's own remarks, and without the directories of a COPY's
// sources.
func Step(createdBy string) string {
	s := strings.Join(strings.Fields(strings.TrimSuffix(strings.TrimSpace(createdBy), "# buildkit")), " ")
	s = strings.TrimPrefix(s, "/bin/sh -c #(nop) ")
	name, rest, _ := strings.Cut(s, " ")
	switch name {
	case "RUN":
		if n, args, ok := strings.Cut(rest, " "); ok && strings.HasPrefix(n, "|") { // |2 A=1 B=2 /bin/sh -c …
			if _, command, ok := strings.Cut(args, "/bin/sh -c "); ok {
				rest = command
			}
		}
		s = "RUN " + strings.TrimPrefix(rest, "/bin/sh -c ")
	case "COPY", "ADD":
		words := strings.Fields(rest)
		if len(words) == 2 && path.Base(words[0]) == path.Base(words[1]) && path.Base(words[0]) != "." {
			s = name + " " + path.Base(words[0])
		}
	}
	if r := []rune(s); len(r) > maxStep {
		s = string(r[:maxStep-1]) + "…"
	}
	return s
}
