//go:build !windows

package layout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// ingesting is a blob that is being written as containerd's content store does it.
type ingesting struct {
	*testing.T
	dir  string
	file *os.File
}

func ingest(t *testing.T, dir, id string) *ingesting {
	t.Helper()
	home := filepath.Join(dir, "ingest", id)
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(home, "data"))
	if err != nil {
		t.Fatal(err)
	}
	return &ingesting{t, dir, f}
}

func (i *ingesting) write(b []byte) {
	i.Helper()
	if _, err := i.file.Write(b); err != nil {
		i.Fatal(err)
	}
}

func (i *ingesting) commit() {
	i.Helper()
	blobs := filepath.Join(i.dir, "blobs", "sha256")
	err := errors.Join(i.file.Close(), os.MkdirAll(blobs, 0o755), os.Rename(i.file.Name(), filepath.Join(blobs, "x")),
		os.RemoveAll(filepath.Dir(i.file.Name())))
	if err != nil {
		i.Fatal(err)
	}
}

// followed collects what Follow reads.
type followed struct {
	begun chan struct{} // receives once for each blob whose first bytes were read
	mu    sync.Mutex
	blobs [][]byte
	errs  []error
}

func (f *followed) read(_ context.Context, blob io.Reader) {
	var first [1]byte
	_, err := io.ReadFull(blob, first[:])
	f.begun <- struct{}{}
	var rest []byte
	if err == nil {
		rest, err = io.ReadAll(blob)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs, f.errs = append(f.blobs, append(first[:], rest...)), append(f.errs, err)
}

func half(b byte) []byte { return bytes.Repeat([]byte{b}, followFrom) }

func TestFollow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, dir string, f *followed)
		want []byte // nil if nothing is to be read
		err  error
	}{
		{"a blob is read while it grows", func(t *testing.T, dir string, f *followed) {
			i := ingest(t, dir, "a")
			i.write(half('a'))
			<-f.begun
			i.write(half('b'))
			i.commit()
		}, append(half('a'), half('b')...), nil},
		{"the writer starts over in another file", func(t *testing.T, dir string, f *followed) {
			i := ingest(t, dir, "a")
			i.write(half('a'))
			<-f.begun
			if err := errors.Join(i.file.Close(), os.Remove(i.file.Name())); err != nil {
				t.Fatal(err)
			}
			i = ingest(t, dir, "a")
			i.write([]byte("small"))
			i.commit()
		}, half('a'), nil},
		{"the writer ends early", func(t *testing.T, dir string, f *followed) {
			i := ingest(t, dir, "a")
			i.write(half('a'))
			<-f.begun
		}, half('a'), errNotCompleted},
		{"a small blob is not followed", func(t *testing.T, dir string, _ *followed) {
			i := ingest(t, dir, "a")
			i.write([]byte("small"))
			i.commit()
		}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := &followed{begun: make(chan struct{}, 1)}
			finish := Follow(t.Context(), dir, f.read)
			tt.do(t, dir, f)
			finish()
			switch {
			case tt.want == nil && len(f.blobs) > 0:
				t.Errorf("%d blobs were read", len(f.blobs))
			case tt.want != nil && (len(f.blobs) != 1 || !bytes.Equal(f.blobs[0], tt.want) || !errors.Is(f.errs[0], tt.err)):
				t.Errorf("%d blobs, %v", len(f.blobs), f.errs)
			}
		})
	}
}

// TestFollowLeftovers checks that what an interrupted build has left is not waited for.
func TestFollowLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ingest(t, dir, "old").write(half('o'))
	f := &followed{begun: make(chan struct{}, 2)}
	finish := Follow(t.Context(), dir, f.read)
	i := ingest(t, dir, "new")
	i.write(half('n'))
	<-f.begun
	i.commit()
	finish()
	if len(f.blobs) != 1 || !bytes.Equal(f.blobs[0], half('n')) {
		t.Errorf("%d blobs, %v", len(f.blobs), f.errs)
	}
}

// TestFollowCancelled checks that the end of the context ends the reading of a blob that never ends.
func TestFollowCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	f := &followed{begun: make(chan struct{}, 1)}
	finish := Follow(ctx, dir, f.read)
	ingest(t, dir, "a").write(half('a'))
	<-f.begun
	cause := errors.New("interrupted")
	cancel(cause)
	finish()
	if len(f.errs) != 1 || !errors.Is(f.errs[0], cause) {
		t.Errorf("%v", f.errs)
	}
}
