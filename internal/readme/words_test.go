package readme

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// stiff are words that make a sentence hard to read, each with what to write
// instead. They are not wrong, but a text with many of them has to be read twice.
var stiff = map[string]string{
	"tell": "report, say, log, print, or distinguish", "tells": "report, say, log, print, or distinguish",
	"told": "reported, logged, printed", "telling": "reporting, output",
	"mend": "fix, correct", "mends": "fixes, corrects", "mended": "fixed", "mending": "fixing",
	"anew": "again", "whom": "who, or another sentence", "wherein": "where, in which",
	"thereof": "of it", "therein": "in it", "thereby": "so that, by this", "whence": "from where",
	"whereby": "by which", "hereby": "", "hitherto": "so far", "henceforth": "from now on",
}

// quoted is text that has to stay as it is, with the reason. An empty text means
// the whole file.
var quoted = []struct{ file, text, reason string }{
	{"internal/readme/words_test.go", "", "lists the words"},
}

// TestPlainWords keeps words out of messages, comments and documents that a native
// speaker would not use there. It reads all text files below the repository's root,
// whether or not git knows them.
func TestPlainWords(t *testing.T) {
	root := filepath.Join("..", "..")
	read := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") && name != ".github" && name != ".ci" || name == "node_modules" || name == "dist" && filepath.Dir(path) == root) {
				return filepath.SkipDir
			}
			return nil
		}
		if !slices.Contains([]string{".go", ".md", ".yaml", ".yml", ".txtar"}, filepath.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		read++
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		for _, fault := range plain(withoutQuotes(rel, string(text))) {
			t.Errorf("%s:%s", rel, fault)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 100 {
		t.Fatalf("only %d files were read from %s", read, root)
	}
}

func TestPlainFindsWords(t *testing.T) {
	for text, faults := range map[string]int{
		"It tells you.":                  1,
		"// Who was\n// told, and whom?": 2,
		"this is no port":                1,
		"the text is\n\t// no text":      1,
		`"it is " + "no plan"`:           1,
		"there is no port":               0,
		"there\n// are no ports":         0,
		"it is no longer there":          0,
		"storytelling, atoll, commended": 0,
		"the answer is no":               0,
	} {
		if got := plain(text); len(got) != faults {
			t.Errorf("%q: %q, want %d", text, got, faults)
		}
	}
}

// withoutQuotes returns a file's text without the passages that quoted lists.
func withoutQuotes(file, text string) string {
	for _, q := range quoted {
		switch {
		case q.file != file:
		case q.text == "":
			return ""
		default:
			text = strings.ReplaceAll(text, q.text, strings.Repeat("\n", strings.Count(q.text, "\n")))
		}
	}
	return text
}

// plain returns the stiff words of a text, as LINE: WORD, and every "X is no Y",
// which may continue on the next line or in the next string literal.
func plain(text string) (faults []string) {
	line := 1
	var last [3]string // the words before, the nearest one last; "" where a sentence or clause ends
	for i := 0; i < len(text); {
		if !isLetter(text[i]) {
			switch text[i] {
			case '\n':
				line++
			case ' ', '\t', '/', '#', '"', '+', '`':
			default:
				last = [3]string{}
			}
			i++
			continue
		}
		start := i
		for i < len(text) && isLetter(text[i]) {
			i++
		}
		word := strings.ToLower(text[start:i])
		if better, ok := stiff[word]; ok {
			faults = append(faults, fmt.Sprintf("%d: %q (better: %s)", line, word, better))
		}
		if last[2] == "no" && slices.Contains([]string{"is", "are", "was", "were"}, last[1]) &&
			last[0] != "there" && word != "longer" && word != "more" {
			faults = append(faults, fmt.Sprintf("%d: \"%s no %s\" (better: %s not …)", line, last[1], word, last[1]))
		}
		last = [3]string{last[1], last[2], word}
	}
	return faults
}

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c >= 0x80
}
