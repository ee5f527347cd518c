package receipt

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestMain makes the test binary act as the hook: the variable HOOK says how it
// behaves, OUT where it writes.
func TestMain(m *testing.M) {
	switch os.Getenv("HOOK") {
	case "":
		os.Exit(m.Run())
	case "record":
		stdin, err := io.ReadAll(os.Stdin)
		data, jerr := json.Marshal(map[string]any{"stdin": stdin, "args": os.Args[1:], "env": os.Environ()})
		if err := errors.Join(err, jerr, os.WriteFile(os.Getenv("OUT"), data, 0o600)); err != nil {
			panic(err)
		}
	case "fail":
		os.Stderr.WriteString(strings.Repeat("noise\n", 5000) + "\x1b[31mno space\x07 left\n")
		os.Exit(3)
	case "deaf": // does not read stdin
	case "hang":
		os.Stderr.WriteString("waiting\n")
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt)
		<-stop
	}
}

func hook(t *testing.T, how string, args ...string) (Hook, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	env := append(os.Environ(), "HOOK="+how, "OUT="+out, "GH_TOKEN=gho_x", "GITHUB_TOKEN=gho_y", "INNGEST_SIGNING_KEY=signkey-x",
		"INNGEST_SIGNING_KEY_FALLBACK=signkey-y", "TYPESENSE_API_KEY=z", "my_password=p", "TOKENIZERS=keep", "KEYBOARD=keep")
	return Hook{Argv: append([]string{self}, args...), Env: env}, out
}

func TestHookGetsTheReceipt(t *testing.T) {
	h, out := hook(t, "record", "write", "--tool", "{worker}", "--detail", "deployed {image} by {by}: {end}", "{unknown} {}", "$HOME")
	r := sample()
	if err := h.Run(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Stdin     []byte
		Args, Env []string
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"write", "--tool", "system-bus-worker", "--detail",
		"deployed ghcr.io/joelhooks/system-bus-worker:20260302-090000@sha256:11 by joelhooks: failed, changed and restored", "{unknown} {}", "$HOME"}
	if !slices.Equal(got.Args, want) {
		t.Errorf("args = %q", got.Args)
	}
	var back Receipt
	if err := json.Unmarshal(got.Stdin, &back); err != nil || back.Image.Digest != "sha256:11" {
		t.Errorf("stdin = %s, %v", got.Stdin, err)
	}
	for _, v := range got.Env {
		if strings.Contains(v, "gho_") || strings.Contains(v, "signkey") || strings.Contains(v, "API_KEY") || strings.Contains(v, "password") {
			t.Errorf("the hook saw %s", v)
		}
	}
	if !slices.Contains(got.Env, "TOKENIZERS=keep") || !slices.Contains(got.Env, "KEYBOARD=keep") {
		t.Error("harmless variables were removed")
	}
}

func TestHookFails(t *testing.T) {
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(pipeline.ErrInterrupted)
	for name, tt := range map[string]struct {
		how     string
		argv    []string
		ctx     context.Context
		timeout time.Duration
		why     string
		said    string
	}{
		"exit code":     {how: "fail", ctx: t.Context(), why: "exit status 3", said: "no space left"},
		"too long":      {how: "hang", ctx: t.Context(), timeout: 500 * time.Millisecond, why: "did not end within 500ms"},
		"interrupted":   {how: "hang", ctx: canceled, why: "interrupted"},
		"not installed": {argv: []string{"no-such-program-anywhere"}, ctx: t.Context(), why: "not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := hook(t, tt.how)
			h.Timeout = tt.timeout
			if tt.argv != nil {
				h.Argv = tt.argv
			}
			f, ok := errors.AsType[*pipeline.Finding](h.Run(tt.ctx, sample()))
			if !ok || f.Code != "receipt-hook" || f.Severity != pipeline.Warning || !strings.Contains(f.Why, tt.why) || f.Fix == "" {
				t.Fatalf("got %v", f)
			}
			if tt.said != "" && (len(f.Evidence) != 10 || f.Evidence[9] != tt.said) {
				t.Errorf("evidence = %q", f.Evidence)
			}
		})
	}
}

func TestHookNeedNotRead(t *testing.T) {
	h, _ := hook(t, "deaf")
	r := sample()
	r.Evidence = []Evidence{{Text: strings.Repeat("x", 1<<20)}} // more than a pipe holds
	if err := h.Run(t.Context(), r); err != nil {
		t.Error(err)
	}
	if err := (Hook{}).Run(t.Context(), r); err != nil {
		t.Error(err)
	}
}
