package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout/runnable"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// maxDockerfile is the maximum size of a Dockerfile in bytes.
const maxDockerfile = 4 << 20

func readDockerfile(path string) (dockerfile, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return dockerfile{}, err
	}
	if fi.Size() > maxDockerfile {
		return dockerfile{}, fmt.Errorf("%d bytes is too large for a Dockerfile", fi.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return dockerfile{}, err
	}
	return parseDockerfile(string(text))
}

// place returns the position of a line in the request's Dockerfile as it appears
// in messages.
func place(req Request, line int) string {
	name := req.Dockerfile
	if rel, err := filepath.Rel(req.Dir, name); err == nil && req.Dir != "" && !strings.HasPrefix(rel, "..") {
		name = rel
	}
	return fmt.Sprintf("%s:%d", filepath.ToSlash(name), line)
}

// CheckDockerfile reports, before anything is built, problems in the Dockerfile
// and the context that would make the build fail or lead to a different image
// than requested.
func CheckDockerfile(req Request) []*pipeline.Finding {
	if f := checkContextDir(req); f != nil {
		return []*pipeline.Finding{f}
	}
	d, err := readDockerfile(req.Dockerfile)
	var se *syntaxError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []*pipeline.Finding{missingDockerfile(req)}
	case errors.As(err, &se):
		return []*pipeline.Finding{
			{Code: codeDockerfileSyntax, Severity: pipeline.Error, Where: place(req, se.line), What: se.what, Fix: se.fix, Err: err},
		}
	case err != nil:
		return []*pipeline.Finding{{Code: codeDockerfileMissing, Severity: pipeline.Error, What: "the Dockerfile cannot be read",
			Why: err.Error(), Fix: "make it a readable file", Where: req.Dockerfile, Err: err}}
	case !d.plain():
		return nil
	}
	var all []*pipeline.Finding
	for _, p := range req.Platforms {
		for _, f := range d.check(req, p) {
			same := func(g *pipeline.Finding) bool { return f.Code == g.Code && f.Where == g.Where && f.What == g.What }
			if !slices.ContainsFunc(all, same) {
				all = append(all, f)
			}
		}
	}
	return all
}

func checkContextDir(req Request) *pipeline.Finding {
	fi, err := os.Stat(req.Context)
	if err == nil && fi.IsDir() {
		return nil
	}
	f := &pipeline.Finding{Code: codeContextMissing, Severity: pipeline.Error,
		What: "the build context directory " + req.Context + " does not exist",
		Fix:  "name the directory with --context, or as build.context in .sbw.yaml", Err: err}
	if err == nil {
		f.What = "the build context " + req.Context + " is not a directory"
	} else if !errors.Is(err, fs.ErrNotExist) {
		f.Why = err.Error()
	}
	return f
}

// missingDockerfile returns a finding that names Dockerfiles nearby.
func missingDockerfile(req Request) *pipeline.Finding {
	f := &pipeline.Finding{
		Code:     codeDockerfileMissing,
		Severity: pipeline.Error,
		What:     "no Dockerfile " + strings.TrimSuffix(place(req, 0), ":0"),
		Fix:      "name it with -f, or as build.dockerfile in .sbw.yaml",
	}
	var near []string
	for _, dir := range []string{"", "*", "*/*"} {
		for _, name := range []string{"Dockerfile", "Dockerfile.*", "*.Dockerfile", "Containerfile"} {
			found, err := filepath.Glob(filepath.Join(globQuote(req.Context), dir, name))
			if err != nil {
				continue // cannot fail, because the pattern is valid
			}
			for _, p := range found {
				if rel, err := filepath.Rel(
					req.Context,
					p,
				); err == nil && !strings.Contains(rel, "node_modules") &&
					!strings.HasSuffix(rel, ".dockerignore") {
					near = append(near, filepath.ToSlash(rel))
				}
			}
		}
	}
	if len(near) > 4 {
		near = near[:4]
	}
	if len(near) > 0 {
		f.Why = "there is " + units.List(near)
	}
	return f
}

// globQuote escapes a path so that it matches itself as a pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`[`, `\[`, `*`, `\*`, `?`, `\?`).Replace(path)
}

