package build

import (
	"bufio"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/joelhooks/gh-sbw/internal/editdistance"
)

// This file guesses which file was meant when a COPY finds nothing.

// lockFiles are the lock files of JavaScript package managers. People switch
// between them, and names change (bun.lockb became bun.lock in Bun 1.2).
var lockFiles = []string{"bun.lock", "bun.lockb", "pnpm-lock.yaml", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock"}

// near returns a sentence about a file that may have been meant instead of rel;
// "" if there is none.
func near(req Request, rel string) string {
	dir, name := path.Split(rel)
	entries, err := os.ReadDir(filepath.Join(req.Context, filepath.FromSlash(dir)))
	if err == nil {
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		for _, n := range names { // macOS and Windows find it, but a Linux builder does not
			if strings.EqualFold(n, name) {
				return dir + n + " exists, but file names are case-sensitive"
			}
		}
		if slices.Contains(lockFiles, name) {
			for _, l := range lockFiles {
				if slices.Contains(names, l) {
					return dir + l + " is there"
				}
			}
		} else if n := editdistance.Nearest(name, names); n != "" {
			return dir + n + " is there"
		}
	}
	if at := elsewhere(req, name); at != "" {
		return "there is " + at
	}
	return ""
}

// elsewhere looks for a file of the given name, or for another lock file, in the
// directories around the context: those above it, up to the repository's root,
// and those directly below it. It returns the path relative to the context.
func elsewhere(req Request, name string) string {
	names := []string{name}
	if slices.Contains(lockFiles, name) {
		names = append(names, lockFiles...)
	}
	var dirs []string
	for dir := req.Context; req.Dir != "" && dir != req.Dir && len(dir) > len(req.Dir); dir = filepath.Dir(dir) {
		dirs = append(dirs, filepath.Dir(dir))
	}
	below, err := os.ReadDir(req.Context)
	if err == nil {
		for _, e := range below {
			if e.IsDir() && e.Name() != "node_modules" && e.Name() != ".git" {
				dirs = append(dirs, filepath.Join(req.Context, e.Name()))
			}
		}
	}
	for _, dir := range dirs {
		for _, n := range names {
			if _, err := os.Stat(filepath.Join(dir, n)); err != nil {
				continue
			}
			rel, err := filepath.Rel(req.Context, filepath.Join(dir, n))
			if err != nil {
				continue
			}
			if rel = filepath.ToSlash(rel); strings.HasPrefix(rel, "../") {
				rel += ", outside the build context"
			}
			return rel
		}
	}
	return ""
}

// where returns the line of the ignore file that excludes rel, which is the last
// one that matches (docs.docker.com/build/concepts/context/#dockerignore-files).
func (i *ignore) where(req Request, rel string) string {
	name := i.path
	if r, err := filepath.Rel(req.Dir, i.path); err == nil && req.Dir != "" && !strings.HasPrefix(r, "..") {
		name = filepath.ToSlash(r)
	}
	f, err := os.Open(i.path)
	if err != nil {
		return name
	}
	defer f.Close()
	var patterns []string
	decides, out := 0, false
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		more, err := ignorefile.ReadAll(strings.NewReader(lines.Text()))
		if err != nil || len(more) == 0 {
			continue
		}
		patterns = append(patterns, more...)
		m, err := patternmatcher.New(patterns)
		if err != nil {
			return name
		}
		if now, err := m.MatchesOrParentMatches(rel); err == nil && now != out {
			decides, out = n, now
		}
	}
	if lines.Err() != nil || decides == 0 {
		return name
	}
	return name + ":" + strconv.Itoa(decides)
}

// isFile reports whether rel is a file of the context and not a directory.
func isFile(req Request, rel string) bool {
	fi, err := os.Stat(filepath.Join(req.Context, filepath.FromSlash(rel)))
	return err == nil && !fi.IsDir()
}
