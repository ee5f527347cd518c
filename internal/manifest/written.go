package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Written records what Write did, so that it can be undone, even by a later run:
// it is part of the receipt, as JSON.
type Written struct {
	File    string   `json:"file"` // absolute
	Line    int      `json:"line"`
	Old     string   `json:"old"` // the image before
	New     string   `json:"new"`
	Target  *Target  `json:"target,omitempty"` // nil for a kustomization's entry
	Changes []Change `json:"changes"`
	// Before and After are the SHA-256 of the whole file.
	Before string `json:"before"`
	After  string `json:"after"`
}

// Change is a range of bytes that was replaced. If there are several, they are
// applied in order, and each Start refers to the result of the previous one.
type Change struct {
	Start int    `json:"start"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

func (e Edit) changes(src []byte) []Change {
	if !e.Changed() {
		return nil
	}
	return []Change{{Start: e.start, Old: string(src[e.start:e.end]), New: e.with}}
}

// Pending returns what Write will do, for callers that want to record it
// beforehand; nil if the file already has the wanted image. Restore does nothing
// until the file has been written.
func (p *Plan) Pending() (*Written, error) {
	if !p.Changed() {
		return nil, nil
	}
	file, err := filepath.Abs(p.File)
	if err != nil {
		return nil, notWritten(p.File, err)
	}
	w := &Written{File: file, Line: p.Line, Old: p.Old, New: p.New, Changes: p.changes, Before: sum(p.before), After: sum(p.after)}
	if p.Kustomize == "" {
		t := p.target
		w.Target = &t
	}
	return w, nil
}

// Write makes the edit on disk. It is atomic, follows symlinks, and keeps mode
// and owner. If the file already has the wanted image, nothing is written and the
// result is nil. If the file has changed since Find, it is not written.
func (p *Plan) Write() (*Written, error) {
	w, err := p.Pending()
	if w == nil || err != nil {
		return nil, err
	}
	now, err := os.ReadFile(w.File)
	if err != nil {
		return nil, unreadable(p.File, err)
	}
	if !bytes.Equal(now, p.before) {
		return nil, &pipeline.Finding{
			Code: codeManifestChanged, Severity: pipeline.Error, Where: p.File,
			What: "the manifest was changed by someone else just now",
			Why:  "its bytes differ from those that were checked", Fix: "run again",
		}
	}
	if err := replaceFile(w.File, p.after); err != nil {
		return nil, notWritten(p.File, err)
	}
	return w, nil
}

// Restore restores the old image. If the file has been edited in the meantime,
// only the image is restored, and only if it is still the one that was written;
// otherwise the Finding "manifest-changed" says what to do. If the file already
// has its original content, restored is false and there is no error.
func (w *Written) Restore() (restored bool, err error) {
	now, err := os.ReadFile(w.File)
	if err != nil {
		return false, unreadable(w.File, err)
	}
	if sum(now) == w.Before {
		return false, nil
	}
	old, ok := w.revert(now)
	if !ok {
		old, ok, err = w.stampBack(now)
		if err != nil {
			return false, err
		}
		if !ok {
			return false, nil
		}
	}
	if err := replaceFile(w.File, old); err != nil {
		return false, notWritten(w.File, err)
	}
	return true, nil
}

// revert undoes the changes byte by byte if the file is exactly as it was
// written.
func (w *Written) revert(now []byte) ([]byte, bool) {
	if sum(now) != w.After {
		return nil, false
	}
	out := now
	for i := len(w.Changes) - 1; i >= 0; i-- {
		c := w.Changes[i]
		end := c.Start + len(c.New)
		if c.Start < 0 || end > len(out) || string(out[c.Start:end]) != c.New {
			return nil, false
		}
		out = bytes.Join([][]byte{out[:c.Start], []byte(c.Old), out[end:]}, nil)
	}
	return out, sum(out) == w.Before
}

// stampBack restores the old image in a file that has been edited in other
// places. ok is false if the file already has it.
func (w *Written) stampBack(now []byte) (out []byte, ok bool, err error) {
	differs := &pipeline.Finding{
		Code: codeManifestChanged, Severity: pipeline.Warning, Where: place(w.File, w.Line),
		What: "the manifest was edited in the meantime, so it was left as it is",
		Why:  fmt.Sprintf("its image is no longer the %s that was written", w.New),
		Fix:  fmt.Sprintf("set it to %s if the file should name the image that runs", w.Old),
	}
	if w.Target == nil || !plainRef.MatchString(w.Old) {
		differs.Why = "it is no longer the file that was written"
		return nil, false, differs
	}
	t := *w.Target
	t.File = w.File
	out, e, err := Stamp(now, t, w.Old)
	switch {
	case err != nil:
		differs.Why, differs.Err = termtext.Line(err.Error()), err
		return nil, false, differs
	case !e.Changed():
		return nil, false, nil
	case e.Old != w.New:
		return nil, false, differs
	}
	return out, true, nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func notWritten(path string, err error) error {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return f
	}
	return &pipeline.Finding{
		Code: CodeNotWritten, Severity: pipeline.Error, Where: path,
		What: "the manifest could not be written and is unchanged", Why: reason(err), Err: err,
		Fix: "give yourself permission to write to its directory, or use --no-write",
	}
}
