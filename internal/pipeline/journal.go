package pipeline

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Journal is a small file that says which stage a run is in, appended to as it
// goes and removed when the run ends by itself. What is left of it after a
// kill tells the next run what it may find.
type Journal struct {
	path string
	// Subject is kept with each entry: what the run ships, so that the next
	// run can name it ("TAG", the image's previous reference).
	Subject map[string]string
	file    *os.File
	err     error
}

// Entry is one line of a journal.
type Entry struct {
	Time    time.Time         `json:"time"`
	Run     string            `json:"run,omitempty"`
	PID     int               `json:"pid,omitempty"`
	Stage   string            `json:"stage,omitempty"`
	State   string            `json:"state,omitempty"` // started, changing
	Subject map[string]string `json:"subject,omitempty"`
}

// NewJournal makes a journal at path; nothing is written before a run begins.
func NewJournal(path string, subject map[string]string) *Journal {
	return &Journal{path: path, Subject: subject}
}

// ReadJournal returns what a killed run left at path; none when the file is
// not there. A line that was cut off by the kill is passed over.
func ReadJournal(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Entry
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			all = append(all, e)
		}
	}
	return all, lines.Err()
}

func (j *Journal) begin(name string) {
	if j == nil {
		return
	}
	if j.err = os.MkdirAll(filepath.Dir(j.path), 0o700); j.err != nil {
		return
	}
	j.file, j.err = os.OpenFile(j.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	j.write(Entry{Run: name, PID: os.Getpid(), State: "started", Subject: j.Subject})
}

func (j *Journal) note(stage, state string) {
	if j != nil {
		j.write(Entry{Stage: stage, State: state})
	}
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

func (j *Journal) end() {
	if j == nil || j.file == nil {
		return
	}
	j.err = errors.Join(j.err, j.file.Close(), os.Remove(j.path))
	j.file = nil
}

// Err is the first fault of writing; a run goes on without its journal.
func (j *Journal) Err() error {
	if j == nil {
		return nil
	}
	return j.err
}
