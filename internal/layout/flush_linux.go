//go:build linux && (amd64 || arm64)

package layout

import (
	"os"
	"syscall"
)

// flush starts writing a part of a file to the disk and does not wait for it (sync_file_range(2)). Without it, an
// fsync takes 0.35 s for each GB on a disk that writes 2.7 GB/s. An error does not matter: whoever needs the file on the
// disk calls fsync.
func flush(f *os.File, from, size int64) {
	const start = 2 // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(f.Fd()), from, size, start)
}
