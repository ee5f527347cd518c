package kubecmd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// logged returns what a run prints on stderr while client-go logs.
func logged(t *testing.T, print func(*cli.Env), level string) string {
	t.Helper()
	env, _, errs := testEnv(t, "")
	print(env)
	logs := newKlogger(env).install()
	t.Cleanup(func() {
		klog.ClearLogger()
		if err := logs.Set("0"); err != nil {
			t.Error(err)
		}
	})
	if err := logs.Set(level); err != nil {
		t.Fatal(err)
	}
	p := pipeline.Pipeline{Name: "rollout", Stages: []pipeline.Stage{{Name: "watch", Run: func(ctx context.Context, _ *pipeline.Reporter) error {
		runtime.HandleErrorWithContext(ctx, errors.New("lost connection to pod"), "forwarding")
		klog.Warning("old klog")
		klog.FromContext(ctx).V(6).Info("Response", "verb", "GET")
		klog.V(6).Info("old klog, sixth")
		return nil
	}}}}
	if _, err := env.Run(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	return errs.String()
}

func TestLibrariesLogWhereTheRunIsPrinted(t *testing.T) {
	few := []string{"lost connection to pod", "old klog\n"}
	all := append(few, "Response", "old klog, sixth\n")
	for _, c := range []struct {
		name  string
		print func(*cli.Env)
		level string
		want  []string
	}{
		{"unasked", func(*cli.Env) {}, "0", nil},
		{"--verbose", func(e *cli.Env) { e.Mode.Verbose = true }, "0", few},
		{"-v 6", func(*cli.Env) {}, "6", all},
		{"-v 5", func(*cli.Env) {}, "5", few},
		{"--events -v 6", func(e *cli.Env) { e.Mode.Events = true }, "6", []string{"lost connection to pod", "old klog\"", "Response", "old klog, sixth\""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := logged(t, c.print, c.level)
			for _, line := range all {
				line = strings.TrimRight(line, "\n")
				if want := strings.Contains(strings.Join(c.want, "\n"), line); want != strings.Contains(got, line) {
					t.Errorf("%q: %v, want %v, in\n%s", line, !want, want, got)
				}
			}
			for line := range strings.Lines(got) {
				if c.name == "--events -v 6" && !strings.HasPrefix(line, `{"v":1,`) {
					t.Errorf("no JSON line: %q", line)
				}
			}
		})
	}
}

func TestNoLogLevelWritesBodies(t *testing.T) {
	env, _, _ := testEnv(t, "")
	for _, level := range []string{"8", "10", "-1", "x", ""} {
		if err := newKlogger(env).Set(level); err == nil {
			t.Errorf("-v %q is accepted", level)
		}
	}
	root := NewRoot(env)
	if code := cli.Execute(t.Context(), env, root, []string{"status", "-v=9"}); code != int(pipeline.Usage) {
		t.Errorf("exit code %d", code)
	}
}
