package runnable

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

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
// except for a layer that was skipped.
//
// Both digests are computed in goroutines of their own. For an uncompressed layer
// they are the same and computed only once. Hashing takes longer than everything
// else here (512 MB on two busy cores: 0.6 s instead of 1.6 s).
func summarize(ctx context.Context, from io.Reader) (s *summary, digest string, err error) {
	raw := layer.NewAhead(&watched{ctx, from})
	defer raw.Stop()
	in := bufio.NewReaderSize(raw, 256<<10)
	stream, done, err := decompress(in)
	if err != nil {
		return nil, "", err
	}
	defer done()
	plain := raw
	if stream != io.Reader(in) {
		plain = layer.NewAhead(stream)
		defer plain.Stop()
		stream = plain
	}
	s, err = summarizeTar(stream)
	if err != nil || s.Skipped != "" {
		return s, "", err
	}
	for _, rest := range []io.Reader{stream, in} { // what follows the tar's end marker
		if _, err := io.Copy(io.Discard, rest); err != nil {
			return nil, "", err
		}
	}
	s.DiffID, digest = digestOf(plain), digestOf(raw)
	return s, digest, nil
}

func digestOf(a *layer.Ahead) string {
	h, _ := a.Digest()
	return h.String()
}

func summarizeTar(plain io.Reader) (*summary, error) {
	s := &summary{}
	own := map[string]int{} // path → index in Entries
	buf := make([]byte, headSize)
	in := tar.NewReader(plain)
	for n := 0; ; n++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		if n == maxPaths {
			return &summary{Skipped: "a layer has too many files"}, nil
		}
		if err := s.add(h, in, own, buf); err != nil {
			return nil, err
		}
	}
}

// watched stops reading when the context ends.
type watched struct {
	ctx  context.Context
	from io.Reader
}

func (w *watched) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.from.Read(p)
}

func decompress(from *bufio.Reader) (io.Reader, func(), error) {
	magic, err := from.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Close() }, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return from, func() {}, nil
}

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

func (s *summary) add(h *tar.Header, body io.Reader, own map[string]int, buf []byte) error {
	p := clean(h.Name)
	dir, base := path.Split(p)
	dir = path.Clean(dir)
	switch {
	case base == opaque:
		s.Opaque = append(s.Opaque, dir)
		return nil
	case strings.HasPrefix(base, whiteout+whiteout):
		return nil // bookkeeping of aufs
	case strings.HasPrefix(base, whiteout):
		s.Whiteouts = append(s.Whiteouts, path.Join(dir, strings.TrimPrefix(base, whiteout)))
		return nil
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
			return nil
		}
		put(entry{Path: p, Kind: hardlink, Link: to})
	case tar.TypeReg, '\x00': // '\x00' is how old tars mark a file
		n, err := io.ReadFull(body, buf)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return err
		}
		exec := h.Mode&0o111 != 0
		if hd, k := inspect(buf[:n]); exec || k == program || k == script {
			put(entry{Path: p, Kind: k, Exec: exec, head: hd})
			return nil
		}
		drop()
		s.Hides = append(s.Hides, hashOf(p))
	default:
		drop()
		s.Hides = append(s.Hides, hashOf(p))
	}
	return nil
}
