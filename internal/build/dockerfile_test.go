package build

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/editdistance"
)

func TestParseDockerfile(t *testing.T) {
	const text = "\ufeff# syntax=docker/dockerfile:1\n" +
		"# escape=\\\n" +
		"ARG BUN=1.3.9\r\n" +
		"ARG A=1 B=\"two\"\n" +
		"from --platform=$BUILDPLATFORM oven/bun:${BUN} as Deps\r\n" +
		"# a comment\n" +
		"COPY --from=other --chmod=755 [\"a b\", \"/c\"]\n" +
		"RUN --mount=type=bind,source=x bun \\\n" +
		"  # within\n" +
		"\n" +
		"  install\n" +
		"RUN <<-EOF\n" +
		"\tFROM nowhere\n" +
		"\tEOF\n" +
		"COPY <<'ONE' <<\"TWO\" /to/\n1\nONE\n2\nTWO\n" +
		"\tRUN\tcat <<X | sh\nBOGUS\nX\n" +
		"FROM deps\n" +
		"CMD [\"bun\"]"
	d, err := parseDockerfile(text)
	if err != nil {
		t.Fatal(err)
	}
	want := dockerfile{
		frontend: "docker/dockerfile:1",
		args:     map[string]string{"BUN": "1.3.9", "A": "1", "B": "two"},
		stages: []stage{
			{name: "deps", base: "oven/bun:${BUN}", platform: "$BUILDPLATFORM", line: 5, instrs: []instr{
				{name: "COPY", flags: []string{"from=other", "chmod=755"}, rest: `["a b", "/c"]`, words: []string{"a b", "/c"}, line: 7},
				{name: "RUN", flags: []string{"mount=type=bind,source=x"}, rest: "bun   install", words: []string{"bun", "install"}, line: 8},
				{name: "RUN", rest: "<<-EOF", words: []string{"<<-EOF"}, line: 12, here: true},
				{name: "COPY", rest: `<<'ONE' <<"TWO" /to/`, words: []string{"<<'ONE'", `<<"TWO"`, "/to/"}, line: 15, here: true},
				{name: "RUN", rest: "cat <<X | sh", words: []string{"cat", "<<X", "|", "sh"}, line: 20, here: true},
			}},
			{base: "deps", line: 23, instrs: []instr{{name: "CMD", rest: `["bun"]`, words: []string{"bun"}, line: 24}}},
		},
	}
	opts := []cmp.Option{cmp.AllowUnexported(dockerfile{}, stage{}, instr{}), cmp.Transformer("spaces", func(s string) string { return strings.Join(strings.Fields(s), " ") })}
	if diff := cmp.Diff(want, d, opts...); diff != "" {
		t.Error(diff)
	}
}

func TestParseDockerfileFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "line 1: it has no FROM",
		"# nothing\n":                     "line 1: it has no FROM",
		"FROM a\nCOPPY x y\n":             "line 2: unknown instruction COPPY",
		"RUN x\nFROM a\n":                 "line 1: RUN comes before the first FROM",
		"FROM\n":                          "line 1: FROM does not name a base image",
		"FROM a\nRUN <<EOF\nx\n":          "line 2: its heredoc EOF does not end",
		"FROM a\nRUN x \\\n":              "",
		"# syntax=example.com/x\nBOGUS\n": "",
		"FROM a\nRUN echo $((1<<2))\n":    "",
		"FROM a\nRUN echo '<<EOF'\n":      "",
	} {
		_, err := parseDockerfile(text)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	_, err := parseDockerfile("FROM a\nENTRIPOINT x\n")
	var se *syntaxError
	if !errors.As(err, &se) || se.fix != "did you mean ENTRYPOINT?" {
		t.Errorf("err = %+v", err)
	}
}

func TestReachable(t *testing.T) {
	d, err := parseDockerfile("ARG BASE=tools\nFROM a AS tools\nFROM b AS unused\nFROM c AS deps\nRUN --mount=type=bind,from=mounted x\nFROM d AS mounted\nFROM ${BASE} AS final\nCOPY --from=deps x y\nCOPY --from=0 x y\nCOPY --from=alpine x y\n")
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string][]int{"": {0, 2, 4}, "DEPS": {2}, "1": {1}, "none": nil, "9": nil} {
		got, ok := d.reachable(target, d.args)
		if diff := cmp.Diff(want, got); diff != "" || ok != (want != nil) {
			t.Errorf("%q: %s", target, diff)
		}
	}
}

func TestExpand(t *testing.T) {
	vars := map[string]string{"A": "1", "E": ""}
	for in, want := range map[string]string{
		"x$A-${A}": "x1-1", "${A:-2}": "1", "${E:-2}": "2", "${E-2}": "", "${N:-2}": "2", "${N-2}": "2",
		"${A:+y}": "y", "${E:+y}": "", "${E+y}": "y", "${N:+y}": "", "$N": "?", "${N}x": "x?", "plain": "plain", "$": "$",
	} {
		got, known := expand(in, vars)
		if !known {
			got += "?"
		}
		if got != want {
			t.Errorf("%q → %q, want %q", in, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for in, want := range map[string]string{"FORM": "FROM", "COPPY": "COPY", "WORKDIRR": "WORKDIR", "XYZZY": "", "": ""} {
		if got := editdistance.Nearest(in, instructions); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzParseDockerfile checks that any text is either parsed or leads to an error
// at one of its lines.
func FuzzParseDockerfile(f *testing.F) {
	f.Add("# syntax=docker/dockerfile:1\nFROM a AS b\nRUN <<EOF\nx\nEOF\nFROM b\nCOPY --from=b . .\n")
	f.Add("# escape=`\nFROM a\nRUN x `\n y\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDockerfile(text)
		lines := strings.Count(text, "\n") + 1
		var se *syntaxError
		if err != nil {
			if !errors.As(err, &se) || se.line < 1 || se.line > lines || se.what == "" || se.fix == "" {
				t.Fatalf("%+v", err)
			}
			return
		}
		for _, s := range d.stages {
			for _, in := range s.instrs {
				if in.line < s.line || in.line > lines {
					t.Fatalf("%+v", in)
				}
			}
		}
		vars := d.vars(Request{}, "linux/arm64", "linux/amd64")
		if all, ok := d.reachable("", vars); d.plain() && (!ok || len(all) == 0 || all[len(all)-1] != len(d.stages)-1) {
			t.Fatalf("reachable %v of %d", all, len(d.stages))
		}
	})
}
