package runnable

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShellCommands(t *testing.T) {
	for line, want := range map[string][]string{
		"bun run x":                            {"bun run x"},
		"'bun' \"run x\"":                      {"bun run x"},
		`b\un a\ b`:                            {"bun a b"},
		"FOO=bar exec bun":                     {"bun"},
		`FOO="$X y" bun`:                       {"bun"},
		"a && b || c; d & e | f\ng":            {"a", "b", "c", "d", "e", "f", "g"},
		"cd /app&&bun":                         {"cd /app", "bun"},
		"bun run x >log 2>&1 <in":              {"bun run x"},
		"bun # a && b":                         {"bun"},
		"bun a#b":                              {"bun a#b"},
		"set -e; bun":                          {"bun"},
		"$X a && b":                            {"b"},
		"`x` a; b":                             {"b"},
		"(a) && b":                             nil,
		"if a; then b; fi":                     nil,
		"a; while b":                           {"a"},
		"[ -f x ] && a":                        {"a"},
		"bun \"$@\"":                           {"bun $@"},
		"":                                     nil,
		"  \t":                                 nil,
		"exec":                                 nil,
		"a 'unclosed":                          {"a unclosed"},
		"a \\\n  b":                            {"a b"},
		`exec dumb-init -- "node" 'server.js'`: {"dumb-init -- node server.js"},
	} {
		var got []string
		for _, argv := range shellCommands(line) {
			got = append(got, strings.Join(argv, " "))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", line, d)
		}
	}
}

func TestMustStart(t *testing.T) {
	for line, want := range map[string]string{
		"/usr/bin/bun run x":                     "/usr/bin/bun",
		"'/usr/bin/bun' run x":                   "/usr/bin/bun",
		`exec "./serve" --port "$PORT"`:          "./serve",
		"A=1 B=\"$C\" /bin/a":                    "/bin/a",
		"/bin/a && bun":                          "/bin/a",
		"/bin/a >log 2>&1 && /bin/b":             "/bin/a",
		"cd /app && export A=/x && exec ./serve": "./serve",
		"set -e && ./serve":                      "./serve",
		"bun && /bin/a":                          "", // which may create it
		"bun run x":                              "",
		"/bin/a || /bin/b":                       "",
		"/bin/a; bun":                            "",
		"/bin/a & bun":                           "",
		"/bin/a | tee log":                       "",
		"(/bin/a)":                               "",
		"[ -x /a ] && /a":                        "",
		"test -x /a && /a":                       "",
		". /env.sh && /a":                        "",
		"$BIN/a":                                 "",
		"$X && /a":                               "",
		"if true\nthen /a\nfi":                   "",
		"{ /a && b":                              "",
		"! /a":                                   "",
		"":                                       "",
	} {
		if got := mustStart(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestBrokenExecForm(t *testing.T) {
	for line, want := range map[string]string{
		"['bun', 'src/worker.ts']": "[bun,", `["/w",]`: "[/w,]", "[bun, run]": "[bun,", `[ "bun" ]`: "", "[ -f x ] && y": "", "[[ a = b ]]": "",
		"bun": "", "": "", "[": "", "[]": "[]", "  ['x']": "[x]", "[“bun”]": "[“bun”]",
	} {
		if got := BrokenExecForm(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func FuzzShell(f *testing.F) {
	for _, seed := range []string{"a && b 'c d' \"$e\"", `x\`, "2>&1", "['a',]", "a#b # c\nd"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		total := 0
		for _, w := range lex(line) {
			total += len(w.text)
		}
		if total > len(line) {
			t.Fatalf("%d bytes of %d", total, len(line))
		}
		for _, argv := range shellCommands(line) {
			if len(argv) == 0 {
				t.Fatal("a command without words")
			}
		}
		BrokenExecForm(line)
		if must := mustStart(line); must != "" && !slices.ContainsFunc(shellCommands(line), func(argv []string) bool { return argv[0] == must }) {
			t.Fatalf("%q is not among the commands", must)
		}
	})
}
