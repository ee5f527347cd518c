package build

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// eventLines returns what a build reported, one line for each event.
func eventLines(h *heard) (all []string) {
	for _, e := range h.all {
		switch e.Kind {
		case pipeline.Progressed:
			p := e.Progress
			all = append(all, fmt.Sprintf("%s %d/%d %s %s", p.Item, p.Done, p.Total, p.Unit, p.State))
		case pipeline.Found:
			all = append(all, string(e.Finding.Code)+" "+e.Finding.Error())
		default:
			all = append(all, e.Text)
		}
	}
	return all
}

const begun = `"started":"2026-01-01T00:00:00Z"`
const ended = `"completed":"2026-01-01T00:00:01Z"`

func TestTracker(t *testing.T) {
	var h heard
	tr := newTracker(h.reporter())
	input := strings.Join([]string{
		`{"vertexes":[{"digest":"i","name":"[internal] load build definition from Dockerfile",` + begun + `}]}`,
		`{"vertexes":[{"digest":"a","name":"[1/3] FROM docker.io/oven/bun:1.3.9"},{"digest":"b","name":"[2/3] RUN bun install"}]}`,
		`{"vertexes":[{"digest":"a","name":"[1/3] FROM docker.io/oven/bun:1.3.9",` + begun + `}],"statuses":[{"id":"sha256:1","vertex":"a","total":100,"current":10},{"id":"sha256:2","vertex":"a","total":50,"current":0}]}`,
		`{"statuses":[{"id":"sha256:1","vertex":"a","total":100,"current":10},{"id":"extract","vertex":"a","current":0}]}`,
		`{"vertexes":[{"digest":"a",` + begun + `,` + ended + `}]}`,
		`{"vertexes":[{"digest":"b","name":"[2/3] RUN bun install",` + begun + `}],"logs":[{"vertex":"b","stream":1,"data":"aGVs"},{"vertex":"b","stream":1,"data":"bG8K"},{"vertex":"none","data":"eA=="}]}`,
		`{"vertexes":[{"digest":"b","name":"[2/3] RUN bun install","cached":true,` + begun + `,` + ended + `}]}`,
		`{"warnings":[{"vertex":"i","short":"U2VjcmV0cw==","url":"https://docs.docker.com/x","sourceInfo":{"filename":"Dockerfile"},"range":[{"start":{"line":7}}]}]}`,
		`WARNING: something else`,
		`{"not":"ours"}`,
	}, "\n")
	if err := tr.read(strings.NewReader(input)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"steps 0/1  ", "steps 0/2  ",
		"[1/3] FROM docker.io/oven/bun:1.3.9", "steps 0/2  [1/3] FROM docker.io/oven/bun:1.3.9",
		"[1/3] FROM docker.io/oven/bun:1.3.9 10/100 bytes ", "[1/3] FROM docker.io/oven/bun:1.3.9 10/150 bytes ",
		"steps 1/2  [1/3] FROM docker.io/oven/bun:1.3.9",
		"[2/3] RUN bun install", "steps 1/2  [2/3] RUN bun install", "hello",
		"steps 2/2  [2/3] RUN bun install",
		"dockerfile-lint Dockerfile:7: Secrets; see https://docs.docker.com/x",
	}
	if d := cmp.Diff(want, eventLines(&h)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"WARNING: something else", `{"not":"ours"}`}, tr.said.kept()); d != "" {
		t.Error(d)
	}
	if c, n := tr.cached(); c != 1 || n != 2 {
		t.Errorf("%d of %d cached", c, n)
	}
}

