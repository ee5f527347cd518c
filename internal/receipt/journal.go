package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// JournalPath is where runs that change one thing keep their journal: title is
// for the reader, and all of what is hashed. It is empty where there is no state
// directory; keeping the receipt reports that.
func JournalPath(title string, what ...string) string {
	dir, err := statefile.StateDir(os.Getenv)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	return filepath.Join(dir, "journal", title+"-"+hex.EncodeToString(sum[:6])+".jsonl")
}
