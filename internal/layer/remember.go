package layer

import (
	"bufio"
	"encoding/gob"
	"errors"
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
	fi, err := f.Stat()
	if err != nil {
		return nil
	}
	l, err := decode(bufio.NewReaderSize(io.LimitReader(f, fi.Size()), 256<<10))
	if err != nil {
		return nil
	}
	return l
}

func decode(r io.Reader) (_ *Listing, err error) {
	defer recovered(&err)
	var l Listing
	err = gob.NewDecoder(r).Decode(&l)
	return &l, err
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
	err = errors.Join(gob.NewEncoder(w).Encode(l), w.Flush(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), listingPath(dir, digest))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
