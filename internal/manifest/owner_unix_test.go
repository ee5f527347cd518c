//go:build unix

package manifest

import (
	"os"
	"syscall"
	"testing"
)

func checkOwner(t *testing.T, info os.FileInfo, uid, gid int) {
	t.Helper()
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != uid || int(st.Gid) != gid {
		t.Errorf("owner = %+v, want %d:%d", info.Sys(), uid, gid)
	}
}
