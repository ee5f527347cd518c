package preflight

import (
	"os"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestMain(m *testing.M) { os.Exit(cptest.Main(m)) }
