package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/statefile"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// DefaultKeep is how many receipts of one worker are kept.
const DefaultKeep = 100

// Store is the directory of receipts. Their paths are WORKER/TIME-TAG.json below
// Dir.
type Store struct {
	Dir string
	// Keep is how many receipts of one worker are kept; 0 means DefaultKeep,
	// and a negative number all.
	Keep int
}

// Open returns the store of the user whose environment getenv reads.
func Open(getenv func(string) string) (Store, error) {
	dir, err := statefile.StateDir(getenv)
	if err != nil {
		return Store{}, notKept("receipts", err)
	}
	return Store{Dir: filepath.Join(dir, "receipts")}, nil
}

// stamp is the format of the time in file names, in UTC and to the millisecond,
// so that names sort by time.
const stamp = "20060102T150405.000Z"

var ours = lazyregexp.New(`^\d{8}T\d{6}\.\d{3}Z-.*\.json$`)

// Save writes r, sets r.Path, and deletes receipts beyond Keep. An error is a
// warning with the code "receipt-not-kept".
func (s Store) Save(r *Receipt) error {
	if r.Version == 0 {
		r.Version = Version
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return notKept(s.Dir, err)
	}
	dir := filepath.Join(s.Dir, fileName(r.Worker))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return notKept(dir, err)
	}
	name := r.Started.UTC().Format(stamp) + "-" + fileName(orElse(r.Image.Tag, r.Command))
	path, err := writeNew(dir, name, append(data, '\n'))
	if err != nil {
		return notKept(dir, err)
	}
	r.Path = path
	if err := s.prune(dir); err != nil {
		return notKept(dir, err)
	}
	return nil
}

// writeNew creates a file atomically, readable only by the user.
func writeNew(dir, name string, data []byte) (path string, err error) {
	err = statefile.Place(dir, 0o600, func(f *os.File) (string, error) {
		if _, err := f.Write(data); err != nil {
			return "", err
		}
		path = filepath.Join(dir, name+".json")
		for n := 2; ; n++ {
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
				break
			}
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.json", name, n))
		}
		return path, f.Sync()
	})
	return path, err
}

// Load reads one receipt, of this or another version.
func Load(path string) (*Receipt, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	r := &Receipt{}
	err = json.Unmarshal(data, r)
	// A later version may have changed the type of a field. The other fields are
	// still usable.
	if _, typed := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !(typed && r.Version > Version) {
		return nil, unreadable(path, err)
	}
	r.Path = path
	return r, nil
}

// List returns the receipts of a worker, newest first, and at most n of them if n
// is positive. If some cannot be read, err joins a warning for each, and the
// others are still returned.
func (s Store) List(worker string, n int) (all []*Receipt, err error) {
	dir := filepath.Join(s.Dir, fileName(worker))
	names, err := s.names(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	var errs []error
	for _, name := range names {
		if n > 0 && len(all) == n {
			break
		}
		r, err := Load(filepath.Join(dir, name))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}

// Latest returns the newest receipt of a worker that match accepts, or nil. A nil
// match accepts all. It reads no more files than necessary.
func (s Store) Latest(worker string, match func(*Receipt) bool) (*Receipt, error) {
	dir := filepath.Join(s.Dir, fileName(worker))
	names, err := s.names(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	var errs []error
	for _, name := range names {
		r, err := Load(filepath.Join(dir, name))
		if err != nil {
			errs = append(errs, err)
		} else if match == nil || match(r) {
			return r, errors.Join(errs...)
		}
	}
	return nil, errors.Join(errs...)
}

// names returns the file names of a worker's receipts, newest first.
func (s Store) names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ours.MatchString(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

func (s Store) prune(dir string) error {
	keep := s.Keep
	if keep == 0 {
		keep = DefaultKeep
	}
	names, err := s.names(dir)
	if err != nil || keep < 0 || len(names) <= keep {
		return err
	}
	var errs []error
	for _, name := range names[keep:] {
		// Another run may have removed it in the meantime.
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var notInNames = lazyregexp.New(`[^A-Za-z0-9._-]+`)

// fileName makes a name that is valid on any system.
func fileName(s string) string {
	s = strings.TrimLeft(notInNames.ReplaceAllString(s, "_"), ".")
	return orElse(s[:min(len(s), 120)], "_")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func notKept(where string, err error) error {
	return &pipeline.Finding{
		Code: CodeReceiptNotKept, Severity: pipeline.Warning, Where: where,
		What: "the receipt could not be written", Why: termtext.Line(err.Error()), Err: err,
		Fix: "make the directory writable, or set XDG_STATE_HOME to one that is; what was shipped is not affected",
	}
}

func unreadable(where string, err error) error {
	return &pipeline.Finding{
		Code: CodeReceiptUnreadable, Severity: pipeline.Warning, Where: where,
		What: "a receipt cannot be read", Why: termtext.Line(err.Error()), Err: err,
		Fix: "delete the file if you do not need it",
	}
}
