package reader

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/catalog"
)

var mutations = flag.Int("mutations", 150, "how many damaged modules TestMutations reads")

// TestMutations reads modules of the corpus after moving, repeating, removing
// or swapping some of their tokens. FuzzRead does the same with coverage, but
// instrumenting esbuild makes it slow; this way finds most failures faster.
func TestMutations(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*/*.ts")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	root := write(t, nil)
	index := filepath.Join(root, "index.ts")
	for i := range *mutations {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		text, err := os.ReadFile(files[r.IntN(len(files))])
		if err != nil {
			t.Fatal(err)
		}
		damaged := mutate(r, string(text))
		if err := os.WriteFile(index, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cat, err := Read(ctx, Options{Root: root, Indexes: []string{"index.ts"}})
		cancel()
		if err != nil {
			t.Fatalf("mutation %d: %v\n%s", i, err, damaged)
		}
		catalog.Check(cat, catalog.CheckOptions{SameServer: true})
	}
}

func mutate(r *rand.Rand, text string) string {
	tokens := tokenize(text)
	snippets := []string{"...", "await ", "=>", "{", "}", "(", ")", "[", "]", "process.env.X", "?.", "new ", "class A extends ", "for(const x of y)", "while(1)", "export * from './index';", "import * as me from './index';", "null", "undefined", "return", "throw 1;", "try{", "}catch(e){", "?", ":", ",", ";", "`${", "}`", "/x/", "async ", "function*", "yield ", "delete ", "super.", "this.", "typeof ", "in ", "const enum E{A}"}
	for range 1 + r.IntN(6) {
		if len(tokens) < 2 {
			break
		}
		i, j := r.IntN(len(tokens)), r.IntN(len(tokens))
		switch r.IntN(5) {
		case 0:
			tokens = slices.Delete(tokens, i, i+1)
		case 1:
			tokens[i], tokens[j] = tokens[j], tokens[i]
		case 2:
			tokens = slices.Insert(tokens, i, tokens[j])
		case 3:
			tokens = slices.Insert(tokens, i, snippets[r.IntN(len(snippets))])
		case 4:
			from, to := min(i, j), min(max(i, j), min(i, j)+30)
			tokens = slices.Insert(tokens, i, slices.Clone(tokens[from:to])...)
		}
	}
	out := ""
	for _, t := range tokens {
		out += t
	}
	return out
}

// tokenize splits a text into words and single bytes.
func tokenize(text string) []string {
	var tokens []string
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			continue
		}
		if start < i {
			tokens = append(tokens, text[start:i])
		}
		tokens = append(tokens, text[i:i+1])
		start = i + 1
	}
	return append(tokens, text[start:])
}
