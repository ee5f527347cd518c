package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const service = "kind: Service\nmetadata: {name: w}\n"

func TestFind(t *testing.T) {
	w := deployment("      - name: w\n        image: ⟦ghcr.io/o/w:1|" + newRef + "⟧\n")
	other := strings.ReplaceAll(between.ReplaceAllString(w, "$1"), "namespace: ns", "namespace: prod")
	for name, tt := range map[string]struct {
		archive   string
		files     []string
		recursive bool
		want      int // files read
	}{
		"file":               {archive: "-- w.yaml --\n" + w, files: []string{"w.yaml"}, want: 1},
		"any extension":      {archive: "-- w.txt --\n" + w, files: []string{"w.txt"}, want: 1},
		"several files":      {archive: "-- a.yaml --\n" + service + "-- w.yaml --\n" + w, files: []string{"a.yaml", "w.yaml", "w.yaml"}, want: 2},
		"directory":          {archive: "-- d/a.yaml --\n" + service + "-- d/w.yml --\n" + w + "-- d/p.yaml --\n" + other + "-- d/x.sh --\n{{\n-- d/sub/w.yaml --\n" + other, files: []string{"d"}, want: 3},
		"recursive":          {archive: "-- d/a.json --\n{}\n-- d/sub/x/w.yaml --\n" + w, files: []string{"d"}, recursive: true, want: 2},
		"pattern":            {archive: "-- d/a.yaml --\n" + service + "-- d/w-1.yaml --\n" + w, files: []string{"d/w-*.yaml"}, want: 1},
		"chart's values":     {archive: "-- d/values.yaml --\nimage:\n  tag: x\n-- d/w.yaml --\n" + w, files: []string{"d"}, want: 2},
		"an empty neighbour": {archive: "-- d/a.yaml --\n-- d/w.yaml --\n" + w, files: []string{"d"}, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir, want := unpack(t, tt.archive)
			o := Options{Target: target, Ref: newRef, Recursive: tt.recursive}
			for _, f := range tt.files {
				o.Files = append(o.Files, filepath.Join(dir, f))
			}
			p, err := Find(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Files) != tt.want || p.Line != 11 || p.Rendered != nil || p.Old != "ghcr.io/o/w:1" {
				t.Errorf("plan = %+v", p)
			}
			path, data := p.Stamped()
			if rel, _ := filepath.Rel(dir, path); want[filepath.ToSlash(rel)] != string(data) {
				t.Errorf("%s would be %s", path, data)
			}
			if _, err := p.Write(); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, contents(t, dir)); d != "" {
				t.Errorf("written (-want +got):\n%s", d)
			}
		})
	}
}

