//go:build !windows

package layout

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// followFrom is the size in bytes from which a blob is read while it is being written. A smaller one is read in no
	// time afterwards.
	followFrom = 4 << 20
	// followEvery is how often a file that is being written is looked at. There is no portable way to be notified.
	followEvery = 20 * time.Millisecond
	// flushEach is how many bytes the system is asked to write to the disk at a time.
	flushEach = 8 << 20
)

// Follow reads large blobs while another program writes them into the layout directory dir, so that reading a blob does
// not take extra time after it is complete. read is called for each of them, in a goroutine of its own, and gets
// io.EOF after the last byte of a complete blob. It must compute the digest of what it reads and rely on nothing else
// to identify the blob, because the other program may start over. If the blob is not completed, read gets
// errNotCompleted.
//
// BuildKit's clients write each blob to ingest/ID/data and rename that file when it is complete (containerd,
// plugins/content/local/writer.go). Before that they wait until the disk has the file (fsync). Follow asks the system to
// write what it has read, so that little is left to wait for.
//
// The caller must call finish when the other program has ended. It waits until all blobs have been read. The end of
// ctx stops reading.
func Follow(ctx context.Context, dir string, read func(ctx context.Context, blob io.Reader)) (finish func()) {
	f := &follower{ingest: filepath.Join(dir, "ingest"), read: read, over: make(chan struct{}), seen: map[string]os.FileInfo{}}
	f.group.SetLimit(runtime.GOMAXPROCS(0))
	f.skipAll() // what is left of an interrupted build
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		f.watch(ctx)
	}()
	return func() {
		close(f.over)
		<-watched
		_ = f.group.Wait() // none of its functions returns an error
	}
}

type follower struct {
	ingest string
	read   func(context.Context, io.Reader)
	over   chan struct{} // closed when the other program has ended
	group  errgroup.Group
	seen   map[string]os.FileInfo
}

func (f *follower) skipAll() {
	for path, info := range f.files() {
		f.seen[path] = info
	}
}

// files returns the files that are being written. What cannot be read is as good as absent, because every blob is read
// again by whoever needs it.
func (f *follower) files() map[string]os.FileInfo {
	all := map[string]os.FileInfo{}
	entries, err := os.ReadDir(f.ingest)
	if err != nil {
		return all
	}
	for _, e := range entries {
		path := filepath.Join(f.ingest, e.Name(), "data")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			all[path] = info
		}
	}
	return all
}

func (f *follower) watch(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for path, info := range f.files() {
			if info.Size() < followFrom || f.seen[path] != nil && os.SameFile(info, f.seen[path]) {
				continue
			}
			if f.group.TryGo(func() error { f.follow(ctx, path); return nil }) {
				f.seen[path] = info
			}
		}
		select {
		case <-tick.C:
		case <-f.over:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (f *follower) follow(ctx context.Context, path string) {
	file, err := os.Open(path)
	if err != nil {
		return // completed since then
	}
	defer file.Close()
	f.read(ctx, &growing{ctx: ctx, file: file, path: path, over: f.over})
}

// errNotCompleted means that the program that wrote a blob has ended without completing it.
var errNotCompleted = errors.New("the blob was not completed")

// growing reads a file that is being written.
type growing struct {
	ctx  context.Context
	file *os.File
	path string // where the file is until it is complete
	over <-chan struct{}
	done bool // nothing will be added

	read, flushed int64 // bytes that were read, and that the system was asked to write
}

// Read waits for more if the file is not complete.
func (g *growing) Read(p []byte) (int, error) {
	for {
		n, err := g.file.Read(p)
		if g.read += int64(n); g.read-g.flushed >= flushEach && !g.done {
			flush(g.file, g.flushed, g.read-g.flushed)
			g.flushed = g.read
		}
		if n > 0 || g.done || !errors.Is(err, io.EOF) {
			return n, err
		}
		over := false
		timer := time.NewTimer(followEvery)
		select {
		case <-timer.C:
		case <-g.over:
			over = true
		case <-g.ctx.Done():
			timer.Stop()
			return 0, context.Cause(g.ctx)
		}
		timer.Stop()
		// What was written before the file was renamed is read in the next round.
		switch g.done = g.renamed(); {
		case g.ctx.Err() != nil:
			return 0, context.Cause(g.ctx)
		case over && !g.done:
			return 0, errNotCompleted
		}
	}
}

func (g *growing) renamed() bool {
	mine, err := g.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(g.path)
	return errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(mine, there)
}
