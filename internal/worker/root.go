package worker

import (
	"os"
	"path/filepath"
)

// FindRoot returns the repository that dir is in: the nearest directory
// upwards with a .sbw.yaml, else the nearest with a .git. Outside of any it is
// dir itself, and found is false.
func FindRoot(dir string) (root string, found bool) {
	for _, mark := range []string{ConfigName, ".git"} {
		for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
			if _, err := os.Stat(filepath.Join(at, mark)); err == nil {
				return at, true
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return dir, false
}