// TestFindInTheWay looks in a directory that also has files which do not belong
// to the worker.
func TestFindInTheWay(t *testing.T) {
	w := "-- d/w.yaml --\n" + deployment("      - name: w\n        image: ghcr.io/o/w:1\n")
	for name, tt := range map[string]struct {
		archive string
		found   bool // the worker's file is found nevertheless
		want    []string
	}{
		"compose, values and a patch": {"-- d/compose.yml --\nservices: {}\n-- d/values.yaml --\n# x\ntag: v1\n-- d/patch.yaml --\nkind: Deployment\nmetadata: {name: w}\n" + w, false,
			[]string{"d/compose.yml:1: it has no kind", "d/values.yaml:2: it has no kind", "d/patch.yaml:1: Deployment w has no container \"w\""}},
		"values":                          {"-- d/values.yaml --\ntag: v1\n" + w, true, []string{"d/values.yaml:1: it has no kind"}},
		"a list and a word":               {"-- d/a.yaml --\n- x\n---\nword\n---\n# nothing\n" + w, true, []string{"d/a.yaml:1: it has no kind", "d/a.yaml:3: it has no kind"}},
		"a second document":               {w + "---\nimage: {tag: x}\n", true, []string{"d/w.yaml:13: it has no kind"}},
		"only files that are not objects": {"-- d/values.yaml --\ntag: v1\n-- d/b.yaml --\ntag: v2\n", false, []string{"d/b.yaml:1: it has no kind", "d/values.yaml:1: it has no kind"}},
		"comments and a List":             {"-- d/a.yaml --\n# x\n-- d/b.yaml --\nkind: List\nitems: []\n" + w, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := unpack(t, tt.archive)
			p, err := Find(t.Context(), Options{Files: []string{filepath.Join(dir, "d")}, Target: target, Ref: newRef})
			f, _ := errors.AsType[*pipeline.Finding](err)
			if tt.found && err == nil {
				f = p.Strangers
			} else if tt.found || err == nil {
				t.Fatalf("err = %v", err)
			}
			var got []string
			if f != nil {
				for _, e := range f.Evidence {
					got = append(got, strings.TrimPrefix(filepath.ToSlash(e), filepath.ToSlash(dir)+"/"))
				}
				if f.Code != "manifest-not-objects" || !strings.HasSuffix(filepath.ToSlash(f.Where), strings.Split(tt.want[0], ": ")[0]) {
					t.Errorf("finding = %+v", f)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestFindAlsoElsewhere checks that other files which name the image are listed,
// too.
func TestFindAlsoElsewhere(t *testing.T) {
	dir, _ := unpack(t, "-- d/w.yaml --\n"+deployment("      - name: w\n        image: ghcr.io/o/w:1\n")+
		"-- d/c.yaml --\nkind: CronJob\nmetadata: {name: n}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: 'ghcr.io/o/w:1'}]}}}}}\n")
	p, err := Find(t.Context(), Options{Files: []string{filepath.Join(dir, "d")}, Target: target, Ref: newRef})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"d/c.yaml:3 container c of CronJob n ghcr.io/o/w:1"}, described(t, dir, p.Also)); d != "" {
		t.Error(d)
	}
}

func TestFindRefuses(t *testing.T) {
	w := deployment("      - name: w\n        image: ghcr.io/o/w:1\n")
	for name, tt := range map[string]struct {
		archive     string
		files       []string
		code, where string
	}{
		"no such file":      {"", []string{"k8s/w.yaml"}, "manifest-not-found", "k8s/w.yaml"},
		"no such pattern":   {"", []string{"*.yaml"}, "manifest-not-found", "*.yaml"},
		"nothing named":     {"", nil, "manifest-not-found", ""},
		"two files":         {"-- d/a.yaml --\n" + w + "-- d/b.yaml --\n" + w, []string{"d"}, "manifest-ambiguous", "d/b.yaml:11"},
		"twice in another":  {"-- d/a.yaml --\n" + w + "---\n" + w + "-- d/b.yaml --\n" + w, []string{"d"}, "manifest-ambiguous", "d/a.yaml:13"},
		"broken neighbour":  {"-- d/a.yaml --\n" + w + "-- d/b.yaml --\na: [\n", []string{"d"}, "manifest-not-yaml", "d/b.yaml:1"},
		"template":          {"-- d/a.yaml --\n" + service + "-- d/b.yaml --\n{{ if }}\n" + w, []string{"d"}, "manifest-template", "d/b.yaml:1"},
		"none of two":       {"-- d/a.yaml --\n" + service + "-- d/b.yaml --\n" + service, []string{"d"}, "manifest-no-workload", "d"},
		"none of one":       {"-- d/a.yaml --\n" + service, []string{"d"}, "manifest-no-workload", "d/a.yaml"},
		"empty directory":   {"-- d/x.sh --\n", []string{"d"}, "manifest-no-workload", "d"},
		"no such container": {"-- d/a.yaml --\n" + strings.Replace(w, "- name: w", "- name: v", 1) + "-- d/b.yaml --\n" + service, []string{"d"}, "manifest-no-container", "d/a.yaml:1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := unpack(t, tt.archive)
			o := Options{Target: target, Ref: newRef}
			for _, f := range tt.files {
				o.Files = append(o.Files, filepath.Join(dir, f))
			}
			_, err := Find(t.Context(), o)
			f, ok := errors.AsType[*pipeline.Finding](err)
			if !ok || string(f.Code) != tt.code || !strings.HasSuffix(filepath.ToSlash(f.Where), tt.where) || f.Fix == "" || strings.Contains(f.Error(), "\n") {
				t.Errorf("got %v, want %s at %s", err, tt.code, tt.where)
			}
		})
	}
	for _, name := range []string{"-", "https://example.com/w.yaml"} {
		_, err := Find(t.Context(), Options{Files: []string{name}, Target: target, Ref: newRef})
		if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != "manifest-not-a-file" || f.End != pipeline.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFindHeedsContext(t *testing.T) {
	dir, _ := unpack(t, "-- w.yaml --\n"+deployment("      - name: w\n        image: a\n"))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(pipeline.ErrInterrupted)
	if _, err := Find(ctx, Options{Files: []string{dir}, Target: target, Ref: newRef}); !errors.Is(err, pipeline.ErrInterrupted) {
		t.Error(err)
	}
}

// onDisk returns a plan for one file with an unusual mode that is named through a
// symlink.
func onDisk(t *testing.T) (p *Plan, real, link string) {
	t.Helper()
	dir := t.TempDir()
	real, link = filepath.Join(dir, "real", "w.yaml"), filepath.Join(dir, "w.yaml")
	if err := os.Mkdir(filepath.Dir(real), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, real, deployment("      - name: w\n        image: 'ghcr.io/o/w:1' # x\n"))
	if err := os.Chmod(real, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("real", "w.yaml"), link); err != nil {
		t.Fatal(err)
	}
	p, err := Find(t.Context(), Options{Files: []string{link}, Target: target, Ref: newRef})
	if err != nil {
		t.Fatal(err)
	}
	return p, real, link
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read1(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWriteKeepsModeOwnerAndSymlink(t *testing.T) {
	p, real, link := onDisk(t)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // only root can give a file away
		uid, gid = 12345, 23456
		if err := os.Chown(real, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	w, err := p.Write()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the symlink is gone: %v, %v", info, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o640 {
		t.Errorf("mode = %v", info.Mode())
	}
	checkOwner(t, info, uid, gid)
	if got := read1(t, real); !strings.Contains(got, "image: '"+newRef+"' # x\n") {
		t.Error(got)
	}
	if entries, err := os.ReadDir(filepath.Dir(real)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if w.File != link || w.Line != 11 || w.Old != "ghcr.io/o/w:1" || w.New != newRef {
		t.Errorf("written = %+v", w)
	}
}

func TestWriteRefusesAFileThatChanged(t *testing.T) {
	p, real, _ := onDisk(t)
	write(t, real, "kind: X\n")
	_, err := p.Write()
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != "manifest-changed" {
		t.Error(err)
	}
	if got := read1(t, real); got != "kind: X\n" {
		t.Errorf("overwritten: %s", got)
	}
}

func TestWriteFails(t *testing.T) {
	// Even root cannot write to a path that is too long. The path of the file just
	// fits, that of the temporary file next to it does not.
	path := filepath.Join(longDir(t, longestPath-len("/w.yaml")), "w.yaml")
	src := deployment("      - name: w\n        image: a\n")
	write(t, path, src)
	p, err := Find(t.Context(), Options{Files: []string{path}, Target: target, Ref: newRef})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Write()
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != "manifest-not-written" || !strings.Contains(f.Why, "too long") {
		t.Error(err)
	}
	if read1(t, path) != src {
		t.Error("changed")
	}
	if f, ok := errors.AsType[*pipeline.Finding](replaceFile(t.TempDir(), nil)); !ok || f.Code != "manifest-not-a-file" {
		t.Errorf("a directory: %v", f)
	}
}

// longestPath is the length of the longest path that the system accepts (PATH_MAX
// without the terminating zero).
var longestPath = map[string]int{"linux": 4095, "darwin": 1023, "windows": 32760}[runtime.GOOS]

// longDir creates a directory whose path has n bytes.
func longDir(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for len(dir) < n {
		part := min(n-len(dir)-1, 200)
		if rest := n - len(dir) - 1 - part; rest == 1 {
			part-- // the last part must not be empty
		}
		dir = filepath.Join(dir, strings.Repeat("d", part))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWriteIsAtomic checks that a reader sees either the old or the new file
// while it is being written.
func TestWriteIsAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	old, neu := strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20)
	write(t, path, old)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20 {
			if err := replaceFile(path, []byte([]string{neu, old}[i%2])); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		if got := read1(t, path); got != old && got != neu {
			t.Fatalf("torn: %d bytes", len(got))
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestRestore(t *testing.T) {
	for name, tt := range map[string]struct {
		between  func(string) string // what somebody changed in the meantime
		restored bool
		want     func(before string) string
		code     string
	}{
		"as written": {func(s string) string { return s }, true, func(s string) string { return s }, ""},
		"edited elsewhere": {func(s string) string { return "# mine\n" + s }, true,
			func(s string) string { return "# mine\n" + s }, ""},
		"put back already":                {func(s string) string { return strings.Replace(s, newRef, "ghcr.io/o/w:1", 1) }, false, func(s string) string { return s }, ""},
		"put back by hand, edited":        {func(s string) string { return "# mine\n" + strings.Replace(s, newRef, "ghcr.io/o/w:1", 1) }, false, func(s string) string { return "# mine\n" + s }, ""},
		"another image":                   {func(s string) string { return strings.Replace(s, newRef, "x", 1) }, false, func(s string) string { return strings.Replace(s, "ghcr.io/o/w:1", "x", 1) }, "manifest-changed"},
		"the workload is no longer there": {func(string) string { return "kind: X\n" }, false, func(string) string { return "kind: X\n" }, "manifest-changed"},
	} {
		t.Run(name, func(t *testing.T) {
			p, real, link := onDisk(t)
			before := read1(t, real)
			w, err := p.Write()
			if err != nil {
				t.Fatal(err)
			}
			// A later run reads it from JSON.
			data, err := json.Marshal(w)
			if err != nil {
				t.Fatal(err)
			}
			var later Written
			if err := json.Unmarshal(data, &later); err != nil {
				t.Fatal(err)
			}
			write(t, real, tt.between(read1(t, real)))
			restored, err := later.Restore()
			f, _ := errors.AsType[*pipeline.Finding](err)
			if restored != tt.restored || (f == nil) != (tt.code == "") || (f != nil && (string(f.Code) != tt.code || f.Fix == "")) {
				t.Errorf("Restore() = %v, %v", restored, err)
			}
			if d := cmp.Diff(tt.want(before), read1(t, real)); d != "" {
				t.Error(d)
			}
			if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
				t.Error("the symlink is gone")
			}
		})
	}
}
