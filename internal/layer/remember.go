package layer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// listingVersion is part of the name of a stored listing. Increase it whenever Read returns more or different
// facts.
const listingVersion = "list2"

// listingPath returns the path of the stored listing of a layer. The name begins with the layer's digest, so that
// layout.Collect can remove the listing together with the layer.
func listingPath(dir string, digest v1.Hash) string {
	return filepath.Join(dir, digest.Hex+"."+listingVersion)
}

// Remembered returns the listing that Remember stored in dir, or nil if there is none that can be read. The caller
// then makes it again.
func Remembered(dir string, digest v1.Hash) *Listing {
	text, err := os.ReadFile(listingPath(dir, digest))
	if err != nil {
		return nil
	}
	l, err := decode(text)
	if err != nil {
		return nil
	}
	return l
}

// Stored reports whether Remember has stored a listing in dir, without reading it.
func Stored(dir string, digest v1.Hash) bool {
	_, err := os.Stat(listingPath(dir, digest))
	return err == nil
}

// kept is the form of a listing on disk. It is JSON because the program links that anyway (encoding/gob
// would add half a megabyte).
type kept struct {
	Listing
	Entries []keptEntry
}

// keptEntry has bytes where Entry has text that may not be valid UTF-8, which JSON would change, and the digest as
// bytes, because JSON would write an array of numbers.
type keptEntry struct {
	Entry
	Path, Link, Sum []byte
	Extra           [][2][]byte `json:",omitempty"`
}

func (k *keptEntry) entry() (Entry, error) {
	e := k.Entry
	if len(k.Sum) != len(e.Sum) {
		return e, fmt.Errorf("%s has a digest of %d bytes", k.Path, len(k.Sum))
	}
	e.Path, e.Link, e.Sum, e.Extra = string(k.Path), string(k.Link), [sha256.Size]byte(k.Sum), nil
	for _, x := range k.Extra {
		if e.Extra == nil {
			e.Extra = map[string]string{}
		}
		e.Extra[string(x[0])] = string(x[1])
	}
	return e, nil
}

func keep(e *Entry) keptEntry {
	k := keptEntry{Entry: *e, Path: []byte(e.Path), Link: []byte(e.Link), Sum: e.Sum[:]}
	for _, name := range slices.Sorted(maps.Keys(e.Extra)) {
		k.Extra = append(k.Extra, [2][]byte{[]byte(name), []byte(e.Extra[name])})
	}
	return k
}

// decode reads a listing and verifies its checksum, because proving that an image is unchanged
// relies on it.
func decode(text []byte) (_ *Listing, err error) {
	defer recovered(&err)
	sum, text, ok := bytes.Cut(text, []byte("\n"))
	if !ok || string(sum) != checksum(text) {
		return nil, errors.New("the checksum does not match the listing")
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, err
	}
	l := k.Listing
	l.Entries = make([]Entry, len(k.Entries))
	for i := range k.Entries {
		if l.Entries[i], err = k.Entries[i].entry(); err != nil {
			return nil, err
		}
	}
	return &l, nil
}

func encode(l *Listing) ([]byte, error) {
	k := kept{Listing: *l, Entries: make([]keptEntry, len(l.Entries))}
	for i := range l.Entries {
		k.Entries[i] = keep(&l.Entries[i])
	}
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	return append([]byte(checksum(text)+"\n"), text...), nil
}

func checksum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Remember stores the listing of the layer with the given digest in dir.
func Remember(dir string, digest v1.Hash, l *Listing) error {
	text, err := encode(l)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return statefile.Write(listingPath(dir, digest), text, 0o600)
}
