package layout

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestKept(t *testing.T) {
	base, root := t.TempDir(), t.TempDir()
	k, err := Keep(base, root, "system-bus-worker")
	if err != nil {
		t.Fatal(err)
	}
	b := box{t, k.Dir}
	_, err = Keep(base, root, "system-bus-worker")
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || f.Code != "layout-locked" || !strings.Contains(f.Why, fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second one: %v", err)
	}
	other, err := Keep(base, root, "Other Worker/../..")
	if err != nil {
		t.Fatal(err)
	}
	if rel, err := filepath.Rel(filepath.Dir(filepath.Dir(k.Dir)), other.Dir); err != nil || strings.HasPrefix(rel, "..") || other.Dir == k.Dir {
		t.Errorf("%s is not separate from %s: %v", other.Dir, k.Dir, err)
	}
	b.check(other.Release())
	if k.LastSize() != 0 {
		t.Error("a size before any image")
	}
	var all []v1.Descriptor
	b.check(os.MkdirAll(k.CacheDir(), 0o755))
	for i := range KeepPublished + 2 {
		img := b.image("arm64", fmt.Sprint("layer ", i))
		all = append(all, img)
		b.list(all...)
		imgs, err := Images(k.Dir, img.Digest.String())
		b.check(err)
		b.check(os.WriteFile(filepath.Join(k.CacheDir(), imgs[0].Manifest.Layers[0].Digest.Hex+".v1"), nil, 0o644))
		_, err = k.Published(Publication{Digest: img.Digest.String(), Time: time.Unix(int64(i), 0)})
		b.check(err)
		if k.LastSize() != imgs[0].Size {
			t.Errorf("size %d, want %d", k.LastSize(), imgs[0].Size)
		}
	}
	for i, img := range all {
		_, err := Images(k.Dir, img.Digest.String())
		if gone := err != nil; gone != (i < 2) {
			t.Errorf("image %d: %v", i, err)
		}
	}
	if facts, err := os.ReadDir(k.CacheDir()); err != nil || len(facts) != KeepPublished {
		t.Errorf("facts: %v, %v", facts, err)
	}
	// Publishing the same again counts as one image.
	last := all[len(all)-1].Digest.String()
	_, err = k.Published(Publication{Digest: last, Time: time.Unix(99, 0)})
	b.check(err)
	if h, err := k.history(); err != nil || len(h) != KeepPublished || h[len(h)-1].Digest != last {
		t.Errorf("history %v, %v", h, err)
	}
	b.check(k.Release())
	b.check(k.Release())
	again, err := Keep(base, root, "system-bus-worker")
	b.check(err)
	b.check(os.WriteFile(again.historyFile(), []byte("[{"), 0o644))
	if again.LastSize() != 0 {
		t.Error("a size from half a history")
	}
	b.check(again.Release())
}

func TestKeepUnusable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Keep(file, "/", "w"); code(err) != "layout-dir" {
		t.Errorf("err = %v", err)
	}
}

// TestLockOfAKilledProcess checks that a lock ends with its process, even if that
// is killed.
func TestLockOfAKilledProcess(t *testing.T) {
	if dir := os.Getenv("SBW_TEST_LOCK"); dir != "" {
		if _, err := Keep(dir, dir, "w"); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		select {}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockOfAKilledProcess$")
	cmd.Env = append(os.Environ(), "SBW_TEST_LOCK="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 7)
	if _, err := out.Read(line); err != nil || string(line) != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, err = Keep(dir, dir, "w")
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || !strings.Contains(f.Fix, fmt.Sprintf("kill %d", cmd.Process.Pid)) {
		t.Errorf("err = %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	k, err := Keep(dir, dir, "w")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
}
