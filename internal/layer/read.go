package layer

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Read lists a layer: a tar, uncompressed or compressed with gzip or zstd. A layer that this package does not support
// is a Listing with Odd set; an error means that the layer cannot be read at all, or that the context has ended.
func Read(ctx context.Context, from io.Reader) (_ *Listing, err error) {
	defer recovered(&err)
	plain, err := Decompress(&contextReader{ctx, from})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	ahead := NewAhead(plain)
	defer ahead.Stop()
	return list(ahead, "", nil)
}

// HeadSize is how many bytes of each file a Visit gets. Linkers put the program headers and the loader's name right
// after the ELF header, and the kernel itself reads only 256 bytes of a script.
const HeadSize = 4096

// Visit is called for every entry of a layer, in order, even if the listing is odd. head is the beginning of a regular
// file, up to HeadSize bytes, and only valid during the call.
type Visit func(h *tar.Header, head []byte) error

// Digests are those of a layer as it is and of its uncompressed form.
type Digests struct{ Blob, DiffID v1.Hash }

// Scan calls visit for each entry of a layer. With contents, it also lists the layer like Read, because reading a layer
// twice takes twice as long; otherwise the listing is odd. The digests are valid in any case. An error of visit ends
// the scan and is returned.
//
// Both digests are computed in goroutines of their own. For an uncompressed layer they are the same and computed only
// once. Hashing takes longer than everything else here.
func Scan(ctx context.Context, from io.Reader, contents bool, visit Visit) (_ *Listing, d Digests, err error) {
	defer recovered(&err)
	blob := NewAhead(&contextReader{ctx, from})
	defer blob.Stop()
	magic, err := blob.peek()
	if err != nil {
		return nil, d, err
	}
	plain := blob
	z, err := decoder(magic, onlyReader{blob})
	if err != nil {
		return nil, d, err
	}
	if z != nil {
		defer func() { err = errors.Join(err, z.Close()) }()
		plain = NewAhead(z)
		defer plain.Stop()
	}
	odd := ""
	if !contents {
		odd = "its contents were not listed"
	}
	l, err := list(plain, odd, visit)
	if err != nil {
		return nil, d, err
	}
	if _, err := io.Copy(io.Discard, onlyReader{blob}); err != nil { // what follows the compressed data
		return nil, d, err
	}
	d.Blob, _ = blob.Digest()
	d.DiffID, _ = plain.Digest()
	return l, d, nil
}

// list reads an uncompressed layer. Without visit, it stops where the layer turns out to be odd.
func list(in *Ahead, odd string, visit Visit) (*Listing, error) {
	l := &lister{Listing: &Listing{Odd: odd}, in: in, visit: visit, sum: sha256.New(), buf: make([]byte, 32<<10)}
	if err := l.all(); err != nil {
		return nil, err
	}
	if l.Odd == "" || visit != nil {
		if _, err := io.CopyBuffer(io.Discard, onlyReader{in}, l.buf); err != nil {
			return nil, err
		}
	}
	if l.Odd == "" {
		l.DiffID, l.Size = in.Digest()
		l.Odd = contradiction(l.Entries)
	}
	if l.Odd != "" {
		return &Listing{Odd: l.Odd}, nil
	}
	return l.Listing, nil
}

// recovered turns a panic into an error. Decoders of untrusted data have had bugs, which must not stop a publish that
// can continue without the result.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("a decoder failed: %v", p)
	}
}

// contextReader stops reading when the context ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}

// onlyReader hides every other method.
type onlyReader struct{ io.Reader }

type lister struct {
	*Listing
	in    *Ahead
	visit Visit
	sum   hash.Hash
	buf   []byte
	text  int
}

func (l *lister) all() error {
	// A tar.Reader reads block by block and never reads ahead, so the position after Next is where the content
	// begins.
	in := tar.NewReader(onlyReader{l.in})
	for l.Odd == "" || l.visit != nil {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data := l.in.pos
		var head []byte
		if l.visit != nil {
			if head, err = readHead(in, l.buf[:HeadSize]); err != nil {
				return err
			}
			if err := l.visit(h, head); err != nil {
				return err
			}
		}
		if l.Odd != "" {
			continue
		}
		if err := l.add(h, data, head, in); err != nil {
			return err
		}
		if l.Odd != "" {
			l.Entries = nil // they take up memory, and nobody may rely on them
		}
	}
	return nil
}

