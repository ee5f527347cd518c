package layer

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Delta is the difference that turns one tree into another.
type Delta struct {
	// Removed are the topmost paths that no longer exist, sorted.
	Removed []string
	// Changed are the paths that are new or different, sorted. A directory is not listed just because something in it
	// has changed.
	Changed []string

	entries []deltaEntry
}

// deltaEntry is one entry of the layer that WriteDelta writes: an entry at a path, or a link to an earlier
// path.
type deltaEntry struct {
	path   string
	entry  *Entry
	linkTo string
	remove bool
}

// Empty reports whether the trees are equal.
func (d *Delta) Empty() bool { return len(d.Removed) == 0 && len(d.Changed) == 0 }

// Compare returns the difference that has to be put on top of have to turn it into want. Contents may only come from
// the named layer, the one that WriteDelta will read. ErrUncertain means that the difference needs something else,
// such as a file that reappears because a layer no longer hides it.
func Compare(have, want *Tree, layer string) (*Delta, error) {
	c := comparison{Delta: &Delta{}, layer: layer, emit: map[string]*inode{}, haveLinks: have.links(), wantLinks: want.links(), want: want}
	if err := c.dir("/", have.root, want.root); err != nil {
		return nil, err
	}
	if c.Empty() {
		return c.Delta, nil
	}
	return c.Delta, c.order()
}

type comparison struct {
	*Delta
	layer                string
	want                 *Tree
	haveLinks, wantLinks map[string][]string
	emit                 map[string]*inode
}

// nothing stands for a missing path. It differs from every inode that a layer can
// have.
var nothing = &inode{Entry: &Entry{}}