func TestTrackerFailure(t *testing.T) {
	step := `{"vertexes":[{"digest":"b","name":"[2/2] RUN bun build","error":"process \"/bin/sh -c bun build\" did not complete successfully: exit code: 3",` + begun + `,` + ended + `}],"logs":[{"vertex":"b","data":"c2FpZAo="}]}`
	for _, tt := range []struct {
		name, input string
		want        pipeline.Finding
	}{
		{"a step", step + "\nDockerfile:9\n--------------------\n   9 | >>> RUN bun build\n--------------------\nERROR: failed to solve: process \"/bin/sh -c bun build\" did not complete successfully: exit code: 3\n",
			pipeline.Finding{Code: "build-step", Where: "Dockerfile:9", What: "the build's step [2/2] RUN bun build failed", Why: "exit code: 3",
				Fix: "correct that step of the Dockerfile; its output follows", Evidence: []string{"said"}}},
		{"another step was cancelled by it", `{"vertexes":[{"digest":"a","name":"[a 1/2] RUN x","error":"context canceled"}]}` + "\n" + step,
			pipeline.Finding{Code: "build-step", What: "the build's step [2/2] RUN bun build failed", Why: "exit code: 3",
				Fix: "correct that step of the Dockerfile; its output follows", Evidence: []string{"said"}}},
		{"no step", "ERROR: failed to solve: dockerfile parse error on line 2: unknown instruction: COPPY\n",
			pipeline.Finding{Code: "build-failed", What: "docker buildx could not build the image", Why: "dockerfile parse error on line 2: unknown instruction: COPPY"}},
		{"no message", "", pipeline.Finding{Code: "build-failed", What: "docker buildx could not build the image", Why: "exit status 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTracker(nil)
			if err := tr.read(strings.NewReader(tt.input)); err != nil {
				t.Fatal(err)
			}
			got := *tr.failure("docker buildx", Request{}, errors.New("exit status 1"))
			got.Err = nil
			tt.want.Severity = pipeline.Error
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestTrackerLongLine checks that a record that is too long is skipped without
// using up memory.
func TestTrackerLongLine(t *testing.T) {
	var h heard
	tr := newTracker(h.reporter())
	input := `{"logs":[{"data":"` + strings.Repeat("A", maxStatusLine) + `"}]}` + "\n" + `{"vertexes":[{"digest":"a","name":"[1/1] FROM x"}]}`
	if err := tr.read(strings.NewReader(input)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"steps 0/1  "}, eventLines(&h)); d != "" {
		t.Error(d)
	}
}

// FuzzTracker checks that what is reported is safe to print, whatever a builder
// prints.
func FuzzTracker(f *testing.F) {
	f.Add([]byte(`{"vertexes":[{"digest":"a","name":"[1/2] RUN \u001b[31m","started":"2026-01-01T00:00:00Z"}],"logs":[{"vertex":"a","stream":2,"data":"G1szMW0K"}]}` + "\nERROR: x\x1b[0m\n"))
	f.Add([]byte(`{"statuses":[{"id":"x","vertex":"a","total":-1,"current":9}],"warnings":[{"short":"eA==","range":[{}],"sourceInfo":{}}]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		var h heard
		tr := newTracker(h.reporter())
		if err := tr.read(bytes.NewReader(input)); err != nil {
			t.Fatal(err)
		}
		found := tr.failure("builder", Request{}, errors.New("x"))
		h.reporter().Finding(found)
		for _, e := range h.all {
			text := e.Text
			if e.Finding != nil {
				text += e.Finding.Error() + strings.Join(e.Finding.Evidence, "")
			}
			if e.Progress != nil {
				text += e.Progress.Item + e.Progress.State
			}
			for _, r := range text {
				if r != '\t' && unicode.IsControl(r) {
					t.Fatalf("%q from %q", text, input)
				}
			}
		}
		if len(found.Evidence) > maxLogLines+3 {
			t.Fatalf("%d lines of evidence", len(found.Evidence))
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(`{"vertexes":[{"digest":"a","cached":true}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := parseStatus(line)
		if err != nil {
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseStatus(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}

func TestStepTracker(t *testing.T) {
	var h heard
	tr := &stepTracker{r: h.reporter()}
	out := "[1/2] STEP 1/2: FROM scratch AS base\n[1/2] STEP 2/2: COPY a /\n--> Using cache 123\n[2/2] STEP 1/1: FROM base\nlast"
	if err := tr.read(strings.NewReader(out)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"steps 1/2 0/2  FROM scratch AS base", "[1/2] STEP 1/2: FROM scratch AS base",
		"steps 1/2 1/2  COPY a /", "[1/2] STEP 2/2: COPY a /", "--> Using cache 123",
		"steps 2/2 0/1  FROM base", "[2/2] STEP 1/1: FROM base", "last",
	}
	if d := cmp.Diff(want, eventLines(&h)); d != "" {
		t.Error(d)
	}
	if tr.cached != 1 || tr.all != 3 {
		t.Errorf("%d of %d", tr.cached, tr.all)
	}
}

func TestStepTrackerFailure(t *testing.T) {
	dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nRUN  make \\\n  all\nRUN x\nRUN x\n"})
	req := Request{Dir: dir, Dockerfile: dir + "/Dockerfile"}
	for _, tt := range []struct {
		name, out string
		want      pipeline.Finding
	}{
		{"buildah 1.28", "STEP 1/3: FROM scratch\nSTEP 2/3: RUN make all\ncc: bad\nError: building at STEP \"RUN make all\": while running runtime: exit status 2\n",
			pipeline.Finding{Code: "build-step", Where: "Dockerfile:2", What: "the build's step RUN make all failed", Why: "while running runtime: exit status 2",
				Fix: "correct that step of the Dockerfile; its output follows", Evidence: []string{"cc: bad"}}},
		{"older", "STEP 2: FROM scratch\nSTEP 2/3: RUN x\nerror building at STEP \"RUN x\": error while running runtime: exit status 2\n",
			pipeline.Finding{Code: "build-step", What: "the build's step RUN x failed", Why: "error while running runtime: exit status 2", Fix: "correct that step of the Dockerfile"}},
		{"before any step", "Error: no such Dockerfile\n", pipeline.Finding{Code: "build-failed", What: "podman could not build the image", Why: "no such Dockerfile"}},
		{"no message", "noise\n", pipeline.Finding{Code: "build-failed", What: "podman could not build the image", Why: "exit status 1", Evidence: []string{"noise"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := &stepTracker{}
			if err := tr.read(strings.NewReader(tt.out)); err != nil {
				t.Fatal(err)
			}
			got := *tr.failure("podman", req, errors.New("exit status 1"))
			got.Err = nil
			if len(got.Evidence) == 0 {
				got.Evidence = nil
			}
			tt.want.Severity = pipeline.Error
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
