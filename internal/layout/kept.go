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

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// KeepPublished is how many published images of a worker stay in its layout directory, so that recent ones can be
// pushed or rolled back to without a build.
const KeepPublished = 3

// Kept is the layout directory that one worker of one checkout builds into,
// locked by this process.
type Kept struct {
	// Dir is the layout.
	Dir  string
	home string
	lock *lock
}

// safeName matches worker names that are valid as directory names everywhere.
var safeName = lazyregexp.New(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Keep locks the layout directory of a worker below base, which is UserCacheDir()/sbw, and creates it if necessary.
// root is the checkout's root, so that two checkouts of one repository do not wait for each other. If the directory
// is locked, the error is a Finding with the code "layout-locked" that names the process.
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
		return nil, unusable(home, "the layout directory cannot be created", err)
	}
	if k.lock, err = takeLock(filepath.Join(home, "lock"), worker); err != nil {
		return nil, err
	}
	return k, nil
}

// Release releases the lock.
func (k *Kept) Release() error { return k.lock.release() }

// CacheDir returns the directory that stores facts about single layers, in files named by the layer's digest.
// Collect removes those of deleted layers.
func (k *Kept) CacheDir() string { return filepath.Join(k.home, "facts") }

// Publication is an image that was published from this layout.
type Publication struct {
	// Digest is the digest that was pushed.
	Digest string `json:"digest"`
	// Built is the digest of the image as built, if it differs: its layers may be uncompressed, or others may have
	// been pushed instead.
	Built string `json:"built,omitempty"`
	// Repository is where it was pushed to.
	Repository string    `json:"repository,omitempty"`
	Time       time.Time `json:"time"`
}

func (k *Kept) historyFile() string { return filepath.Join(k.home, "published.json") }

func (k *Kept) history() ([]Publication, error) {
	text, err := os.ReadFile(k.historyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Publication
	if json.Unmarshal(text, &all) != nil {
		return nil, nil // truncated by a full disk: start over
	}
	return all, nil
}

// LastSize returns the size in bytes of the image that was last published from this layout, as stored on disk before
// the push; 0 if there is none.
func (k *Kept) LastSize() int64 {
	all, err := k.history()
	if err != nil || len(all) == 0 {
		return 0
	}
	last := all[len(all)-1]
	return max(sizeOf(k.Dir, last.Digest), sizeOf(k.Dir, last.Built))
}

func sizeOf(dir, digest string) (size int64) {
	imgs, err := Images(dir, digest)
	if err != nil {
		return 0
	}
	for _, i := range imgs {
		size += i.Size
	}
	return size
}

// PublishedTo returns the digests of the images that were published from this layout to a repository, newest first.
// Their layers are in the layout, and were in the registry at the time.
func (k *Kept) PublishedTo(repository string) ([]string, error) {
	all, err := k.history()
	var to []string
	for _, p := range slices.Backward(all) {
		if p.Repository == repository {
			to = append(to, p.Digest)
		}
	}
	return to, err
}

// Published records that an image was published, and removes every blob that neither the last KeepPublished images
// nor the most recent build needs. The builder exports a missing blob again. It returns the number of bytes freed.
func (k *Kept) Published(p Publication) (freed int64, err error) {
	all, err := k.history()
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(o Publication) bool { return o.Digest == p.Digest && o.Repository == p.Repository })
	all = append(all, p)
	if len(all) > KeepPublished {
		all = all[len(all)-KeepPublished:]
	}
	text, err := json.Marshal(all)
	if err != nil {
		return 0, err
	}
	if err := statefile.Write(k.historyFile(), text, 0o644); err != nil {
		return 0, err
	}
	var roots []string
	for _, p := range all {
		roots = append(roots, p.Digest)
	}
	if p.Built != "" {
		roots = append(roots, p.Built)
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
