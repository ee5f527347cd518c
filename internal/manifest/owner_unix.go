//go:build unix

package manifest

import (
	"os"
	"syscall"
)

// keepOwner gives f the owner and group of the file that it replaces.
func keepOwner(f *os.File, was os.FileInfo) error {
	is, err := f.Stat()
	if err != nil {
		return err
	}
	old, ok := was.Sys().(*syscall.Stat_t)
	cur, ok2 := is.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || (old.Uid == cur.Uid && old.Gid == cur.Gid) {
		return nil
	}
	return f.Chown(int(old.Uid), int(old.Gid))
}
