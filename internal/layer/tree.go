package layer

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Tree is a root file system: the result of stacking layers.
type Tree struct{ root *node }

// node is a path. Several share an inode if they are hard links of each other.
type node struct {
	inode    *inode
	children map[string]*node // of a directory
}

// inode is immutable, so that copies of a tree share it.
type inode struct {
	*Entry        // nil: a directory without an entry in any layer, created by the runtime for what is below it
	layer  string // the layer it comes from, as given to Apply
}

// NewTree returns an empty root directory.
func NewTree() *Tree { return &Tree{&node{inode: &inode{}}} }

// Clone returns a tree that can be changed independently.
func (t *Tree) Clone() *Tree { return &Tree{t.root.clone()} }

func (n *node) clone() *node {
	c := &node{inode: n.inode}
	if n.children != nil {
		c.children = make(map[string]*node, len(n.children))
		for name, child := range n.children {
			c.children[name] = child.clone()
		}
	}
	return c
}

func (n *node) dir() bool { return n.inode.Entry == nil || n.inode.Kind == Dir }

// Apply puts a layer on top of the tree. ErrUncertain means that runtimes might unpack the layer differently. The
// tree must not be used after an error.
func (t *Tree) Apply(l *Listing, name string) error {
	if l.Odd != "" {
		return fmt.Errorf("%w: %s", ErrUncertain, l.Odd)
	}
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Kind == Whiteout || e.Kind == Opaque {
			if err := t.remove(e); err != nil {
				return err
			}
		}
	}
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Kind != Whiteout && e.Kind != Opaque {
			if err := t.add(e, name); err != nil {
				return err
			}
		}
	}
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Kind == Whiteout || e.Kind == Opaque {
			if err := t.inside(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// inside checks that the directory of a removal exists. containerd would create a missing one, a Tree does
// not.
func (t *Tree) inside(e *Entry) error {
	dir := e.Path
	if e.Kind == Whiteout {
		dir = path.Dir(dir)
	}
	n, err := t.find(dir, e.Path)
	if err == nil && n == nil {
		err = fmt.Errorf("%w: something is removed from %s, which does not exist", ErrUncertain, dir)
	}
	return err
}

func (t *Tree) remove(e *Entry) error {
	if e.Kind == Opaque {
		n, err := t.find(e.Path, e.Path)
		if n == nil || err != nil {
			return err
		}
		if !n.dir() {
			return fmt.Errorf("%w: %s is to be emptied and is not a directory", ErrUncertain, e.Path)
		}
		n.children = nil
		return nil
	}
	n, err := t.find(path.Dir(e.Path), e.Path)
	if n == nil || err != nil {
		return err
	}
	if !n.dir() {
		return fmt.Errorf("%w: %s is to be removed from something that is not a directory", ErrUncertain, e.Path)
	}
	delete(n.children, path.Base(e.Path))
	return nil
}

// find returns the node of a path; nil if there is none. A path through a symlink is uncertain, because a
// runtime that unpacks each layer into a directory of its own does not see the layers below.
func (t *Tree) find(p, why string) (*node, error) {
	n := t.root
	for part := range parts(p) {
		if !n.dir() {
			return nil, fmt.Errorf("%w: %s leads through %s, which is not a directory", ErrUncertain, why, n.inode.Path)
		}
		if n = n.children[part]; n == nil {
			return nil, nil
		}
	}
	return n, nil
}

func parts(p string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
			if part != "" && !yield(part) {
				return
			}
		}
	}
}

func (t *Tree) add(e *Entry, layer string) error {
	if e.Path == "/" {
		t.root.inode = &inode{e, layer}
		return nil
	}
	parent := t.root
	for part := range parts(path.Dir(e.Path)) {
		next := parent.children[part]
		if next == nil {
			next = parent.put(part, &node{inode: &inode{}})
		}
		if !next.dir() {
			return fmt.Errorf("%w: %s leads through %s, which is not a directory", ErrUncertain, e.Path, next.inode.Path)
		}
		parent = next
	}
	name := path.Base(e.Path)
	made := &node{inode: &inode{e, layer}}
	switch e.Kind {
	case Hardlink:
		to, err := t.find(e.Link, e.Path)
		if err != nil {
			return err
		}
		if to == nil || to.inode.Entry == nil || to.inode.layer != layer {
			return fmt.Errorf("%w: the hard link %s does not refer to a file in the same layer", ErrUncertain, e.Path)
		}
		made.inode = to.inode
	case Dir:
		if old := parent.children[name]; old != nil && old.dir() {
			old.inode = made.inode
			return nil
		}
	}
	parent.put(name, made)
	return nil
}

func (n *node) put(name string, child *node) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	n.children[name] = child
	return child
}

// links returns the paths that share an inode: it maps each of them to all of
// them, sorted.
func (t *Tree) links() map[string][]string {
	paths := map[*inode][]string{}
	var walk func(p string, n *node)
	walk = func(p string, n *node) {
		if !n.dir() {
			paths[n.inode] = append(paths[n.inode], p)
		}
		for name, child := range n.children {
			walk(path.Join(p, name), child)
		}
	}
	walk("/", t.root)
	all := map[string][]string{}
	for _, group := range paths {
		if len(group) < 2 {
			continue
		}
		slices.Sort(group)
		for _, p := range group {
			all[p] = group
		}
	}
	return all
}

// Difference returns a path at which two trees differ, or "" if they are equal: the same paths with the same inodes,
// and the same paths linked to each other.
func (t *Tree) Difference(o *Tree) string {
	if p := difference("/", t.root, o.root); p != "" {
		return p
	}
	a, b := t.links(), o.links()
	for _, p := range slices.Sorted(maps.Keys(a)) {
		if !slices.Equal(a[p], b[p]) {
			return p
		}
	}
	for _, p := range slices.Sorted(maps.Keys(b)) {
		if !slices.Equal(a[p], b[p]) {
			return p
		}
	}
	return ""
}

func difference(p string, a, b *node) string {
	if !a.inode.equal(b.inode) {
		return p
	}
	for _, name := range slices.Sorted(maps.Keys(a.children)) {
		at := path.Join(p, name)
		other := b.children[name]
		if other == nil {
			return at
		}
		if d := difference(at, a.children[name], other); d != "" {
			return d
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.children)) {
		if a.children[name] == nil {
			return path.Join(p, name)
		}
	}
	return ""
}

func (i *inode) equal(o *inode) bool {
	switch {
	case i == o:
		return true
	case i.Entry == nil || o.Entry == nil:
		return i.Entry == nil && o.Entry == nil
	}
	return i.same(o.Entry)
}
