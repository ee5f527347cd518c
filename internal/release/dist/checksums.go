package dist

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// digest fills in the digests of the assets in dir.
func digest(dir string, assets []Asset) error {
	for i, a := range assets {
		sum, err := sha256Of(filepath.Join(dir, a.Name))
		if err != nil {
			return err
		}
		assets[i].SHA256 = sum
	}
	return nil
}

func sha256Of(path string) (sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checksums returns what `sha256sum --check` and GitHub's attestation read.
func checksums(assets []Asset) []byte {
	sorted := slices.SortedFunc(slices.Values(assets), func(a, b Asset) int { return cmp.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, a := range sorted {
		fmt.Fprintf(&b, "%s  %s\n", a.SHA256, a.Name)
	}
	return []byte(b.String())
}
