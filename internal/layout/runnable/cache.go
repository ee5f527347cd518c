package runnable

import (
	"encoding/json"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// version is part of the name of a cached summary. Increase it whenever summarize
// returns more or different facts.
const version = "v2"

// cached returns the summary of a layer from dir, or produces and stores it. If
// the cache cannot be read or written, this only takes longer.
func cached(dir string, digest v1.Hash, produce func() (*summary, error)) (*summary, error) {
	if dir == "" {
		return produce()
	}
	path := filepath.Join(dir, digest.Hex+"."+version)
	if text, err := os.ReadFile(path); err == nil {
		var s summary
		if json.Unmarshal(text, &s) == nil {
			return &s, nil
		}
	}
	s, err := produce()
	if err != nil || s.Skipped != "" {
		return s, err
	}
	if text, err := json.Marshal(s); err == nil {
		_ = keep(path, text) // the next run reads the layer again
	}
	return s, nil
}

func keep(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return statefile.Write(path, text, 0o600)
}
