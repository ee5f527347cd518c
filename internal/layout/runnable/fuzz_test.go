package runnable

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
)

// FuzzInspect checks that inspect classifies any first bytes of a file, and that
// the text it reads from them is safe to print.
func FuzzInspect(f *testing.F) {
	f.Add([]byte(elfFile(arm64, "/lib/ld-linux-aarch64.so.1"))[:layer.HeadSize])
	f.Add([]byte("#!/usr/bin/env -S bun run\nx"))
	f.Add([]byte("\x7fELF\x01\x02"))
	f.Add([]byte("#!"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, k := inspect(b)
		if k == "" || h.Loader != "" && k != program || h.Shebang != "" && k != script {
			t.Fatalf("%+v, %q", h, k)
		}
		if len(h.Loader) > 3*len(b) || len(h.Shebang) > 3*256 {
			t.Fatalf("longer than the input: %+v", h)
		}
		if _, err := json.Marshal(h); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzSummarize checks that summarize accepts any bytes or fails, and that a
// summary survives the cache.
func FuzzSummarize(f *testing.F) {
	plain := tarOf(f, []file{bin("a/b", amd64), link("c", "a"), data("d"), dir("e"), gone("f"), {name: "g/.wh..wh..opq"}})
	for i := range 3 {
		f.Add(compress(f, plain, i))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, _, err := summarize(t.Context(), bytes.NewReader(b), true)
		if err != nil {
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again summary
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		// Names that are not UTF-8 are changed by the cache, which can only lose a
		// finding.
		if strings.ToValidUTF8(string(text), "") == string(text) && !bytes.Contains(text, []byte(`\ufffd`)) {
			if len(s.Hides) == 0 {
				s.Hides = nil
			}
			if len(s.Dirs) == 0 {
				s.Dirs = nil
			}
			if d := cmp.Diff(s, &again, cmp.AllowUnexported(entry{})); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// FuzzResolve checks that no links and no command lead to an endless loop, and
// that every file that is found is in the tree.
func FuzzResolve(f *testing.F) {
	f.Add("/bin=usr/bin\n/usr/bin/sh=!/bin/env x\n/a=b\n/b=a", "/bin/sh -c true", "/app")
	f.Add("/x=#", "env -S env env x", "")
	f.Fuzz(func(t *testing.T, files, command, dir string) {
		var s summary
		for l := range strings.Lines(files) {
			p, to, _ := strings.Cut(strings.TrimSpace(l), "=")
			e := entry{Path: clean(p), Kind: symlink, Link: to, Exec: true}
			if body, ok := strings.CutPrefix(to, "!"); ok {
				e.Kind, e.Shebang = script, body
			} else if to == "#" {
				e.Kind, e.Machine = program, amd64
			}
			s.Entries = append(s.Entries, e)
		}
		root := overlay([]*summary{&s})
		img := layout.Image{Config: v1.ConfigFile{OS: "linux", Architecture: "arm64", Config: v1.Config{Cmd: strings.Fields(command), WorkingDir: dir}}}
		for _, found := range judge(root, img) {
			if found.Code == "" || found.What == "" {
				t.Fatalf("%+v", found)
			}
		}
		for p := range root {
			at, ok := root.real(p)
			if ok && at != path.Clean(at) {
				t.Fatalf("%q leads to %q", p, at)
			}
		}
	})
}
