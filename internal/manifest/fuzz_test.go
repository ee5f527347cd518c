package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// kubectlReads returns the documents of a file as kubectl's own reader parses
// them, which uses another YAML implementation than Stamp.
func kubectlReads(src []byte) (docs []any, err error) {
	r := kubeyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(src)))
	for {
		chunk, err := r.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		var doc any
		if err := yaml.Unmarshal(chunk, &doc); err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

// differences returns the paths at which two values differ.
func differences(path string, a, b any) []string {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return []string{path}
		}
		var all []string
		for k, v := range a {
			w, ok := b[k]
			if !ok {
				return []string{path + "." + k}
			}
			all = append(all, differences(path+"."+k, v, w)...)
		}
		return all
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return []string{path}
		}
		var all []string
		for i, v := range a {
			all = append(all, differences(path+"."+strconv.Itoa(i), v, b[i])...)
		}
		return all
	}
	if !reflect.DeepEqual(a, b) {
		return []string{path}
	}
	return nil
}

// checkOnlyImage checks that no byte outside of the scalar has changed, and that
// kubectl's reader sees one changed image and nothing else.
func checkOnlyImage(t *testing.T, src, out []byte, e Edit) {
	t.Helper()
	if !e.Changed() {
		if !bytes.Equal(src, out) {
			t.Fatalf("unchanged, but other bytes: %q → %q", src, out)
		}
		return
	}
	tail := len(src) - e.end
	if e.start > e.end || len(out) != len(src)-(e.end-e.start)+len(e.with) ||
		!bytes.Equal(src[:e.start], out[:e.start]) || !bytes.Equal(src[e.end:], out[len(out)-tail:]) {
		t.Fatalf("bytes outside of the scalar changed: %q → %q", src, out)
	}
	if strings.Trim(e.with, `"`) != e.New {
		t.Fatalf("wrote %q for %q", e.with, e.New)
	}
	before, err := kubectlReads(src)
	if err != nil {
		return // kubectl refuses the file, edited or not
	}
	after, err := kubectlReads(out)
	if err != nil {
		t.Fatalf("kubectl cannot read the edited file: %v\n%q → %q", err, src, out)
	}
	diff := differences("", before, after)
	images := 0
	for _, d := range diff {
		switch key := strings.SplitN(d, ".", 4)[2]; {
		case strings.HasPrefix(key, "x-") || strings.HasPrefix(key, "_") || key == "":
			// This is not a use of the image but something to refer to.
		case strings.HasSuffix(d, ".image"):
			images++
		default:
			t.Fatalf("kubectl sees %s changed: %q → %q", d, src, out)
		}
	}
	if images > 1 {
		t.Fatalf("kubectl sees %v changed: %q → %q", diff, src, out)
	}
}

func TestKubectlSeesOnlyTheImageChange(t *testing.T) {
	for name, marked := range stamped {
		src, _ := split(marked)
		t.Run(name, func(t *testing.T) {
			out, e, err := Stamp([]byte(src), target, newRef)
			if err != nil {
				t.Fatal(err)
			}
			checkOnlyImage(t, []byte(src), out, e)
		})
	}
}

func FuzzStamp(f *testing.F) {
	for _, marked := range stamped {
		src, _ := split(marked)
		f.Add([]byte(src), newRef)
	}
	worker, err := os.ReadFile("testdata/worker.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.ReplaceAll(worker, []byte("system-bus-worker"), []byte("w")), "ghcr.io/o/w:2")
	f.Add([]byte(deployment("      - name: w\n        image: &a a\n      - name: v\n        image: *a\n")), "b")
	f.Add([]byte("%YAML 1.2\n---\n"+deployment("      - name: w\n        image: a\n")), "12:30")
	f.Fuzz(func(t *testing.T, src []byte, ref string) {
		out, e, err := Stamp(src, Target{Name: "w", Container: "w"}, ref)
		if err != nil {
			return
		}
		checkOnlyImage(t, src, out, e)
		if _, again, err := Stamp(out, Target{Name: "w", Container: "w"}, ref); err != nil || again.Changed() {
			t.Fatalf("stamping again: %+v, %v\n%q → %q", again, err, src, out)
		}
	})
}
