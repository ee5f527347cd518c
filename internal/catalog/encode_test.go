package catalog

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func example(n int) *Catalog {
	c := &Catalog{Version: Version, Indexes: []Index{{Path: "src/index.cluster.ts", Functions: []Function{}}, {Path: "src/index.host.ts", Incomplete: true, Functions: []Function{}}}}
	for i := range n {
		f := Function{
			ID: fmt.Sprintf("group/function-%d", i), Name: fmt.Sprintf("Function → %d", i), App: "app",
			Retries: Retries{Value: DefaultRetries}, Triggers: []Trigger{{Event: fmt.Sprintf("group/event.%d", i), Expression: "event.data.a < 1 && b"}, {Cron: "TZ=UTC 0 * * * *"}},
			Concurrency: []Concurrency{{Limit: 1, Key: `"x"`, Scope: "account"}},
			OnFailure:   i%2 == 0, File: fmt.Sprintf("src/functions/fn%d.ts", i/2), Line: i + 1, Via: "src/x.ts:1", Undecided: []string{"triggers"},
		}
		if i%3 == 0 {
			f.Retries = Retries{Value: 0, Explicit: true}
		}
		switch i % 4 {
		case 1:
			f.Steps = &Steps{IDs: []Step{}}
		case 2:
			f.Steps = &Steps{IDs: []Step{{"run", "a"}, {"sleep", "b"}, {"ai.infer", "c"}}, Open: i%3 == 0}
		}
		c.Indexes[i%2].Functions = append(c.Indexes[i%2].Functions, f)
	}
	c.Unresolved = []Unresolved{{Index: "src/index.host.ts", File: "src/x.ts", Line: 9, What: "what", Why: "why"}}
	return c
}

func TestEncodeDecode(t *testing.T) {
	for _, n := range []int{0, 1, 5, 200} {
		want := example(n)
		text, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if packed := strings.HasPrefix(text, gzipPrefix); packed != (n > 1) {
			t.Errorf("%d functions: packed %v, %d bytes", n, packed, len(text))
		}
		if strings.ContainsAny(text, "\n\r\x00") {
			t.Error("the label contains a line break")
		}
		got, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d functions:\n%s", n, d)
		}
		if again, err := Encode(got); err != nil || again != text {
			t.Errorf("%d functions: encoding is not stable: %v", n, err)
		}
	}
}

// TestEncodeLeavesReasons: why steps are open is for whoever has the sources.
func TestEncodeLeavesReasons(t *testing.T) {
	c := example(1)
	c.Indexes[0].Functions[0].Steps = &Steps{IDs: []Step{}, Open: true, Why: "because"}
	text, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&Steps{IDs: []Step{}, Open: true}, got.Indexes[0].Functions[0].Steps); d != "" {
		t.Error(d)
	}
}

// TestDecodeOlder: a catalog that was written before steps were looked for does
// not claim that there are none.
func TestDecodeOlder(t *testing.T) {
	got, err := Decode(`{"v":1,"f":["a.ts"],"i":[{"p":"index.ts","n":[{"i":"a","f":0,"l":1}]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Indexes[0].Functions[0].Steps; s != nil {
		t.Error(s)
	}
}

func TestEncodeLeavesOrphans(t *testing.T) {
	c := example(1)
	c.Orphans = []Function{fn("forgotten")}
	text, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Decode(text); err != nil || len(got.Orphans) > 0 {
		t.Error(got, err)
	}
}

func TestEncodeTooLarge(t *testing.T) {
	c := example(0)
	for i := range 9000 {
		// These names do not compress well.
		c.Indexes[0].Functions = append(c.Indexes[0].Functions, fn(fmt.Sprintf("%x", [16]byte{byte(i), byte(i >> 8), byte(i * 7), byte(i * 31), byte(i * i), byte(i * i >> 8), byte(i * 17), byte(i * 13), byte(i * 101), byte(i * 211)})))
	}
	text, err := Encode(c)
	if !errors.Is(err, ErrTooLarge) || text != "" {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	bomb := func() string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(bytes.Repeat([]byte{' '}, decodedLimit+1)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return gzipPrefix + base64.StdEncoding.EncodeToString(b.Bytes())
	}()
	for text, want := range map[string]string{
		"":                           "unexpected end of JSON input",
		"{}":                         "no version",
		`{"v":0}`:                    "no version",
		`{"v":2,"i":"another form"}`: "newer version of sbw",
		`{"v":1,"i":"x"}`:            "cannot unmarshal",
		"gz:!!":                      "illegal base64",
		"gz:AAAA":                    "EOF",
		bomb:                         "more than 8 MiB",
	} {
		_, err := Decode(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v, want %q", text, err, want)
		}
	}
	if _, err := Decode(`{"v":2}`); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
	// A file that is not in the table must not make the test fail.
	c, err := Decode(`{"v":1,"i":[{"p":"a.ts","n":[{"i":"x","f":7,"l":1}]}]}`)
	if err != nil || c.Indexes[0].Functions[0].File != "" {
		t.Error(c, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 3, 50} {
		text, err := Encode(example(n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Decode(text)
		if err != nil {
			return
		}
		again, err := Encode(c)
		if errors.Is(err, ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		d, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, d, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
