package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// JournalPath is where runs that change one thing keep their journal: title is
// for the eye, and all of what is hashed. It is empty where there is no state
// directory; keeping the receipt tells of that.
func JournalPath(title string, what ...string) string {
	dir, err := receipt.StateDir(os.Getenv)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	return filepath.Join(dir, "journal", title+"-"+hex.EncodeToString(sum[:6])+".jsonl")
}

// Killed words what an earlier run left; nil when there is nothing. The caller
// adds what was changed by it and what to do.
func Killed(l *pipeline.Leftover) *pipeline.Finding {
	if l == nil {
		return nil
	}
	began, last := l.Last()
	what := "an earlier " + began.Run
	if tag := began.Subject["tag"]; tag != "" && tag != began.Run {
		what += " of " + tag
	}
	how := "was killed before its first stage"
	if stage := l.Stage(); stage != "" {
		how = "was killed in stage " + stage
	}
	if last.State == "left" {
		how = "could not put back what it had changed"
	}
	return &pipeline.Finding{Code: "run-killed", Severity: pipeline.Note,
		What: fmt.Sprintf("%s %s (begun %s, last heard of %s, process %d)", what, how,
			began.Time.Local().Format("2006-01-02 15:04:05"), last.Time.Local().Format("15:04:05"), began.PID)}
}
