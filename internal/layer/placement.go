package layer

import (
	"maps"
	"path"
	"strings"
)

// maxPath is the longest path that a kernel accepts (PATH_MAX, linux/limits.h).
const maxPath = 4096

// cleaned turns the name of a tar entry into an absolute path. The result is empty if the name contains "..", is
// empty or cannot be a path.
func cleaned(name string) string {
	if name == "" || len(name) > maxPath || strings.ContainsRune(name, 0) {
		return ""
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return ""
		}
	}
	return path.Clean("/" + name)
}

// contradiction looks for entries of one layer that runtimes interpret differently, depending on whether they unpack
// entries in order or process removals first.
func contradiction(entries []Entry) string {
	at, why := placed(entries)
	if why != "" {
		return why
	}
	removed := map[string]bool{}
	for i := range entries {
		if e := &entries[i]; e.Kind == Whiteout {
			if removed[e.Path] = true; at[e.Path] != nil {
				return e.Path + " is removed and added by the same layer"
			}
		}
	}
	return misplaced(entries, at, removed)
}

// placed returns the entries that add something, by path. why is what is wrong with them;
// empty if nothing is.
func placed(entries []Entry) (at map[string]*Entry, why string) {
	at = make(map[string]*Entry, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.Kind == Whiteout || e.Kind == Opaque {
			continue
		}
		if before := at[e.Path]; before != nil && (before.Kind != Dir || e.Kind != Dir) {
			return nil, e.Path + " occurs twice"
		}
		if e.Kind == Hardlink {
			to := at[e.Link]
			if to == nil || to.Kind == Dir || to.Kind == Symlink {
				return nil, "the hard link " + e.Path + " does not refer to an earlier file in the same layer"
			}
			// Runtimes apply the mode, owner and attributes of a link's own header to the file
			// that all of its links share.
			if e.Mode != to.Mode || e.UID != to.UID || e.GID != to.GID || len(e.Extra) > 0 && !maps.Equal(e.Extra, to.Extra) {
				return nil, "the hard link " + e.Path + " differs from its file in mode, owner or attributes"
			}
		}
		at[e.Path] = e
	}
	return at, ""
}

// misplaced finds an entry below something that is not a directory, or that the layer removes.
func misplaced(entries []Entry, at map[string]*Entry, removed map[string]bool) string {
	checked := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		dir := e.Path
		if e.Kind != Opaque {
			dir = path.Dir(dir)
		}
		for ; dir != "/" && !checked[dir]; dir = path.Dir(dir) {
			if above := at[dir]; above != nil && above.Kind != Dir {
				return e.Path + " is below " + dir + ", which is not a directory"
			}
			if removed[dir] {
				return e.Path + " is below " + dir + ", which the same layer removes"
			}
			checked[dir] = true
		}
	}
	return ""
}
