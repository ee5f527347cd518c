package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// JournalPath returns the path of the journal that all runs which change the same
// thing share. title makes the name readable, and a hash of all arguments makes
// it unique. The path is empty if there is no state directory, which is reported
// when the receipt is stored.
func JournalPath(getenv func(string) string, title string, what ...string) string {
	dir, err := statefile.StateDir(getenv)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	return filepath.Join(dir, "journal", title+"-"+hex.EncodeToString(sum[:6])+".jsonl")
}
