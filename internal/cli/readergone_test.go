//go:build unix

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, e := range []*Env{{Out: w}, {Out: file}, {Out: &bytes.Buffer{}}} {
		if err := e.ReaderGone(); err != nil {
			t.Errorf("%T: %v", e.Out, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (&Env{Out: w}).ReaderGone(); !isClosed(err) {
		t.Errorf("%v", err)
	}
}