// check reports the problems for one platform.
func (d dockerfile) check(req Request, platform string) (all []*pipeline.Finding) {
	// It is unknown on which platform the builder runs. That only matters for
	// variables, and a stage for the builder's platform never becomes the image.
	vars := d.vars(req, platform, "")
	for _, v := range []string{"BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"} {
		delete(vars, v)
	}
	stages, ok := d.reachable(req.Target, vars)
	if !ok {
		var names []string
		for _, s := range d.stages {
			if s.name != "" {
				names = append(names, s.name)
			}
		}
		f := pipeline.UsageErrorf(codeDockerfileTarget, "its stages: "+units.List(names), "the Dockerfile has no stage %q", req.Target)
		if len(names) == 0 {
			f.Fix = "its stages have no names; leave out the target"
		}
		f.Where = place(req, 1)
		return []*pipeline.Finding{f}
	}
	if f := d.pinned(req, platform, stages[len(stages)-1], vars); f != nil {
		all = append(all, f)
	}
	ignored, err := readIgnore(req)
	if err != nil {
		return append(
			all,
			&pipeline.Finding{
				Code:     codeDockerignore,
				Severity: pipeline.Error,
				What:     "the .dockerignore cannot be read",
				Why:      err.Error(),
				Fix:      "correct it",
				Err:      err,
			},
		)
	}
	for _, i := range stages {
		for _, in := range d.stages[i].instrs {
			if f := brokenList(req, in); f != nil {
				all = append(all, f)
			}
			for _, src := range in.sources() {
				if f := checkSource(req, ignored, in, src); f != nil {
					all = append(all, f)
				}
			}
		}
	}
	return all
}

// pinned returns a finding if the Dockerfile fixes the platform of the final
// stage's base image, which overrides the requested one.
func (d dockerfile) pinned(req Request, platform string, i int, vars map[string]string) *pipeline.Finding {
	s := d.stages[i]
	for {
		base, _ := expand(s.base, vars)
		parent := d.find(base, i)
		if parent < 0 {
			break
		}
		i, s = parent, d.stages[parent]
	}
	p, known := expand(s.platform, vars)
	if s.platform == "" || !known || imageref.SplitPlatform(p) == imageref.SplitPlatform(platform) || s.base == "scratch" {
		return nil
	}
	return &pipeline.Finding{Code: codeDockerfilePlatform, Severity: pipeline.Error, Where: place(req, s.line),
		What: "the final stage's base image is fixed to " + p + ", but the build is for " + platform,
		Fix:  "remove --platform from that FROM, or write --platform=$TARGETPLATFORM"}
}

// sources returns the paths in the context that the instruction copies, without
// those that cannot be determined here (variables, patterns, URLs).
func (in instr) sources() (all []string) {
	if in.name != "COPY" && in.name != "ADD" || len(in.words) < 2 {
		return nil
	}
	if _, ok := in.flag("from"); ok {
		return nil
	}
	for _, w := range in.words[:len(in.words)-1] {
		if strings.Contains(w, "$") || strings.ContainsAny(w, `*?[\`) || strings.Contains(w, "://") || strings.HasPrefix(w, "git@") ||
			strings.HasPrefix(w, "<<") {
			continue
		}
		all = append(all, strings.Trim(w, `"'`))
	}
	return all
}

// brokenList returns a finding if a command looks like a list but is not valid
// JSON (single quotes, a trailing comma), so that a shell runs it.
func brokenList(req Request, in instr) *pipeline.Finding {
	switch in.name {
	case "CMD", "ENTRYPOINT", "RUN":
	default:
		return nil
	}
	var list []string
	if json.Unmarshal([]byte(in.rest), &list) == nil {
		return nil
	}
	w := runnable.BrokenExecForm(in.rest)
	if w == "" {
		return nil
	}
	return &pipeline.Finding{Code: CodeExecForm, Severity: pipeline.Warning, Where: place(req, in.line),
		What: "the list after " + in.name + " is not valid JSON, so a shell will look for a program called " + w,
		Fix:  `write it with double quotes and without a trailing comma: ["program", "argument"]`}
}

// checkSource returns a finding if a COPY would not find its source.
func checkSource(req Request, ignored *ignore, in instr, src string) *pipeline.Finding {
	rel := strings.TrimPrefix(filepath.ToSlash(filepath.Clean("/"+src)), "/")
	if rel == "" {
		return nil
	}
	_, err := os.Stat(filepath.Join(req.Context, filepath.FromSlash(rel)))
	if errors.Is(err, fs.ErrNotExist) {
		if fi, lerr := os.Lstat(filepath.Join(req.Context, filepath.FromSlash(rel))); lerr == nil && fi.Mode()&fs.ModeSymlink != 0 {
			return nil // a symlink, which may refer to a path in the image
		}
		return &pipeline.Finding{Code: codeCopyMissing, Severity: pipeline.Error, Where: place(req, in.line),
			What: in.name + " takes " + src + ", which is not in the build context", Why: near(req, rel),
			Fix: "correct the path, which is relative to " + req.Context}
	}
	if err == nil && ignored.all(req, rel) {
		where := ignored.where(req, rel)
		return &pipeline.Finding{
			Code:     codeCopyIgnored,
			Severity: pipeline.Error,
			Where:    place(req, in.line),
			What:     in.name + " takes " + src + ", which " + where + " leaves out",
			Fix:      "remove that line of " + filepath.Base(ignored.path) + ", or add !" + rel + " below it",
		}
	}
	return nil
}
