package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// lock is an advisory lock of the operating system on a file. It ends with the
// process that holds it, even if that is killed, so locks are never stale.
type lock struct{ file *os.File }

// holder is the content of the lock file: which process holds the lock.
type holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// errHeld means that another process holds the lock.
var errHeld = errors.New("held by another process")

func takeLock(path, worker string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, unusable(filepath.Dir(path), "the lock file cannot be created", err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errHeld) {
			return nil, unusable(filepath.Dir(path), "the directory cannot be locked", err)
		}
		var h holder
		text, rerr := io.ReadAll(io.LimitReader(f, 4<<10))
		if rerr != nil || json.Unmarshal(text, &h) != nil {
			h = holder{} // the holder has not written its note yet
		}
		return nil, held(h, worker, path)
	}
	h := holder{PID: os.Getpid(), Command: filepath.Base(os.Args[0]), Since: time.Now().UTC()}
	h.Host, _ = os.Hostname() // only for the message
	text, err := json.Marshal(h)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(text, 0)
	}
	if err != nil {
		return nil, errors.Join(unusable(filepath.Dir(path), "the lock file cannot be written", err), f.Close())
	}
	return &lock{f}, nil
}

func held(h holder, worker, path string) *pipeline.Finding {
	f := &pipeline.Finding{Code: codeLayoutLocked, Severity: pipeline.Error, Where: path,
		What: "another publish of " + worker + " from this checkout is running", Fix: "wait until it ends, or end it"}
	if h.PID != 0 {
		f.Why = fmt.Sprintf("process %d (%s) on %s since %s", h.PID, h.Command, h.Host, h.Since.Local().Format(time.TimeOnly))
		f.Fix = fmt.Sprintf("wait until it ends, or end it: kill %d", h.PID)
	}
	return f
}

// release releases the lock. The file stays, because if it were removed, two
// processes could lock two different files of the same name.
func (l *lock) release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
