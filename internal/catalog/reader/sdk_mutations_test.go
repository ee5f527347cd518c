package reader

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	sdkMutations = flag.Int("sdk-mutations", 24, "the number of altered workers that TestMutationsAgainstSDK runs")
	sdkSeed      = flag.Uint64("sdk-seed", 1, "the number of the first altered worker")
)

// TestMutationsAgainstSDK changes workers of the corpus slightly and runs
// those that still start with the real SDK. The catalog must be equal, or
// report that it cannot determine the difference. The test finds cases that
// nobody thought of; -sdk-mutations makes it search for longer.
func TestMutationsAgainstSDK(t *testing.T) {
	bun := bunPath(t)
	dirs := map[string]string{}
	equal, open := 0, 0
	for i := range *sdkMutations {
		seed := *sdkSeed + uint64(i)
		r := rand.New(rand.NewPCG(seed, 99))
		c := corpus[r.IntN(len(corpus))]
		from := filepath.Join("testdata", "corpus", c.dir)
		dir, ok := dirs[c.dir]
		if !ok {
			dir = install(t, from, npmInstall(t, "inngest@"+c.sdk))
			dirs[c.dir] = dir
		}
		name := altered(t, r, from, c.index)
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		change := alter(r, string(text))
		writeFile(t, filepath.Join(dir, name), change)
		want, app, err := registrationOf(t, bun, dir)
		if err == nil {
			cat := read(t, dir, c.index)
			switch d := compared(want, cat.Indexes[0], app); {
			case d != "":
				t.Errorf("seed %d, %s/%s: the SDK registers something else (- SDK, + catalog):\n%s\n%s", seed, c.dir, name, d, cmp.Diff(strings.Split(string(text), "\n"), strings.Split(change, "\n")))
			case len(cat.Unresolved) > 0:
				open++
			default:
				equal++
			}
		}
		writeFile(t, filepath.Join(dir, name), string(text))
	}
	t.Logf("%d of %d workers started: %d equal, %d with something unresolved", equal+open, *sdkMutations, equal, open)
	if equal == 0 {
		t.Error("no altered worker started: nothing was compared")
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// altered chooses the file of a worker to change.
func altered(t *testing.T, r *rand.Rand, dir, index string) string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.ts", "src/*.ts", "src/*/*.ts"} {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name, err := filepath.Rel(dir, path)
			if err != nil {
				t.Fatal(err)
			}
			// The worker decides what is served, not the index.
			if name != "worker.ts" || index == "worker.ts" {
				names = append(names, name)
			}
		}
	}
	return names[r.IntN(len(names))]
}

// alter changes one or two lines in a way that a program may survive.
func alter(r *rand.Rand, text string) string {
	lines := strings.Split(text, "\n")
	parts := []string{"true", "false", "1", "0", "!", "null", "undefined", "-", "?.", "...", "[]", "'x'", "+", "&&", "||", "??", "==", "<", ">", "*", ".length", "[0]", ".slice(1)", ".map(String)", "typeof ", "void ", "await ", ", 1"}
	for range 1 + r.IntN(2) {
		if len(lines) < 2 {
			break
		}
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		switch r.IntN(6) {
		case 0:
			lines = slices.Delete(lines, i, i+1)
		case 1:
			lines[i], lines[j] = lines[j], lines[i]
		default:
			tokens := tokenize(lines[i])
			a, b := r.IntN(len(tokens)), r.IntN(len(tokens))
			switch r.IntN(3) {
			case 0:
				tokens[a], tokens[b] = tokens[b], tokens[a]
			case 1:
				tokens[a] = parts[r.IntN(len(parts))]
			case 2:
				tokens = slices.Insert(tokens, a, parts[r.IntN(len(parts))])
			}
			lines[i] = strings.Join(tokens, "")
		}
	}
	return strings.Join(lines, "\n")
}
