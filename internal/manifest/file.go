package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// replaceFile puts data in the place of a file in one step: whoever reads it,
// also after a crash, finds the old bytes or the new ones. A symlink stays, its
// target is replaced. Mode and owner are kept; where the owner cannot be, the
// file is left alone. Further hard links keep the old bytes, and extended
// attributes are those of a new file.
func replaceFile(path string, data []byte) (err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &pipeline.Finding{
			Code: "manifest-not-a-file", Severity: pipeline.Error, Where: path,
			What: "the manifest is no regular file", Why: "it is " + info.Mode().Type().String(),
			Fix: "save it to a file and name that with -f",
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".sbw-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreClosed(tmp.Close()), os.Remove(tmp.Name()))
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := keepOwner(tmp, info); err != nil {
		return fmt.Errorf("its owner cannot be kept: %w", err)
	}
	// After the owner: changing that takes set-id bits away.
	if err := tmp.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
