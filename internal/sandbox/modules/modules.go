// Package modules writes trees that resemble what a package manager installs: many small
// files of text that compresses about as well as JavaScript does.
package modules

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Env replaces the tree of Write by another: FILES,BYTES.
const Env = "SBW_BENCH_TREE"

// Write writes 30,000 files of together about 1 GB below dir, or what Env says. The same
// seed gives the same bytes.
func Write(dir string, seed uint64) error {
	files, size := 30_000, 1_000_000_000
	if s := os.Getenv(Env); s != "" {
		if _, err := fmt.Sscanf(s, "%d,%d", &files, &size); err != nil {
			return fmt.Errorf("%s: %w", Env, err)
		}
	}
	r := rand.New(rand.NewPCG(1, seed))
	words := make([]string, 4000)
	for i := range words {
		word := make([]byte, 2+r.IntN(10))
		for j := range word {
			word[j] = byte('a' + r.IntN(26))
		}
		words[i] = string(word)
	}
	var text bytes.Buffer
	for i := range files {
		text.Reset()
		for n := size / files / 4 * (1 + r.IntN(7)); text.Len() < n; {
			text.WriteString(words[min(r.IntN(len(words)), r.IntN(len(words)))])
			text.WriteByte(" \n.(){};=,"[min(r.IntN(10), r.IntN(10))])
		}
		path := filepath.Join(dir, fmt.Sprintf("p%d", i/20), "lib", fmt.Sprintf("m%d.js", i%20))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Change modifies one file of about 40 bytes, as a package manager does that ran again.
func Change(dir string, round int) error {
	return os.WriteFile(filepath.Join(dir, ".modules.yaml"), fmt.Appendf(nil, "prunedAt: Sat, 28 Nov 2026 %012d GMT\n", round), 0o644)
}
