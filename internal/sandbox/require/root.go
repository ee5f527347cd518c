package require

import (
	"os"
	"runtime"
	"testing"
)

// Root asks for a Linux machine on which the test is root: what starts daemons
// that mount and make namespaces cannot do without.
func Root(t testing.TB) {
	t.Helper()
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		return
	}
	if os.Getenv(EnvDir) != "" {
		t.Fatal("needs Linux and root, which the sandbox asks for")
	}
	t.Skipf("needs Linux and root: %s", remedy)
}
