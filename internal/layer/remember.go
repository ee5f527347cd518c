package layer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// listingVersion is part of a remembered listing's name: raise it when Read finds more, or other things, than before.
const listingVersion = "list1"

// listingPath is where the listing of the layer with that digest is remembered. The name begins with the digest, by
// which the layout's collector knows when the layer is gone.
func listingPath(dir string, digest v1.Hash) string {
	return filepath.Join(dir, digest.Hex+"."+listingVersion)
}

// Remembered returns the listing that Remember left in dir, nil where there is none that can be read: it is then made
// again.
func Remembered(dir string, digest v1.Hash) *Listing {
	f, err := os.Open(listingPath(dir, digest))
	if err != nil {
		return nil
	}
	defer f.Close()
	l, err := decode(f)
	if err != nil {
		return nil
	}
	return l
}

// decode reads a listing and the checksum behind it: the proof of an image rests on what was remembered.
func decode(r io.Reader) (_ *Listing, err error) {
	defer recovered(&err)
	sum := sha256.New()
	in := gob.NewDecoder(&tee{bufio.NewReaderSize(r, 64<<10), sum})
	var l Listing
	if err := in.Decode(&l); err != nil {
		return nil, err
	}
	want, got := sum.Sum(nil), []byte(nil)
	if err := in.Decode(&got); err != nil {
		return nil, err
	}
	if !bytes.Equal(got, want) {
		return nil, errors.New("the checksum is not that of the listing")
	}
	return &l, nil
}

// tee hashes what is read through it. It is an io.ByteReader, so that gob reads not a byte more than a value.
type tee struct {
	*bufio.Reader
	sum hash.Hash
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	_, _ = t.sum.Write(p[:n]) // a hash takes everything
	return n, err
}

func (t *tee) ReadByte() (byte, error) {
	b, err := t.Reader.ReadByte()
	if err == nil {
		_, _ = t.sum.Write([]byte{b})
	}
	return b, err
}

// Remember keeps the listing of the layer with that digest in dir.
func Remember(dir string, digest v1.Hash, l *Listing) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(tmp, 256<<10)
	sum := sha256.New()
	out := gob.NewEncoder(io.MultiWriter(w, sum))
	err = out.Encode(l)
	err = errors.Join(err, out.Encode(sum.Sum(nil)), w.Flush(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), listingPath(dir, digest))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
