package reuse

import (
	"fmt"
	"testing"
)

func TestLine(t *testing.T) {
	bytes := func(n int64) string { return fmt.Sprint(n, " B") }
	for _, tt := range []struct {
		u    Reused
		want string
	}{
		{Reused{Layer: 3, CreatedBy: "COPY /app/node_modules ./node_modules # buildkit", Files: 33271, Changed: []string{"/a"}, Small: 21, Instead: 286},
			"layer 3 (COPY node_modules): 1 of 33,271 files differs, 21 B instead of 286 B"},
		{Reused{Layer: 1, Files: 1, Removed: []string{"/a", "/b"}, Small: 1, Instead: 2}, "layer 1: 2 of 1 file differ, 1 B instead of 2 B"},
		{Reused{Layer: 2, CreatedBy: "RUN |1 A=b /bin/sh -c pnpm   install # buildkit", Files: 1000, Instead: 2},
			"layer 2 (RUN pnpm install): none of 1,000 files differs, nothing instead of 2 B"},
	} {
		if got := tt.u.Line(bytes); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestChurn(t *testing.T) {
	const install = "COPY /app/node_modules ./node_modules # buildkit"
	for _, tt := range []struct {
		name string
		u    Reused
		in   Instruction
		fix  bool
	}{
		{"a package manager's times", Reused{CreatedBy: install, Changed: []string{"/app/node_modules/.modules.yaml"}}, Instruction{}, true},
		{"times alone", Reused{CreatedBy: "RUN make"}, Instruction{}, true},
		{"a source that was changed", Reused{CreatedBy: "COPY . .", Changed: []string{"/app/src/a.ts"}}, Instruction{FromContext: true}, false},
		{"a generated file in the context", Reused{CreatedBy: "COPY . .", Changed: []string{"/app/tsconfig.tsbuildinfo"}}, Instruction{FromContext: true}, true},
	} {
		f := Churn(tt.u, tt.in)
		if f.Code != CodeChurn || f.What == "" || f.Why == "" || (f.Fix != "") != tt.fix || len(f.Evidence) != len(tt.u.Changed) {
			t.Errorf("%s: %+v", tt.name, f)
		}
	}
}