func readHead(body io.Reader, buf []byte) ([]byte, error) {
	n, err := io.ReadFull(body, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n < len(buf) {
		err = nil
	}
	return buf[:n], err
}

func (l *lister) odd(format string, args ...any) { l.Odd = fmt.Sprintf(format, args...) }

// kinds are the types of tar entries that are supported.
var kinds = map[byte]Kind{
	tar.TypeReg: File, '\x00': File, tar.TypeDir: Dir, tar.TypeSymlink: Symlink, tar.TypeLink: Hardlink,
	tar.TypeChar: CharDevice, tar.TypeBlock: BlockDevice, tar.TypeFifo: Fifo,
}

// add records an entry whose content begins at the offset data. head is what has been read of it.
func (l *lister) add(h *tar.Header, data int64, head []byte, body io.Reader) error {
	kind, ok := kinds[h.Typeflag]
	switch p := cleaned(h.Name); {
	case sparse(h): // reading it would include its holes, which may be as long as its header says
		l.odd("%q is a sparse file", h.Name)
		return nil
	case !ok:
		l.odd("%q has the type %q", h.Name, h.Typeflag)
		return nil
	case p == "":
		l.odd("the path %.100q leads out of the image, is empty or is too long", h.Name)
		return nil
	case kind != Dir && (p == "/" || strings.HasSuffix(h.Name, "/")):
		l.odd("%q has the name of a directory but is not one", h.Name)
		return nil
	case len(l.Entries) == maxEntries:
		l.odd("it has more than %d entries", maxEntries)
		return nil
	default:
		return l.entry(h, head, body, Entry{
			Path: p, Kind: kind, Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid, Modified: h.ModTime.UnixNano(), Data: data,
		})
	}
}

func (l *lister) entry(h *tar.Header, head []byte, body io.Reader, e Entry) error {
	if l.removal(&e) {
		return nil
	}
	switch e.Kind {
	case File:
		l.sum.Reset()
		_, _ = l.sum.Write(head) // a hash never fails
		n, err := io.CopyBuffer(l.sum, body, l.buf)
		if err != nil {
			return err
		}
		e.Size = int64(len(head)) + n
		l.sum.Sum(e.Sum[:0])
	case Symlink:
		e.Link = h.Linkname
	case Hardlink:
		if e.Link = cleaned(h.Linkname); e.Link == "" {
			l.odd("the hard link %s leads out of the image", e.Path)
		}
	case CharDevice, BlockDevice:
		e.Major, e.Minor = h.Devmajor, h.Devminor
		if e.Major == 0 && e.Minor == 0 {
			l.odd("%s is a device 0:0, with which overlayfs marks removed files", e.Path)
		}
	}
	for key, value := range h.PAXRecords {
		if paxKeys[key] {
			continue
		}
		if strings.Contains(key, "overlay.") {
			l.odd("%s has the attribute %s, which overlayfs reserves for itself", e.Path, key)
		}
		if e.Extra == nil {
			e.Extra = map[string]string{}
		}
		e.Extra[key] = value
		l.text += len(key) + len(value)
	}
	l.append(e)
	return nil
}

func (l *lister) append(e Entry) {
	if l.text += len(e.Path) + len(e.Link); l.text > maxText {
		l.odd("its paths are longer than %d MB", maxText>>20)
	}
	l.Entries = append(l.Entries, e)
}

// sparse reports whether an entry is a sparse file in one of the formats of GNU tar or star.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") || key == "SCHILY.realsize" {
			return true
		}
	}
	return false
}

// paxKeys lists the PAX records that are already in an Entry's fields or do not matter (pax(1)). All others are kept,
// such as extended attributes (SCHILY.xattr.*).
var paxKeys = map[string]bool{
	"path": true, "linkpath": true, "size": true, "uid": true, "gid": true, "uname": true, "gname": true, "mtime": true, "atime": true,
	"ctime": true, "comment": true, "charset": true, "hdrcharset": true, "SCHILY.devmajor": true, "SCHILY.devminor": true,
}

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// removal records an entry if it removes something, and reports whether it does.
func (l *lister) removal(e *Entry) bool {
	dir, base := path.Split(e.Path)
	dir = path.Clean(dir)
	switch {
	case !strings.HasPrefix(base, whiteoutPrefix):
		return false
	case base == opaqueName:
		l.append(Entry{Path: dir, Kind: Opaque})
		return true
	case strings.HasPrefix(base, whiteoutPrefix+whiteoutPrefix):
		l.odd("%s belongs to aufs", e.Path)
		return true
	}
	name := strings.TrimPrefix(base, whiteoutPrefix)
	if name == "" || name == "." || name == ".." || e.Kind == Dir {
		l.odd("%s does not name what it removes", e.Path)
		return true
	}
	l.append(Entry{Path: path.Join(dir, name), Kind: Whiteout})
	return true
}
