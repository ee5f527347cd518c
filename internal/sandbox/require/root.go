package require

import (
	"os"
	"runtime"
	"testing"
)

// Root checks that the test runs as root on Linux, which is needed to start
// daemons that mount file systems and create namespaces.
func Root(t testing.TB) {
	t.Helper()
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		return
	}
	if os.Getenv(EnvDir) != "" {
		t.Fatal("needs Linux and root, which the sandbox requires")
	}
	t.Skipf("needs Linux and root: %s", remedy)
}
