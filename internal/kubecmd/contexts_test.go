package kubecmd

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

func TestWhatSeveralContextsShareIsReportedOnce(t *testing.T) {
	same := func() *pipeline.Finding {
		return &pipeline.Finding{Code: "x", Severity: pipeline.Error, What: "the file is gone"}
	}
	own := &pipeline.Finding{Code: "y", What: "only here"}
	got := rollout.Together([]string{"eu", "us"}, [][]*pipeline.Finding{{same(), own}, {same()}})
	var texts []string
	for _, f := range got {
		texts = append(texts, f.What)
	}
	if want := []string{"eu, us: the file is gone", "eu: only here"}; !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
	if own.What != "only here" {
		t.Error("the finding itself was changed")
	}
}

func TestContextsUsage(t *testing.T) {
	for name, tc := range map[string]struct {
		argv []string
		want string
	}{
		"unknown":         {[]string{"rollout", "--tag", "a", "--contexts", "here,nope"}, `no context is called "nope"`},
		"no name":         {[]string{"rollout", "--tag", "a", "--contexts="}, "it has no names"},
		"no name, status": {[]string{"status", "--contexts", " ,"}, "it has no names"},
		"both":            {[]string{"rollout", "--tag", "a", "--contexts", "here", "--context", "here"}, "--context and --contexts are both given"},
		"twice the same":  {[]string{"rollout", "--tag", "a", "--contexts", "*"}, "refer to the same deployment/system-bus-worker"},
		"wave size":       {[]string{"rollout", "--tag", "a", "--contexts", "here", "--wave-size", "0"}, "--wave-size 0"},
		"max failures":    {[]string{"rollout", "--tag", "a", "--contexts", "here", "--max-failures", "-1"}, "--max-failures -1"},
		"without several": {[]string{"rollout", "--tag", "a", "--wave-size", "2"}, "--wave-size and --max-failures"},
		"no tag":          {[]string{"rollout", "--contexts", "here"}, "there is no tag to roll out"},
		"status":          {[]string{"status", "--contexts", "nope"}, `no context is called "nope"`},
		"doctor":          {[]string{"doctor", "--tag", "a", "--contexts", "nope"}, `no context is called "nope"`},
	} {
		t.Run(name, func(t *testing.T) {
			env, out, errs := testEnv(t, "")
			two := strings.Replace(kubeconfig, "contexts: [", "contexts: [{name: there, context: {cluster: c, user: u}}, ", 1)
			if err := os.WriteFile(os.Getenv("KUBECONFIG"), []byte(two), 0o600); err != nil {
				t.Fatal(err)
			}
			code := cli.Execute(t.Context(), env, NewRoot(env), tc.argv)
			if code != int(pipeline.Usage) || !strings.Contains(errs.String(), tc.want) || !strings.Contains(errs.String(), "fix:") || out.Len() > 0 {
				t.Errorf("exit %d\n%s\n%s", code, out, errs)
			}
		})
	}
}
