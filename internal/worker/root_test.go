package worker

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFindRoot(t *testing.T) {
	top := t.TempDir()
	deep := filepath.Join(top, "a", "b", "c")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(top, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	if root, found := FindRoot(deep); root != top || !found {
		t.Errorf("by .git: %s, %v", root, found)
	}
	sub := filepath.Join(top, "a")
	if err := os.WriteFile(filepath.Join(sub, ConfigName), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if root, found := FindRoot(deep); root != sub || !found {
		t.Errorf("by %s: %s, %v", ConfigName, root, found)
	}
}
