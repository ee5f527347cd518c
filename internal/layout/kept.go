package layout

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// KeepPublished is how many published images of a worker stay in its layout
// directory: enough to push or roll back to what ran lately without building.
const KeepPublished = 3

// Kept is the layout directory that one worker of one checkout builds into,
// locked by this process.
type Kept struct {
	// Dir is the layout.
	Dir  string
	home string
	lock *lock
}

// safeName is a worker's name that may be a directory's name everywhere.
var safeName = lazyregexp.New(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Keep locks the layout directory of a worker below base, which is
// UserCacheDir()/sbw, and makes it if it is not there. root is the checkout's
// root: two checkouts of one repository do not wait for each other. A Finding
// of the code "layout-locked" says which process holds it.
func Keep(base, root, worker string) (*Kept, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	name := worker
	if !safeName.MatchString(name) {
		name = fmt.Sprintf("w-%x", sha256.Sum256([]byte(worker)))[:24]
	}
	home := filepath.Join(base, "layouts", fmt.Sprintf("%x", sha256.Sum256([]byte(abs)))[:16], name)
	k := &Kept{Dir: filepath.Join(home, "image"), home: home}
	if err := os.MkdirAll(k.Dir, 0o755); err != nil {
		return nil, unusable(home, "the layout directory cannot be made", err)
	}
	if k.lock, err = takeLock(filepath.Join(home, "lock"), worker); err != nil {
		return nil, err
	}
	return k, nil
}

// Release lets go of the lock.
func (k *Kept) Release() error { return k.lock.release() }

// CacheDir is where facts about single layers may be kept, named by their
// digest; Collect removes those of layers that are gone.
func (k *Kept) CacheDir() string { return filepath.Join(k.home, "facts") }

// published is one line of what was published from here, the newest last.
type published struct {
	Digest string    `json:"digest"`
	Time   time.Time `json:"time"`
}

func (k *Kept) historyFile() string { return filepath.Join(k.home, "published.json") }

func (k *Kept) history() ([]published, error) {
	text, err := os.ReadFile(k.historyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []published
	if json.Unmarshal(text, &all) != nil {
		return nil, nil // cut off by a full disk: begin anew
	}
	return all, nil
}

// LastSize is the size in bytes of the image that was published last from
// here, 0 when there is none.
func (k *Kept) LastSize() int64 {
	all, err := k.history()
	if err != nil || len(all) == 0 {
		return 0
	}
	imgs, err := Images(k.Dir, all[len(all)-1].Digest)
	if err != nil {
		return 0
	}
	var size int64
	for _, i := range imgs {
		size += i.Size
	}
	return size
}

// Published notes that digest was published at now, and removes every blob
// that none of the last KeepPublished images needs. It returns the bytes that
// were freed.
func (k *Kept) Published(digest string, now time.Time) (freed int64, err error) {
	all, err := k.history()
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(p published) bool { return p.Digest == digest })
	all = append(all, published{digest, now})
	if len(all) > KeepPublished {
		all = all[len(all)-KeepPublished:]
	}
	text, err := json.Marshal(all)
	if err != nil {
		return 0, err
	}
	if err := replace(k.historyFile(), text); err != nil {
		return 0, err
	}
	var roots []string
	for _, p := range all {
		roots = append(roots, p.Digest)
	}
	return k.collect(roots)
}

func (k *Kept) collect(roots []string) (int64, error) {
	freed, kept, err := Collect(k.Dir, roots)
	if err != nil {
		return freed, err
	}
	facts, err := os.ReadDir(k.CacheDir())
	if errors.Is(err, fs.ErrNotExist) {
		return freed, nil
	}
	for _, f := range facts {
		hex, _, _ := cutExt(f.Name())
		if !kept[v1.Hash{Algorithm: "sha256", Hex: hex}] {
			err = errors.Join(err, os.Remove(filepath.Join(k.CacheDir(), f.Name())))
		}
	}
	return freed, err
}

func cutExt(name string) (stem, ext string, ok bool) {
	ext = filepath.Ext(name)
	return name[:len(name)-len(ext)], ext, ext != ""
}
