// Package layout reads, checks, labels and locks OCI image layout directories.
// Keep opens the directory that a worker builds into, Open one that another
// program made. Images and Verify read it, Stamp and Relayer change it, and
// Collect removes what is no longer used.
//
// Each worker has a directory of its own, because BuildKit copies only missing
// blobs into it: the second build of a 200 MB image exports in a tenth of a
// second. The builder never removes old blobs; Collect does, after a publish.
//
// # Decisions
//
//   - Digests come from the builder's metadata, never from the first entry of
//     index.json, because the directory contains several images.
//   - Platforms are read from each image's config, because a descriptor may say
//     anything. Nested indexes are followed, and attestations are skipped.
//   - Documents are changed as JSON trees, so that unknown fields survive.
//
// Format: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
package layout

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// maxDocument limits the size of an index, a manifest or a config: registries
// accept manifests of up to 4 MiB.
const maxDocument = 8 << 20

const indexFile = "index.json"

// BlobPath returns the path of the blob with the given digest in the layout dir.
func BlobPath(dir string, digest v1.Hash) string {
	return filepath.Join(dir, "blobs", digest.Algorithm, digest.Hex)
}

// broken returns the finding for a layout that cannot be used.
func broken(dir, what string, err error) *pipeline.Finding {
	f := &pipeline.Finding{Code: codeLayoutBroken, Severity: pipeline.Error, Where: dir, What: what,
		Fix: "build the image again, or export it again if the layout was made elsewhere", Err: err}
	if err != nil {
		f.Why = err.Error()
	}
	return f
}

// unusable returns the finding for a directory of this program that it cannot
// write to.
func unusable(dir, what string, err error) *pipeline.Finding {
	return &pipeline.Finding{Code: codeLayoutDir, Severity: pipeline.Error, Where: dir, What: what, Why: err.Error(),
		Fix: "make it writable, or set XDG_CACHE_HOME to a directory that is", Err: err}
}

// parseDigest accepts only sha256, because anything else could be an unsafe path.
func parseDigest(s string) (v1.Hash, error) {
	h, err := v1.NewHash(s)
	if err == nil && h.Algorithm != "sha256" {
		err = fmt.Errorf("digest %s is not sha256", s)
	}
	return h, err
}

// document reads a small blob and compares it with its digest.
func document(dir string, digest v1.Hash) ([]byte, error) {
	if _, err := parseDigest(digest.String()); err != nil {
		return nil, broken(dir, "the image's digest is not valid", err)
	}
	f, err := os.Open(BlobPath(dir, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, broken(dir, "blob "+digest.String()+" is missing", nil)
	}
	if err != nil {
		return nil, broken(dir, "blob "+digest.String()+" cannot be read", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	switch {
	case err != nil:
		return nil, broken(dir, "blob "+digest.String()+" cannot be read", err)
	case len(text) > maxDocument:
		return nil, broken(dir, "blob "+digest.String()+" is too large for a manifest or config", nil)
	case digestOf(text) != digest:
		return nil, broken(dir, "blob "+digest.String()+" does not match its digest", nil)
	}
	return text, nil
}

func digestOf(text []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(text))}
}

// put writes a document as a blob and returns its digest.
func put(dir string, text []byte) (v1.Hash, error) {
	digest := digestOf(text)
	path := BlobPath(dir, digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return digest, err
	}
	return digest, statefile.Write(path, text, 0o644)
}

// readIndex reads index.json as a tree.
func readIndex(dir string) (tree, error) {
	text, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		return nil, broken(dir, "the directory has no index.json, so it is not an OCI layout", err)
	}
	var t tree
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, broken(dir, "index.json is not valid", err)
	}
	return t, nil
}
