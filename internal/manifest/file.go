package manifest

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// replaceFile replaces a file's content with data atomically: readers see either
// the old bytes or the new ones, even after a crash. A symlink stays, and its
// target is replaced. Mode and owner are kept; if the owner cannot be kept, the
// file is not changed. Other hard links keep the old bytes, and extended
// attributes are those of a new file.
func replaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &pipeline.Finding{
			Code: codeManifestNotAFile, Severity: pipeline.Error, Where: path,
			What: "the manifest is not a regular file", Why: "it is " + info.Mode().Type().String(),
			Fix: "save it to a file and name that with -f",
		}
	}
	return statefile.Place(filepath.Dir(path), info.Mode().Perm(), func(f *os.File) (string, error) {
		if _, err := f.Write(data); err != nil {
			return "", err
		}
		if err := keepOwner(f, info); err != nil {
			return "", fmt.Errorf("its owner cannot be kept: %w", err)
		}
		return path, f.Sync()
	})
}
