package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestRecordAndHistory(t *testing.T) {
	given := map[string]string{"other": "x"}
	e := EntryOf(sample())
	set, err := Record(given, e)
	if err != nil {
		t.Fatal(err)
	}
	if len(given) != 1 {
		t.Error("the given map was altered")
	}
	want := `[{"t":1772442000,"c":"rollout","i":"ghcr.io/joelhooks/system-bus-worker:20260302-090000@sha256:11","g":"a6b4336b0011","d":true,"u":"joelhooks","s":12.345,"e":"failed, changed and restored","n":"w-7","f":2}]`
	if set[AnnotationHistory] != want {
		t.Errorf("history = %s", set[AnnotationHistory])
	}
	if cause, ok := set[AnnotationCause]; ok {
		t.Errorf("after a rollback, the cause is that of the failed run: %s", cause)
	}
	if _, ok := set[AnnotationImage]; ok {
		t.Error("a failed run says what was shipped")
	}
	e.End, e.At = "done", e.At.Add(time.Hour)
	set, err = Record(Merge(given, set), e)
	if err != nil {
		t.Fatal(err)
	}
	if set[AnnotationImage] != e.Image {
		t.Errorf("image = %s", set[AnnotationImage])
	}
	if got := set[AnnotationCause]; got != "sbw rollout ghcr.io/joelhooks/system-bus-worker:20260302-090000 from a6b4336b0011+changes by joelhooks" {
		t.Errorf("cause = %s", got)
	}
	all, err := History(set)
	if err != nil || len(all) != 2 {
		t.Fatalf("history = %+v, %v", all, err)
	}
	e.At = e.At.Truncate(time.Second)
	if d := cmp.Diff(e, all[0]); d != "" {
		t.Error(d)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	a := map[string]string{}
	for i := range 50 {
		e := Entry{At: t0, Command: "rollout", Image: fmt.Sprintf("r:%d", i), End: "done"}
		if i == 40 {
			e.By = strings.Repeat("x", 6000)
		}
		set, err := Record(a, e)
		if err != nil {
			t.Fatal(err)
		}
		a = Merge(a, set)
		if len(a[AnnotationHistory]) > MaxBytes {
			t.Fatalf("%d bytes", len(a[AnnotationHistory]))
		}
		all, err := History(a)
		if err != nil || len(all) > MaxEntries || all[0].Image != e.Image {
			t.Fatalf("%d entries, %v", len(all), err)
		}
	}
	if all, _ := History(a); len(all) != MaxEntries {
		t.Errorf("%d entries at the end", len(all))
	}
	// An entry that exceeds the limit on its own is kept as the only one.
	set, err := Record(a, Entry{Image: strings.Repeat("x", MaxBytes)})
	if all, herr := History(set); err != nil || herr != nil || len(all) != 1 {
		t.Errorf("%d entries, %v, %v", len(all), err, herr)
	}
}

func TestHistoryOfAnotherVersionIsKept(t *testing.T) {
	old := `{"t":5,"i":"r:1","new":{"field":[1]}}`
	a := map[string]string{AnnotationHistory: "[" + old + "]"}
	all, err := History(a)
	if err != nil || len(all) != 1 || all[0].Image != "r:1" || all[0].At.Unix() != 5 {
		t.Fatalf("history = %+v, %v", all, err)
	}
	set, err := Record(a, Entry{Image: "r:2"})
	if err != nil || !strings.HasSuffix(set[AnnotationHistory], ","+old+"]") {
		t.Errorf("history = %s, %v", set[AnnotationHistory], err)
	}
}

func TestDamagedHistory(t *testing.T) {
	for text, n := range map[string]int{"": 0, "[]": 0, "nonsense": 0, `{"a":1}`: 0, `[{"i":"r:1"},7]`: 1} {
		a := map[string]string{AnnotationHistory: text}
		all, err := History(a)
		f, _ := errors.AsType[*pipeline.Finding](err)
		if good := text == "" || text == "[]"; len(all) != n || good != (err == nil) || (!good && (f == nil || f.Code != "history-unreadable")) {
			t.Errorf("%q: %+v, %v", text, all, err)
		}
		set, err := Record(a, Entry{Image: "r:2"})
		if err != nil || !json.Valid([]byte(set[AnnotationHistory])) {
			t.Errorf("%q: recorded %s, %v", text, set[AnnotationHistory], err)
		}
	}
}

func FuzzHistory(f *testing.F) {
	f.Add("", "r:1")
	f.Add(`[{"t":5,"i":"r:1"}]`, "r:2")
	f.Add(`[{"t":5,"i":"r:1"},{"i":7}]`, "\x00\xff")
	f.Fuzz(func(t *testing.T, text, image string) {
		a := map[string]string{AnnotationHistory: text}
		_, _ = History(a)
		set, err := Record(a, Entry{At: t0, Image: image})
		if err != nil {
			t.Fatal(err)
		}
		var raw []json.RawMessage
		if err := json.Unmarshal([]byte(set[AnnotationHistory]), &raw); err != nil || len(raw) == 0 || len(raw) > MaxEntries {
			t.Fatalf("%q + %q: %s, %v", text, image, set[AnnotationHistory], err)
		}
	})
}
