package worker

import (
	"os"
	"path/filepath"
)

// FindRoot returns the repository that contains dir: the nearest directory
// upwards with a .sbw.yaml, or else with a .git. Outside any repository it is
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
