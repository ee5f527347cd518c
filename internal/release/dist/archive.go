package dist

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// member is a file that goes into an archive.
type member struct {
	name string
	mode os.FileMode
	data []byte
}

// pack creates the asset at path. For gh it is the binary itself, for krew an archive
// with the binary and the LICENSE, which krew's index requires.
func pack(o Options, a Asset, bin, path string) error {
	binary, err := os.ReadFile(bin)
	if err != nil {
		return err
	}
	if a.Plugin == GH {
		return os.WriteFile(path, binary, 0o755)
	}
	license, err := os.ReadFile(filepath.Join(o.Root, LicenseName))
	if err != nil {
		return err
	}
	members := []member{
		{LicenseName, 0o644, license},
		{a.Target.Binary(a.Plugin), 0o755, binary},
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	write := tarball
	if strings.HasSuffix(a.Name, ".zip") {
		write = zipped
	}
	if err := errors.Join(write(f, members, o.Date), f.Close()); err != nil {
		return fmt.Errorf("packing %s: %w", a.Name, err)
	}
	return nil
}

// tarball writes a .tar.gz that does not reveal who packed it or when.
func tarball(w io.Writer, members []member, date time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, m := range members {
		h := &tar.Header{
			Format:   tar.FormatUSTAR,
			Typeflag: tar.TypeReg,
			Name:     m.name,
			Mode:     int64(m.mode),
			Size:     int64(len(m.data)),
			ModTime:  date,
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(m.data); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// zipped does the same for a .zip. The format cannot represent years before 1980.
func zipped(w io.Writer, members []member, date time.Time) error {
	if date.Year() < 1980 {
		date = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	z := zip.NewWriter(w)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate, Modified: date}
		h.SetMode(m.mode)
		f, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := f.Write(m.data); err != nil {
			return err
		}
	}
	return z.Close()
}
