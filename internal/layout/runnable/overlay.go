package runnable

import (
	"path"
	"strings"
)

// tree is the part of the image's file system that is needed to start a program:
// the paths of symlinks and executables.
type tree map[string]entry

// overlay stacks layers, starting with the lowest.
func overlay(layers []*summary) tree {
	t := tree{}
	for _, l := range layers {
		t.hide(l)
		for _, e := range l.Entries {
			if e.Path == "" {
				continue // another entry of the same layer replaced it
			}
			t.add(e)
		}
	}
	return t
}

// hide removes what a layer hides.
func (t tree) hide(l *summary) {
	whole := map[string]bool{}    // the path and everything below it
	below := map[string]bool{}    // only what is below it
	replaced := map[uint64]bool{} // files in place of something else
	dirs := map[uint64]bool{}
	for _, w := range l.Whiteouts {
		whole[w] = true
	}
	for _, o := range l.Opaque {
		below[o] = true
	}
	for _, e := range l.Entries {
		whole[e.Path] = true
	}
	for _, h := range l.Hides {
		replaced[h] = true
	}
	for _, h := range l.Dirs {
		dirs[h] = true
	}
	for p := range t {
		h := hashOf(p)
		if whole[p] || replaced[h] || dirs[h] {
			delete(t, p)
			continue
		}
		for a := path.Dir(p); ; a = path.Dir(a) {
			if whole[a] || below[a] || replaced[hashOf(a)] {
				delete(t, p)
				break
			}
			if a == "/" {
				break
			}
		}
	}
}

// add puts an entry where a runtime would put it, following the symlinks among
// its parents (as containerd archive/tar.go does).
func (t tree) add(e entry) {
	dir, ok := t.real(path.Dir(e.Path))
	if !ok {
		return
	}
	e.Path = path.Join(dir, path.Base(e.Path))
	if e.Kind == hardlink {
		to, ok := t.find(e.Link)
		if !ok || to.Kind == hardlink {
			return
		}
		to.Path = e.Path
		e = to
	}
	t[e.Path] = e
}

// maxPath is the longest path that a kernel accepts (PATH_MAX, linux/limits.h).
const maxPath = 4096

// maxHops is the kernel's limit of symlinks in a path (path_resolution(7)).
const maxHops = 40

// real follows every symlink in p, including the last one.
func (t tree) real(p string) (string, bool) {
	if len(p) > maxPath {
		return "", false
	}
	cur := "/"
	todo := strings.Split(p, "/")
	for hops := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			cur = path.Dir(cur)
			continue
		}
		next := path.Join(cur, part)
		e, ok := t[next]
		if !ok || e.Kind != symlink {
			cur = next
			continue
		}
		if hops++; hops > maxHops || len(e.Link) > maxPath {
			return "", false
		}
		if strings.HasPrefix(e.Link, "/") {
			cur = "/"
		}
		todo = append(strings.Split(e.Link, "/"), todo...)
	}
	return cur, true
}

// find returns the file behind p.
func (t tree) find(p string) (entry, bool) {
	at, ok := t.real(p)
	if !ok {
		return entry{}, false
	}
	e, ok := t[at]
	return e, ok
}
