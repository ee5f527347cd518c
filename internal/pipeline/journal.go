package pipeline

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Journal is a small file that records which stage a run is in and what it is about
// to change. It is written during the run and removed when the run ends by itself. If
// the run is killed, the next run learns from it what was changed and what was there
// before: see Leftover.
//
// The file is locked while its run is alive, and the operating system unlocks it
// however the run ends, so nobody has to guess from process ids. Later runs append
// to it, so that the facts of the first of several killed runs are not lost.
type Journal struct {
	// Subject is recorded with the run: what it ships.
	Subject map[string]string

	path string
	run  string
	id   string

	mu       sync.Mutex // guards what follows
	file     *os.File
	before   int64 // size of the leftover
	leftover *Leftover
	settled  bool
	err      error
}

// Entry is one line of a journal.
type Entry struct {
	Time    time.Time         `json:"time"`
	Run     string            `json:"run,omitempty"`
	ID      string            `json:"id,omitempty"` // of the run
	Host    string            `json:"host,omitempty"`
	PID     int               `json:"pid,omitempty"`
	Stage   string            `json:"stage,omitempty"`
	State   string            `json:"state,omitempty"` // started, changing, left
	Subject map[string]string `json:"subject,omitempty"`
	// Fact names the content of Data, in terms of the command that wrote the journal.
	Fact string          `json:"fact,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Leftover is what runs left behind that ended without removing their journal: they
// were killed, or could not restore what they had changed.
type Leftover struct {
	Entries []Entry
}

// Last returns the first and the last entry of the last run.
func (l *Leftover) Last() (began, last Entry) {
	for _, e := range l.Entries {
		if e.Run != "" {
			began = e
		}
	}
	return began, l.Entries[len(l.Entries)-1]
}

// Stage returns the stage that the last run was in, or "" if it was in none yet.
func (l *Leftover) Stage() (stage string) {
	for _, e := range l.Entries {
		if e.Run != "" {
			stage = ""
		}
		if e.Stage != "" {
			stage = e.Stage
		}
	}
	return stage
}

// Changing reports whether any of the runs may have changed something.
func (l *Leftover) Changing() bool {
	for _, e := range l.Entries {
		if e.State == "changing" || e.Fact != "" {
			return true
		}
	}
	return false
}

// IDs returns the ids of the runs that left it and are known to have ended. A journal may
// be a copy (in a state directory that several machines share), whose lock proves nothing:
// a run on another machine, or one whose process still exists, may not have ended.
func (l *Leftover) IDs() (ids []string) {
	if l == nil {
		return nil
	}
	for _, e := range l.Entries {
		if e.ID != "" && e.Host == hostname() && (e.PID == os.Getpid() || !isRunning(e.PID)) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// hostname returns the name of this machine, or "" if it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// Facts returns everything that was recorded under a name, the oldest first.
func (l *Leftover) Facts(name string) (all []json.RawMessage) {
	if l == nil {
		return nil
	}
	for _, e := range l.Entries {
		if e.Fact == name {
			all = append(all, e.Data)
		}
	}
	return all
}

// NewJournal returns a journal at path. Nothing is written before a run begins.
func NewJournal(path string, subject map[string]string) *Journal {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails: crypto/rand would end the program instead
	return &Journal{path: path, Subject: subject, id: hex.EncodeToString(id)}
}

// ID returns the id of this run, which is unique.
func (j *Journal) ID() string {
	if j == nil {
		return ""
	}
	return j.id
}

// Leftover returns what the run found of earlier ones. It is nil if they ended by
// themselves, and while another run holds the journal.
func (j *Journal) Leftover() *Leftover {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.leftover
}

// Keep records a fact and syncs it to the disk, so that what is recorded before a
// change survives a loss of power in the middle of it.
func (j *Journal) Keep(fact string, v any) error {
	if j == nil {
		return nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(Entry{Fact: fact, Data: data})
	if j.file != nil && j.err == nil {
		j.err = j.file.Sync()
	}
	return nil // a run continues without its journal: see Err
}

// ReadLeftover reads what earlier runs left at path, without taking the journal. It
// returns nil if there is nothing or a run is in progress.
func ReadLeftover(path string) (*Leftover, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if free, err := tryLock(f); !free || err != nil {
		return nil, err
	}
	l, _, err := read(f)
	return l, err
}

// read parses the file. A last line that is incomplete because the run was killed does
// not count. end is where it begins.
func read(f *os.File) (l *Leftover, end int64, err error) {
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, 0, err
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	l = &Leftover{}
	for line := range bytes.Lines(text) {
		var e Entry
		if json.Unmarshal(line, &e) == nil {
			l.Entries = append(l.Entries, e)
		}
	}
	if len(l.Entries) == 0 {
		return nil, int64(len(text)), nil
	}
	return l, int64(len(text)), nil
}

func (j *Journal) begin(name string) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.run = name
	j.open()
}

// open takes the file unless another run has it. In that case the next note tries
// again, because this run may have waited for the other one.
func (j *Journal) open() {
	if j.file != nil || j.err != nil || j.run == "" {
		return
	}
	if j.err = os.MkdirAll(filepath.Dir(j.path), 0o700); j.err != nil {
		return
	}
	f, err := os.OpenFile(j.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		j.err = err
		return
	}
	free, err := tryLock(f)
	if free && err == nil {
		free, err = stillThere(f, j.path)
	}
	if !free || err != nil {
		j.err = errors.Join(err, f.Close())
		return
	}
	if j.leftover, j.before, err = read(f); err == nil {
		err = f.Truncate(j.before)
	}
	if err == nil {
		_, err = f.Seek(j.before, io.SeekStart)
	}
	if err != nil {
		j.err = errors.Join(err, f.Close())
		return
	}
	j.file = f
	j.write(Entry{Run: j.run, ID: j.id, Host: hostname(), PID: os.Getpid(), State: "started", Subject: j.Subject})
}

// stillThere checks that the previous owner of the file did not remove it between our
// opening and our locking it.
func stillThere(f *os.File, path string) (bool, error) {
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(ours, named), nil
}

func (j *Journal) note(stage, state string) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open()
	j.write(Entry{Stage: stage, State: state})
}

func (j *Journal) write(e Entry) {
	if j.file == nil || j.err != nil {
		return
	}
	e.Time = now()
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	j.err = err
}

// end removes the journal, or leaves it for the next run if there is still something
// to restore: because this run could not restore its changes, or because it changed
// nothing and an earlier run had.
func (j *Journal) end(end End, wanted bool) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return
	}
	switch {
	case end == Left && !j.settled && (!wanted || j.leftover != nil):
		j.write(Entry{State: "left"})
	case (end == Unchanged || end == RefusedByPreflight) && j.leftover != nil:
		j.err = errors.Join(j.err, j.file.Truncate(j.before))
	default:
		j.err = errors.Join(j.err, remove(j.file, j.path))
		j.file = nil
		return
	}
	j.err = errors.Join(j.err, j.file.Close())
	j.file = nil
}

// Settle records that nothing of what this run changed, or found changed by
// earlier ones, may be restored: it is somebody else's now. The journal is then
// removed at the end of the run, whatever its end.
func (j *Journal) Settle() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settled = true
}

// Err returns the first error of writing. A run continues without its journal.
func (j *Journal) Err() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		return nil
	}
	return fmt.Errorf("journal: %w", j.err)
}