// dir compares what the trees have at p and, if both have a directory there,
// everything below it.
func (c *comparison) dir(p string, have, want *node) error {
	// A directory without an entry in any layer is created by whatever is below it, unless something else is in its
	// place.
	implied := want.inode.Entry == nil && have.inode == nothing
	if !implied && (!have.inode.equal(want.inode) || c.relinked(p, want)) {
		if err := c.changed(p, want); err != nil {
			return err
		}
	}
	if !want.dir() {
		return nil
	}
	old := have.children
	if !have.dir() {
		old = nil // hidden by the directory's own entry
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if want.children[name] == nil {
			c.Removed = append(c.Removed, path.Join(p, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.children)) {
		at, child := path.Join(p, name), want.children[name]
		before := old[name]
		if before == nil {
			before = &node{inode: nothing}
		}
		if err := c.dir(at, before, child); err != nil {
			return err
		}
	}
	return nil
}

// relinked reports whether a path must be linked to other paths than it is now. Links of lower layers are ignored
// here: they are decided by what happens to the paths they are linked to, and by the final comparison of the
// results.
func (c *comparison) relinked(p string, want *node) bool {
	return !want.dir() && want.inode.layer == c.layer && !slices.Equal(c.haveLinks[p], c.wantLinks[p])
}

func (c *comparison) changed(p string, want *node) error {
	i := want.inode
	switch {
	case i.Entry == nil:
		return fmt.Errorf("%w: no layer has an entry for the directory %s", ErrUncertain, p)
	case i.Kind == File && i.layer != c.layer:
		return fmt.Errorf("%w: the content of %s is in another layer", ErrUncertain, p)
	}
	c.Changed = append(c.Changed, p)
	c.emit[p] = i
	if source := sourceOf(p); source != "" {
		n, err := c.want.find(source, p)
		if err == nil && n != nil && n.inode.Entry != nil && n.inode.Kind == File && n.inode.layer == c.layer && c.wantLinks[source] == nil {
			c.emit[source] = n.inode
		}
	}
	// Linked paths must not stay linked to the old file.
	for _, partner := range c.wantLinks[p] {
		if i.layer != c.layer {
			return fmt.Errorf("%w: %s is linked to files of another layer", ErrUncertain, p)
		}
		c.emit[partner] = i
	}
	return nil
}

// sourceOf returns the file whose modification time is part of the content of the file p: Python compares the time
// in a .pyc with that of its .py and compiles again at each start if they differ (PEP 3147, PEP 552). If such a file
// goes into the small layer, its source must go there, too.
func sourceOf(p string) string {
	if path.Ext(p) != ".pyc" {
		return ""
	}
	dir, base := path.Split(p)
	stem, _, _ := strings.Cut(base, ".")
	if dir = path.Clean(dir); path.Base(dir) == "__pycache__" {
		dir = path.Dir(dir)
	}
	return path.Join(dir, stem+".py")
}

// order puts the entries into the order in which they are written. Parent directories are included unchanged, because
// a runtime that unpacks each layer into a directory of its own (Docker's overlay2) would otherwise create them with
// a mode and owner of its choice.
func (c *comparison) order() error {
	dirs := map[string]*inode{}
	above := func(p string) error {
		for p != "/" {
			p = path.Dir(p)
			if dirs[p] != nil || c.emit[p] != nil {
				continue
			}
			n, err := c.want.find(p, p)
			if err != nil {
				return err
			}
			switch {
			case n != nil && n.inode.Entry != nil:
				dirs[p] = n.inode
			case p != "/":
				return fmt.Errorf("%w: no layer has an entry for the directory %s", ErrUncertain, p)
			}
		}
		return nil
	}
	for p := range c.emit {
		if err := above(p); err != nil {
			return err
		}
	}
	for _, p := range c.Removed {
		if err := above(p); err != nil {
			return err
		}
		c.entries = append(c.entries, deltaEntry{path: path.Join(path.Dir(p), whiteoutPrefix+path.Base(p)), remove: true})
	}
	for p, i := range dirs {
		c.entries = append(c.entries, deltaEntry{path: p, entry: i.Entry})
	}
	first := map[*inode]string{}
	for _, p := range slices.Sorted(maps.Keys(c.emit)) {
		i := c.emit[p]
		e := deltaEntry{path: p, entry: i.Entry}
		if i.Kind != Dir {
			if to := first[i]; to != "" {
				e.linkTo = to
			} else {
				first[i] = p
			}
		}
		c.entries = append(c.entries, e)
	}
	slices.SortFunc(c.entries, func(a, b deltaEntry) int {
		switch {
		case a.path < b.path:
			return -1
		case a.path > b.path:
			return 1
		}
		return 0
	})
	return nil
}

// Size returns the approximate size of the small layer, uncompressed, in bytes.
func (d *Delta) Size() int64 {
	const block = 512
	size := int64(2 * block)
	for _, e := range d.entries {
		size += block
		if e.entry != nil && e.linkTo == "" && e.entry.Kind == File {
			size += (e.entry.Size + block - 1) / block * block
		}
	}
	return size
}

// Scratch keeps contents until they are written. It is empty at first; an os.File is one.
type Scratch interface {
	io.Writer
	io.ReaderAt
}

// WriteDelta writes the small layer as an uncompressed tar. from is the uncompressed layer with the contents. If it
// is also an io.ReaderAt, only the contents are read. Otherwise they wait in scratch, because a stream can only be
// read once and in order, which may not be the order of the small layer.
func WriteDelta(ctx context.Context, to io.Writer, d *Delta, from io.Reader, scratch Scratch) (err error) {
	defer recovered(&err)
	if at, ok := from.(io.ReaderAt); ok {
		return d.write(ctx, to, func(e *Entry) io.Reader { return io.NewSectionReader(at, e.Data, e.Size) })
	}
	var wanted []*Entry
	for _, e := range d.entries {
		if e.entry != nil && e.linkTo == "" && e.entry.Kind == File {
			wanted = append(wanted, e.entry)
		}
	}
	slices.SortFunc(wanted, func(a, b *Entry) int { return cmp.Compare(a.Data, b.Data) })
	from = &contextReader{ctx, from}
	var pos, end int64
	kept := map[*Entry]int64{}
	for _, e := range wanted {
		if _, err := io.CopyN(io.Discard, from, e.Data-pos); err != nil {
			return err
		}
		if _, err := io.CopyN(scratch, from, e.Size); err != nil {
			return err
		}
		pos, kept[e] = e.Data+e.Size, end
		end += e.Size
	}
	return d.write(ctx, to, func(e *Entry) io.Reader { return io.NewSectionReader(scratch, kept[e], e.Size) })
}

// typeflags maps kinds to tar types.
var typeflags = map[Kind]byte{
	File: tar.TypeReg, Dir: tar.TypeDir, Symlink: tar.TypeSymlink, CharDevice: tar.TypeChar, BlockDevice: tar.TypeBlock, Fifo: tar.TypeFifo,
}

func (d *Delta) write(ctx context.Context, to io.Writer, content func(*Entry) io.Reader) error {
	tw := tar.NewWriter(to)
	for _, e := range d.entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h := e.header()
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if h.Size == 0 {
			continue
		}
		if _, err := io.Copy(tw, content(e.entry)); err != nil {
			return err
		}
	}
	return tw.Close()
}

// header returns the tar header as builders write it: with a relative name, and a trailing
// slash for directories.
func (e deltaEntry) header() *tar.Header {
	h := &tar.Header{Name: e.path[1:], Format: tar.FormatPAX}
	if e.remove {
		h.Typeflag, h.ModTime = tar.TypeReg, time.Unix(0, 0)
		return h
	}
	i := e.entry
	h.Mode, h.Uid, h.Gid, h.ModTime, h.PAXRecords = i.Mode, i.UID, i.GID, time.Unix(0, i.Modified), i.Extra
	if e.linkTo != "" {
		h.Typeflag, h.Linkname, h.PAXRecords = tar.TypeLink, e.linkTo[1:], nil
		return h
	}
	h.Typeflag = typeflags[i.Kind]
	switch i.Kind {
	case Dir:
		if h.Name += "/"; h.Name == "/" {
			h.Name = "./"
		}
	case File:
		h.Size = i.Size
	case Symlink:
		h.Linkname = i.Link
	case CharDevice, BlockDevice:
		h.Devmajor, h.Devminor = i.Major, i.Minor
	}
	return h
}
