package runnable

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"path"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/layer"
)

// maxPaths limits the number of paths in a layer. No real layer has more.
const maxPaths = 3_000_000

// summary describes what one layer does to the file system, as far as that
// matters for starting a program. It depends only on the layer's bytes.
type summary struct {
	// Skipped is the reason why the layer was not read. If it is set, the other
	// fields are empty.
	Skipped string `json:"skipped,omitempty"`
	// DiffID is the digest of the uncompressed layer.
	DiffID string `json:"diffID,omitempty"`
	// Entries are the layer's symlinks and programs.
	Entries []entry `json:"entries,omitempty"`
	// Hides are hashes of the paths of everything else except directories. Such a
	// path hides whatever the layers below have there.
	Hides hashes `json:"hides,omitempty"`
	// Dirs are hashes of the paths of directories, which hide files and symlinks of
	// the layers below.
	Dirs hashes `json:"dirs,omitempty"`
	// Whiteouts are paths that are removed; Opaque are directories whose
	// content in the layers below is removed (OCI image-spec layer.md).
	Whiteouts []string `json:"whiteouts,omitempty"`
	Opaque    []string `json:"opaque,omitempty"`
}

// kind is what an entry is.
type kind string

const (
	symlink  kind = "link"
	hardlink kind = "hard" // a hard link to a path that this layer does not have
	program  kind = "elf"
	script   kind = "script"
	other    kind = "other" // an executable file of another kind
)

// entry is a file that a command may refer to. Paths are absolute and clean.
type entry struct {
	Path string `json:"path"`
	Kind kind   `json:"kind"`
	Exec bool   `json:"exec,omitempty"` // some execute bit is set
	// Link is the target of a link, as written.
	Link string `json:"link,omitempty"`
	head
}

// head is what the first bytes of a file say about it.
type head struct {
	Machine uint16 `json:"machine,omitempty"` // e_machine of an ELF file
	Class   byte   `json:"class,omitempty"`   // 1: 32 bits, 2: 64
	Big     bool   `json:"big,omitempty"`     // big-endian
	Loader  string `json:"loader,omitempty"`  // PT_INTERP
	Shebang string `json:"shebang,omitempty"` // the text after #!
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// summarize reads a layer: a tar that is uncompressed or compressed with gzip or
// zstd, whatever its media type says. It also returns the digest of what it read,
// and with contents the layer's listing. Both are missing if the layer was
// skipped.
func summarize(ctx context.Context, from io.Reader, contents bool) (*summary, *layer.Listing, string, error) {
	s := &summary{}
	own := map[string]int{} // path → index in Entries
	n := 0
	listing, digests, err := layer.Scan(ctx, from, contents, func(h *tar.Header, head []byte) error {
		if n++; n > maxPaths {
			return errTooManyFiles
		}
		s.add(h, head, own)
		return nil
	})
	if errors.Is(err, errTooManyFiles) {
		return &summary{Skipped: err.Error()}, nil, "", nil
	}
	if err != nil {
		return nil, nil, "", err
	}
	s.DiffID = digests.DiffID.String()
	return s, listing, digests.Blob.String(), nil
}

var errTooManyFiles = errors.New("a layer has too many files")

// clean turns a tar's name into an absolute path.
func clean(name string) string { return path.Clean("/" + name) }

func hashOf(p string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, p) // never fails
	return h.Sum64()
}

// hashes has a packed text form, because a layer may have a hundred thousand of
// them.
type hashes []uint64

// MarshalText writes base64 of the little-endian numbers.
func (h hashes) MarshalText() ([]byte, error) {
	b := make([]byte, 0, 8*len(h))
	for _, n := range h {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads what MarshalText wrote.
func (h *hashes) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	*h = make(hashes, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		*h = append(*h, binary.LittleEndian.Uint64(b))
	}
	return nil
}

// add records one entry. begin is the beginning of a file.
func (s *summary) add(h *tar.Header, begin []byte, own map[string]int) {
	p := clean(h.Name)
	dir, base := path.Split(p)
	dir = path.Clean(dir)
	switch {
	case base == opaque:
		s.Opaque = append(s.Opaque, dir)
		return
	case strings.HasPrefix(base, whiteout+whiteout):
		return // bookkeeping of aufs
	case strings.HasPrefix(base, whiteout):
		s.Whiteouts = append(s.Whiteouts, path.Join(dir, strings.TrimPrefix(base, whiteout)))
		return
	}
	put := func(e entry) {
		if i, ok := own[p]; ok {
			s.Entries[i] = e // the last one in a tar wins
			return
		}
		own[p] = len(s.Entries)
		s.Entries = append(s.Entries, e)
	}
	drop := func() {
		if i, ok := own[p]; ok {
			s.Entries[i] = entry{}
			delete(own, p)
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		drop()
		s.Dirs = append(s.Dirs, hashOf(p))
	case tar.TypeSymlink:
		put(entry{Path: p, Kind: symlink, Link: h.Linkname})
	case tar.TypeLink:
		to := clean(h.Linkname)
		if i, ok := own[to]; ok {
			e := s.Entries[i]
			e.Path = p
			put(e)
			return
		}
		put(entry{Path: p, Kind: hardlink, Link: to})
	case tar.TypeReg, '\x00': // '\x00' is how old tars mark a file
		exec := h.Mode&0o111 != 0
		if hd, k := inspect(begin); exec || k == program || k == script {
			put(entry{Path: p, Kind: k, Exec: exec, head: hd})
			return
		}
		drop()
		s.Hides = append(s.Hides, hashOf(p))
	default:
		drop()
		s.Hides = append(s.Hides, hashOf(p))
	}
}
