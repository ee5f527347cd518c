package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// configs caches configs by digest, in memory and in a directory. A config may
// contain private information, so only the user may read the files.
type configs struct {
	dir   string
	mu    sync.Mutex
	known map[string]*pipeline.Lazy[[]byte]
}

func (c *configs) get(ctx context.Context, digest v1.Hash, read func(context.Context) ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	lazy := c.known[digest.String()]
	if lazy == nil {
		lazy = pipeline.NewLazy(func(ctx context.Context) ([]byte, error) {
			if text := c.load(digest); text != nil {
				return text, nil
			}
			text, err := read(ctx)
			if err != nil {
				return nil, err
			}
			if !matches(text, digest) {
				return nil, fmt.Errorf("%w: config %s does not match its digest", errContent, digest)
			}
			c.store(digest, text)
			return text, nil
		})
		c.known[digest.String()] = lazy
	}
	c.mu.Unlock()
	return lazy.Get(ctx)
}

func (c *configs) path(digest v1.Hash) string {
	return filepath.Join(c.dir, digest.Algorithm+"-"+digest.Hex)
}

func (c *configs) load(digest v1.Hash) []byte {
	if c.dir == "" {
		return nil
	}
	text, err := os.ReadFile(c.path(digest))
	if err != nil || !matches(text, digest) {
		return nil
	}
	return text
}

// store writes a config to the directory. Errors are ignored, because the config
// is then merely read again next time.
func (c *configs) store(digest v1.Hash, text []byte) {
	if c.dir == "" || os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	_ = statefile.Write(c.path(digest), text, 0o600)
}

func matches(text []byte, digest v1.Hash) bool {
	h, _, err := v1.SHA256(bytes.NewReader(text))
	return err == nil && h == digest
}
