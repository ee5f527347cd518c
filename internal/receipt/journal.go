package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// JournalPath is where runs that change the same thing keep their journal:
// title is for people, and all arguments are hashed. It is empty if there is no
// state directory, which keeping the receipt will report.
func JournalPath(title string, what ...string) string {
	dir, err := statefile.StateDir(os.Getenv)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	return filepath.Join(dir, "journal", title+"-"+hex.EncodeToString(sum[:6])+".jsonl")
}
