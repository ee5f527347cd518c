// Package layer answers what an OCI layer contains, entry by entry, and whether two layers amount to the same,
// so that a layer that was built again and hardly differs need not be sent again.
//
// Read lists a layer. Tree lays listings over each other as a container runtime does. Compare finds what turns one
// tree into another, and WriteDelta writes that as a small layer. Compress makes the form in which a layer is sent.
//
// # Decisions
//
//   - What makes an entry is its type, content, mode, owner, link target, device number and extended attributes.
//     Modification times do not count, as in BuildKit's own cache.
//   - Runtimes agree on ordinary layers and differ on odd ones: duplicate entries, paths through a symlink, a whiteout
//     next to the entry that it hides, sparse files. An odd layer is named as such (Listing.Odd, ErrUncertain), and
//     whoever asks leaves it alone: a layer that is sent once too often costs time, a wrong one costs the image.
//   - Two trees are compared, not two layers. What a layer leaves of the layers below it depends on those, and only
//     the trees show it: opaque directories, whiteouts and hard links need no rules of their own.
//   - A layer is untrusted input. Listings are bounded, and a panic in a decoder is an error.
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

// The kinds of entries. Whiteout removes its path from the layers below; Opaque removes what the layers below have
// in the directory.
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
	Path string // absolute and clean; of a whiteout, the path that it removes
	Kind Kind
	Mode int64 // permissions with setuid, setgid and sticky bits
	UID  int
	GID  int
	Size int64    // of the content, bytes
	Sum  [32]byte // SHA-256 of the content
	// Link is a symlink's target as it is written, or a hard link's as a path.
	Link         string
	Major, Minor int64
	// Extra are the PAX records that say more than the fields above: extended attributes.
	Extra map[string]string
	// Modified is in nanoseconds since 1970. It is kept for the small layer and never compared.
	Modified int64
	// Data is where the content begins in the uncompressed layer.
	Data int64
}

// same reports whether two entries make the same inode; names and times do not belong to it.
func (e *Entry) same(o *Entry) bool {
	return e.Kind == o.Kind && e.Mode == o.Mode && e.UID == o.UID && e.GID == o.GID && e.Size == o.Size && e.Sum == o.Sum &&
		e.Link == o.Link && e.Major == o.Major && e.Minor == o.Minor && maps.Equal(e.Extra, o.Extra)
}

// Listing is what a layer contains.
type Listing struct {
	// DiffID is the digest of the uncompressed layer.
	DiffID v1.Hash
	// Size is that of the uncompressed layer, bytes.
	Size    int64
	Entries []Entry
	// Odd is why nobody should build on this listing; the rest is then incomplete.
	Odd string
}

// Files counts what a person would call a file: everything but directories and removals.
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

// Shared returns how much of a layer another one has too, as the sizes of the contents and a block for each entry.
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

// ErrUncertain marks layers on whose meaning container runtimes do not agree, or that this package does not follow.
var ErrUncertain = errors.New("its meaning is not certain")

const (
	// maxEntries and maxText bound a listing's memory: 200,000 entries take about 70 MB with the trees made of them.
	maxEntries = 200_000
	maxText    = 48 << 20 // bytes of paths, link targets and attributes
)
