package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// ignore is a .dockerignore, matched with the same library that BuildKit uses.
type ignore struct {
	path    string
	matcher *patternmatcher.PatternMatcher
}

// readIgnore reads the ignore file that applies: that of the Dockerfile if there
// is one, or else the context's.
func readIgnore(req Request) (*ignore, error) {
	for _, p := range []string{req.Dockerfile + ".dockerignore", filepath.Join(req.Context, ".dockerignore")} {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(f)
		err = errors.Join(err, f.Close())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		m, err := patternmatcher.New(patterns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		return &ignore{p, m}, nil
	}
	m, err := patternmatcher.New(nil)
	return &ignore{matcher: m}, err
}

// all reports whether rel and everything below it is excluded. An excluded
// directory may contain files that an exception (!) includes again.
func (i *ignore) all(req Request, rel string) bool {
	out, err := i.matcher.MatchesOrParentMatches(rel)
	return err == nil && out && (!i.matcher.Exclusions() || isFile(req, rel))
}

// These limit the counting, and set the size above which there is a warning.
const (
	maxContextFiles = 300_000
	maxContextTime  = 3 * time.Second
	hugeBytes       = 500 << 20
	hugeFiles       = 100_000
)

// ContextSize is the size of the part of the context that the builder reads.
type ContextSize struct {
	Files int
	Bytes int64
	// More means that counting stopped early, so the numbers are lower bounds.
	More bool
	// Largest are the largest entries directly below what is copied, with their
	// size in bytes, largest first.
	Largest []ContextEntry
	strange map[string]string // what does not belong in an image: name → first path
}

// ContextEntry is a file or directory of a context.
type ContextEntry struct {
	Path  string
	Bytes int64
}

// CheckContext measures what the Dockerfile copies from the context, except for
// what .dockerignore excludes, and warns about things that do not belong in an
// image. BuildKit reads only the part of a context that is copied, so the size of
// the repository does not matter.
func CheckContext(ctx context.Context, req Request) (ContextSize, []*pipeline.Finding, error) {
	ignored, err := readIgnore(req)
	if err != nil || checkContextDir(req) != nil {
		return ContextSize{}, nil, nil // CheckDockerfile reports it
	}
	size, err := measure(ctx, req, contextRoots(req), ignored)
	if err != nil {
		return size, nil, err
	}
	var all []*pipeline.Finding
	add := func(code pipeline.Code, name, why string) {
		if p := size.strange[name]; p != "" {
			all = append(all, &pipeline.Finding{Code: code, Severity: pipeline.Warning, Where: p,
				What: "the image gets " + name + " from the checkout", Why: why, Fix: "add **/" + name + " to .dockerignore"})
		}
	}
	add(codeContextGit, ".git", "the history would be in the image, and every commit would rebuild everything")
	add(codeContextModules, "node_modules", "compiled modules in it are built for this machine, not for "+strings.Join(req.Platforms, ", "))
	add(codeContextEnv, ".env", "such files contain secrets, and anyone who can pull an image can read its layers")
	if size.Bytes > hugeBytes || size.Files > hugeFiles {
		f := &pipeline.Finding{Code: codeContextHuge, Severity: pipeline.Warning, Where: req.Context,
			What: "the build copies " + size.String() + " out of the checkout", Fix: "exclude what the image does not need in .dockerignore"}
		for _, e := range size.Largest {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%8s  %s", megabytes(e.Bytes), e.Path))
		}
		all = append(all, f)
	}
	return size, all, nil
}

func (s ContextSize) String() string {
	more := ""
	if s.More {
		more = "more than "
	}
	return fmt.Sprintf("%s%s in %s", more, megabytes(s.Bytes), units.Count(s.Files, "file", "files"))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// contextRoots returns the directories and files that are copied, none of them
// below another; "." if they cannot be determined.
func contextRoots(req Request) []string {
	d, err := readDockerfile(req.Dockerfile)
	if err != nil || !d.plain() {
		return []string{"."}
	}
	vars := d.vars(req, "", "")
	stages, ok := d.reachable(req.Target, vars)
	if !ok {
		return []string{"."}
	}
	var roots []string
	for _, i := range stages {
		for _, in := range d.stages[i].instrs {
			roots = append(roots, in.roots()...)
		}
	}
	slices.Sort(roots)
	var top []string
	for _, r := range slices.Compact(roots) {
		if !slices.ContainsFunc(top, func(t string) bool { return t == "." || strings.HasPrefix(r, t+"/") }) {
			top = append(top, r)
		}
	}
	return top
}

// roots returns the paths in the context that the instruction may read.
func (in instr) roots() (all []string) {
	add := func(src string) {
		// Keep the path up to the first part that is a pattern or contains a variable.
		var fixed []string
		for part := range strings.SplitSeq(strings.Trim(src, `"'`), "/") {
			if strings.ContainsAny(part, `*?[$\`) {
				break
			}
			fixed = append(fixed, part)
		}
		clean := strings.TrimPrefix(path.Clean("/"+strings.Join(fixed, "/")), "/")
		if clean == "" {
			clean = "."
		}
		all = append(all, clean)
	}
	switch in.name {
	case "COPY", "ADD":
		if _, ok := in.flag("from"); ok || len(in.words) < 2 {
			return nil
		}
		for _, w := range in.words[:len(in.words)-1] {
			if !strings.Contains(w, "://") && !strings.HasPrefix(w, "git@") && !strings.HasPrefix(w, "<<") {
				add(w)
			}
		}
	case "RUN":
		for _, f := range in.flags {
			spec, ok := strings.CutPrefix(f, "mount=")
			if !ok {
				continue
			}
			kind, from, src := "bind", false, "."
			for field := range strings.SplitSeq(spec, ",") {
				switch k, v, _ := strings.Cut(field, "="); k {
				case "type":
					kind = v
				case "from":
					from = true
				case "source", "src":
					src = v
				}
			}
			if kind == "bind" && !from {
				add(src)
			}
		}
	}
	return all
}

// measure counts the files below roots that are not excluded.
func measure(ctx context.Context, req Request, roots []string, ignored *ignore) (ContextSize, error) {
	size := ContextSize{strange: map[string]string{}}
	sums := map[string]int64{}
	until := time.Now().Add(maxContextTime)
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(req.Context, filepath.FromSlash(root)), func(p string, e fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				return skip(e) // if it is unreadable or was removed, the builder will report it
			}
			rel, err := filepath.Rel(req.Context, p)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			out, err := ignored.matcher.MatchesOrParentMatches(rel)
			if err != nil {
				return fmt.Errorf("%s: %w", ignored.path, err)
			}
			if out && rel != "." {
				if e.IsDir() && !ignored.matcher.Exclusions() {
					return fs.SkipDir
				}
				return nil
			}
			size.note(e, rel)
			if e.IsDir() {
				return nil
			}
			if size.Files >= maxContextFiles || size.Files%1024 == 1023 && time.Now().After(until) {
				size.More = true
				return fs.SkipAll
			}
			size.Files++
			if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() {
				size.Bytes += fi.Size()
				sums[entryBelow(root, rel)] += fi.Size()
			}
			return nil
		})
		if err != nil {
			return size, err
		}
	}
	for p, n := range sums {
		size.Largest = append(size.Largest, ContextEntry{p, n})
	}
	sort.Slice(size.Largest, func(i, j int) bool {
		a, b := size.Largest[i], size.Largest[j]
		if a.Bytes != b.Bytes {
			return a.Bytes > b.Bytes
		}
		return a.Path < b.Path
	})
	size.Largest = size.Largest[:min(len(size.Largest), 5)]
	return size, nil
}

func skip(e fs.DirEntry) error {
	if e != nil && e.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// note records the first example of each thing that does not belong in an image.
func (s *ContextSize) note(e fs.DirEntry, rel string) {
	name := e.Name()
	switch {
	case name == ".git", e.IsDir() && name == "node_modules", !e.IsDir() && name == ".env":
		if s.strange[name] == "" {
			s.strange[name] = rel
		}
	}
}

// entryBelow returns the entry directly below root that contains rel.
func entryBelow(root, rel string) string {
	if root == rel {
		return rel
	}
	below := strings.TrimPrefix(rel, root+"/")
	if root == "." {
		below = rel
	}
	first, _, _ := strings.Cut(below, "/")
	if root == "." {
		return first
	}
	return root + "/" + first
}
