package dist

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// pinned matches an action with its full commit digest and its version in a
// comment.
var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

type workflow struct {
	On          any               `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `yaml:"permissions"`
		Timeout     int               `yaml:"timeout-minutes"`
		Steps       []struct {
			Uses string         `yaml:"uses"`
			With map[string]any `yaml:"with"`
			Run  string         `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob("../../../.github/workflows/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(string(text), "\n") {
				if _, action, ok := strings.Cut(line, "uses: "); ok && !pinned.MatchString(action) {
					t.Errorf("line %d: %q is not pinned by digest with its version beside it", i+1, action)
				}
			}
			var w workflow
			if err := yaml.Unmarshal(text, &w); err != nil {
				t.Fatal(err)
			}
			for scope, right := range w.Permissions {
				if right != "read" {
					t.Errorf("every job gets %s %s: give it only to the job that needs it", right, scope)
				}
			}
			if w.Permissions == nil {
				t.Error("there are no permissions, so the token gets those in the repository's settings")
			}
			for name, job := range w.Jobs {
				if job.Timeout == 0 {
					t.Errorf("job %s has no timeout-minutes", name)
				}
				for _, step := range job.Steps {
					if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
						t.Errorf("job %s leaves the token in .git/config", name)
					}
					if strings.Contains(step.Run, "${{") {
						t.Errorf("job %s puts an expression into a script; pass it by env", name)
					}
				}
			}
		})
	}
}
