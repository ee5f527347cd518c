package receipt

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

var t0 = time.Date(2026, 3, 2, 9, 0, 0, 123_000_000, time.UTC)

func sample() *Receipt {
	r := &Receipt{
		Command: "rollout", Worker: "system-bus-worker",
		Image:    Image{Repository: "ghcr.io/joelhooks/system-bus-worker", Tag: "20260302-090000", Digest: "sha256:11", Platforms: []string{"linux/arm64"}},
		Previous: "ghcr.io/joelhooks/system-bus-worker:old", Commit: "a6b4336b00112233445566778899aabbccddeeff", Dirty: true,
		By:        By{GitHub: "joelhooks", Kube: "admin@flagg"},
		Target:    &Target{Namespace: "joelclaw", Kind: "Deployment", Name: "system-bus-worker", ReplicaSet: "w-7", Pods: []Pod{{Name: "p", UID: "u"}}},
		Functions: []string{"a", "b"},
		Inngest:   &Inngest{App: "system-bus-cluster", Synced: true},
		Evidence:  []Evidence{{Title: "pod/p container/w, previous log", Text: "\x1b[31mboom\n"}},
		Manifest:  json.RawMessage(`{"file":"k8s/w.yaml"}`),
	}
	r.Finish(pipeline.Outcome{
		End: pipeline.Restored, Err: errors.New("boom"), UndoErrs: []error{errors.New("no way back")},
		Findings: []*pipeline.Finding{{Code: "image-platform", Severity: pipeline.Warning, What: "w", Evidence: []string{"e"}}},
		Stages:   []pipeline.StageRecord{{Name: "apply", Started: t0, Duration: 1234567 * time.Microsecond}},
		Started:  t0, Duration: 12345 * time.Millisecond,
	})
	return r
}

func TestSaveAndLoad(t *testing.T) {
	s := Store{Dir: filepath.Join(t.TempDir(), "state", "receipts")}
	r := sample()
	if err := s.Save(r); err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(s.Dir, "system-bus-worker", "20260302T090000.123Z-20260302-090000.json"); r.Path != want {
		t.Errorf("path = %s", r.Path)
	}
	info, err := os.Stat(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v", info.Mode())
	}
	got, err := Load(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	// Raw JSON is indented like the rest.
	if string(got.Manifest) == "" || !json.Valid(got.Manifest) {
		t.Errorf("manifest = %s", got.Manifest)
	}
	got.Manifest = r.Manifest
	if d := cmp.Diff(r, got); d != "" {
		t.Error(d)
	}
	if got.Seconds != 12.345 || got.Stages[0].Seconds != 1.235 || got.End != "failed, changed and restored" || got.Code != 4 ||
		got.Findings[0].Severity != "warning" || got.NotUndone[0] != "no way back" || got.Version != Version {
		t.Errorf("got %+v", got)
	}
}

func TestSaveNeverOverwrites(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	seen := map[string]bool{}
	for range 3 {
		r := sample()
		if err := s.Save(r); err != nil {
			t.Fatal(err)
		}
		seen[r.Path] = true
	}
	if len(seen) != 3 {
		t.Errorf("paths = %v", seen)
	}
	if all, err := s.List("system-bus-worker", 0); err != nil || len(all) != 3 {
		t.Errorf("listed %d, %v", len(all), err)
	}
}

func TestListIsNewestFirstAndBounded(t *testing.T) {
	s := Store{Dir: t.TempDir(), Keep: 3}
	for i := range 5 {
		r := sample()
		r.Started = t0.Add(time.Duration(i) * time.Hour)
		r.Image.Tag = string(rune('e' - i)) // names in the other order
		if err := s.Save(r); err != nil {
			t.Fatal(err)
		}
	}
	other := sample()
	other.Worker = "other/../x"
	if err := s.Save(other); err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(other.Path) != filepath.Join(s.Dir, "other_.._x") {
		t.Errorf("path = %s", other.Path)
	}
	tags := func(rs []*Receipt) (all string) {
		for _, r := range rs {
			all += r.Image.Tag
		}
		return all
	}
	all, err := s.List("system-bus-worker", 0)
	if err != nil || tags(all) != "abc" {
		t.Errorf("list = %s, %v", tags(all), err)
	}
	if all, err := s.List("system-bus-worker", 2); err != nil || tags(all) != "ab" {
		t.Errorf("list of two = %s, %v", tags(all), err)
	}
	if r, err := s.Latest("system-bus-worker", nil); err != nil || r.Image.Tag != "a" {
		t.Errorf("latest = %+v, %v", r, err)
	}
	if r, err := s.Latest("system-bus-worker", func(r *Receipt) bool { return r.Image.Tag == "c" }); err != nil || r.Image.Tag != "c" {
		t.Errorf("latest that matches = %+v, %v", r, err)
	}
	if r, err := s.Latest("nobody", nil); r != nil || err != nil {
		t.Errorf("latest of none = %+v, %v", r, err)
	}
	if all, err := s.List("nobody", 0); all != nil || err != nil {
		t.Errorf("list of none = %+v, %v", all, err)
	}
}

func TestReadersTakeOtherVersions(t *testing.T) {
	dir := t.TempDir()
	s := Store{Dir: dir}
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "w"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "w", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("20260301T000000.000Z-a.json", `{"version":1,"worker":"w","image":{"tag":"a"},"unknown":{"x":1}}`)
	put("20260302T000000.000Z-b.json", `{"version":9,"worker":"w","image":{"tag":"b"},"seconds":"12s","end":"done"}`)
	put("20260303T000000.000Z-c.json", `{"version":1,"worker":"w","seconds":"12s"}`)
	put("20260304T000000.000Z-d.json", `{"version":1,"wor`)
	put("notes.txt", "x")
	all, err := s.List("w", 0)
	if len(all) != 2 || all[0].Image.Tag != "b" || all[0].End != "done" || all[1].Image.Tag != "a" {
		t.Errorf("list = %+v", all)
	}
	found := pipeline.AsFindings("", err)
	if len(found) != 2 {
		t.Fatalf("findings = %v", found)
	}
	for _, f := range found {
		if f.Code != "receipt-unreadable" || f.Severity != pipeline.Warning || !strings.Contains(f.Where, "2026030") {
			t.Errorf("finding = %+v", f)
		}
	}
}

func TestSaveFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Store{Dir: file}.Save(sample())
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != "receipt-not-kept" || f.Severity != pipeline.Warning || f.Fix == "" {
		t.Errorf("got %v", err)
	}
	if _, err := (Store{Dir: file}).List("w", 0); err == nil {
		t.Error("listing a file as a directory did not fail")
	}
}

func TestSaveFromManyAtOnce(t *testing.T) {
	s := Store{Dir: t.TempDir(), Keep: 5}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r := sample()
			r.Started = t0.Add(time.Duration(i) * time.Second)
			if err := s.Save(r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := s.List("system-bus-worker", 0)
	if err != nil || len(all) != 5 || !all[0].Started.Equal(t0.Add(19*time.Second)) {
		t.Errorf("%d kept, %v", len(all), err)
	}
}
