// Package layer lists the contents of an OCI layer and finds how two layers differ, so that a rebuilt layer that
// has hardly changed does not have to be sent again.
//
// Read lists a layer. Tree stacks listings as a container runtime does. Compare finds the difference between
// two trees, and WriteDelta writes it as a small layer. Compress produces the form in which a layer is sent.
//
// # Decisions
//
//   - Two entries are equal if their type, content, mode, owner, link target, device number and
//     extended attributes are equal. Modification times do not count, as in BuildKit's own cache.
//   - Runtimes agree on ordinary layers and differ on odd ones: duplicate entries, paths through a
//     symlink, a whiteout next to the entry that it hides, sparse files. An odd layer is reported
//     (Listing.Odd, ErrUncertain), and callers do not change it: sending a layer once too often
//     costs time, but a wrong layer breaks the image.
//   - Trees are compared, not layers. The effect of a layer depends on those below it, and only
//     the trees show it: opaque directories, whiteouts and hard links need no special rules.
//   - A layer is untrusted input. Listings are limited in size, and a panic in a decoder becomes an
//     error.
//
// The format: https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
package layer

import (
	"errors"
	"maps"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Kind is the type of an entry.
type Kind byte

// The kinds of entries. Whiteout removes its path from the layers below. Opaque removes everything that the layers
// below have in its directory.
const (
	File Kind = iota + 1
	Dir
	Symlink
	Hardlink
	CharDevice
	BlockDevice
	Fifo
	Whiteout
	Opaque
)

// Entry is one entry of a layer.
type Entry struct {
	Path string // absolute and clean; for a whiteout, the path that it removes
	Kind Kind
	Mode int64 // permissions with setuid, setgid and sticky bits
	UID  int
	GID  int
	Size int64    // of the content, bytes
	Sum  [32]byte // SHA-256 of the content
	// Link is a symlink's target as written, or a hard link's target as a path.
	Link         string
	Major, Minor int64
	// Extra are the PAX records beyond the fields above: extended attributes.
	Extra map[string]string
	// Modified is in nanoseconds since 1970. It is kept for the small layer and never compared.
	Modified int64
	// Data is the offset of the content in the uncompressed layer.
	Data int64
}

// same reports whether two entries create the same inode. Names and times do not
// matter.
func (e *Entry) same(o *Entry) bool {
	return e.Kind == o.Kind && e.Mode == o.Mode && e.UID == o.UID && e.GID == o.GID && e.Size == o.Size && e.Sum == o.Sum &&
		e.Link == o.Link && e.Major == o.Major && e.Minor == o.Minor && maps.Equal(e.Extra, o.Extra)
}

// Listing is what a layer contains.
type Listing struct {
	// DiffID is the digest of the uncompressed layer.
	DiffID v1.Hash
	// Size is the size of the uncompressed layer in bytes.
	Size    int64
	Entries []Entry
	// Odd is the reason why this listing must not be relied on. If it is set, the other
	// fields are incomplete.
	Odd string
}

// Files returns the number of entries that a person would call files: everything except
// directories and removals.
func (l *Listing) Files() int {
	n := 0
	for i := range l.Entries {
		switch l.Entries[i].Kind {
		case Dir, Whiteout, Opaque:
		default:
			n++
		}
	}
	return n
}

// Shared returns how many bytes of a layer another one also has, and how many there are in all. Each entry counts
// with the size of its content plus one block.
func (l *Listing) Shared(o *Listing) (shared, all int64) {
	const block = 512
	there := make(map[string]*Entry, len(o.Entries))
	for i := range o.Entries {
		there[o.Entries[i].Path] = &o.Entries[i]
	}
	for i := range l.Entries {
		e := &l.Entries[i]
		size := e.Size + block
		if other := there[e.Path]; other != nil && e.same(other) {
			shared += size
		}
		all += size
	}
	return shared, all
}

// ErrUncertain marks layers that container runtimes interpret differently, or that this package does not support.
var ErrUncertain = errors.New("container runtimes may interpret it differently")

const (
	// maxEntries and maxText limit a listing's memory: 200,000 entries take about 70 MB, including the trees made of
	// them.
	maxEntries = 200_000
	maxText    = 48 << 20 // bytes of paths, link targets and attributes
)
