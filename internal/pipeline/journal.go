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

// Journal is a small file that says which stage a run is in and what it is
// about to change, written as it goes and removed when the run ends by itself.
// What is left of it after a kill tells the next run what it finds, and what
// was there before: see Leftover.
//
// The file is locked while its run lives, and the operating system unlocks it
// however the run ends: no process number is guessed at. Further runs append,
// so that of several killed runs the first one's facts are not lost.
type Journal struct {
	// Subject is kept with the run: what it ships.
	Subject map[string]string

	path string
	run  string
	id   string

	mu       sync.Mutex // guards what follows
	file     *os.File
	before   int64 // size that the leftover has
	leftover *Leftover
	err      error
}

// Entry is one line of a journal.
type Entry struct {
	Time    time.Time         `json:"time"`
	Run     string            `json:"run,omitempty"`
	ID      string            `json:"id,omitempty"` // of the run
	PID     int               `json:"pid,omitempty"`
	Stage   string            `json:"stage,omitempty"`
	State   string            `json:"state,omitempty"` // started, changing, left
	Subject map[string]string `json:"subject,omitempty"`
	// Fact names what Data says, in terms of the command whose journal it is.
	Fact string          `json:"fact,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Leftover is what runs left that ended without taking their journal away:
// they were killed, or could not put back what they had changed.
type Leftover struct {
	Entries []Entry
}

// Last is the last run's beginning and its last entry.
func (l *Leftover) Last() (began, last Entry) {
	for _, e := range l.Entries {
		if e.Run != "" {
			began = e
		}
	}
	return began, l.Entries[len(l.Entries)-1]
}

// Stage is the stage that the last run was in; empty when it was in none yet.
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

// Changing tells whether any of the runs may have changed something.
func (l *Leftover) Changing() bool {
	for _, e := range l.Entries {
		if e.State == "changing" || e.Fact != "" {
			return true
		}
	}
	return false
}

// IDs are the runs that left it. None of them lives any more.
func (l *Leftover) IDs() (ids []string) {
	if l == nil {
		return nil
	}
	for _, e := range l.Entries {
		if e.ID != "" {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// Facts are all that is said under a name, the oldest first.
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

// NewJournal makes a journal at path; nothing is written before a run begins.
func NewJournal(path string, subject map[string]string) *Journal {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails: crypto/rand ends the program instead
	return &Journal{path: path, Subject: subject, id: hex.EncodeToString(id)}
}

// ID is unlike that of any other run.
func (j *Journal) ID() string {
	if j == nil {
		return ""
	}
	return j.id
}

// Leftover is what the run found of earlier ones; nil when they ended well, and
// as long as another run that lives holds the journal.
func (j *Journal) Leftover() *Leftover {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.leftover
}

// Keep writes a fact down, to the disk itself: what is kept before a change
// outlives a loss of power in the middle of it.
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
	return nil // a run goes on without its journal: see Err
}

// ReadLeftover reads what earlier runs left at path, for one who only looks;
// nil when there is nothing, or a run is at work.
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

// read parses the file. A line that was cut off by the kill does not count; end
// is where it begins.
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

// open takes the file, unless another run has it: then it is tried again with
// the next note, as that run may have been waited for.
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
	j.write(Entry{Run: j.run, ID: j.id, PID: os.Getpid(), State: "started", Subject: j.Subject})
}

// stillThere: whoever had the file before may have removed it between our
// opening and our locking.
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

// end takes the journal away, or leaves it for the next run where there is
// still something to put back: when changes were left against the will of the
// run, or when this run changed nothing and an earlier one had.
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
	case end == Left && (!wanted || j.leftover != nil):
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

// Err is the first fault of writing; a run goes on without its journal.
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
