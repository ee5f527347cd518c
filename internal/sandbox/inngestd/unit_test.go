package inngestd

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCanonical(t *testing.T) {
	for raw, want := range map[string]string{
		`{"b":1,"a":[true,null,"x"]}`:         `{"a":[true,null,"x"],"b":1}`,
		`{ "url" : "http://a/?x=1&y=<2>" }`:   `{"url":"http://a/?x=1&y=<2>"}`,
		`[1.0,1e21,1e-7,0.1,-0,100]`:          `[1,1e+21,1e-7,0.1,0,100]`,
		`"\u2028\u00e9\u0001\n\t\"\\\/"`:      "\"\u2028é\\u0001\\n\\t\\\"\\\\/\"",
		`{"\ud83d\ude00":1,"\uff00":2,"a":3}`: "{\"a\":3,\"😀\":1,\"\uff00\":2}", // sorted by UTF-16 code units
		`{}`:                                  `{}`,
	} {
		got, err := canonical([]byte(raw))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s %v, want %s", raw, got, err, want)
		}
	}
	if _, err := canonical([]byte("{")); err == nil {
		t.Error("half an object is accepted")
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add(`{"b":1,"a":[true,null,"x\u2028"]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := canonical([]byte(raw))
		if err != nil {
			return
		}
		twice, err := canonical(once)
		if err != nil || string(once) != string(twice) {
			t.Errorf("%q becomes %q and then %q (%v)", raw, once, twice, err)
		}
	})
}

func TestParseDuration(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"1h": time.Hour, "1d12h": 36 * time.Hour, "1w": 7 * 24 * time.Hour, "500ms": 500 * time.Millisecond, "1m30s": 90 * time.Second,
		"1.5h": 90 * time.Minute, "2026-11-23T12:00:05.000Z": 5 * time.Second, "2020-01-01T00:00:00Z": 0,
	} {
		if got, err := parseDuration(text, now); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"1x", "h", "1h!", "-1h"} {
		if got, err := parseDuration(text, now); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestParseOpcodes(t *testing.T) {
	for raw, want := range map[string]string{
		`[]`: "", `[{"op":"StepRun","id":"a","name":"n"}]`: "n", `{"op":"Sleep","id":"a","displayName":"d"}`: "d",
		`[{"op":"StepPlanned","id":"a"},{"op":"StepPlanned","id":"b"}]`: "a b",
	} {
		ops, err := parseOpcodes([]byte(raw))
		var names []string
		for _, o := range ops {
			names = append(names, o.name())
		}
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("%s: %v %v", raw, names, err)
		}
	}
	for _, raw := range []string{"", "x", "[null]", `[{"op":"StepError","id":"a"}]`, `[1]`} {
		if _, err := parseOpcodes([]byte(raw)); err == nil {
			t.Errorf("%q is accepted as opcodes", raw)
		}
	}
}

func TestULIDsGrow(t *testing.T) {
	var g ulids
	at := time.UnixMilli(1795431528981)
	var ids []string
	for i := range 1000 {
		ids = append(ids, g.next(at.Add(time.Duration(i/400)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("the ids do not increase")
	}
	// The first ten characters are the milliseconds, as in a recorded id.
	if !strings.HasPrefix(ids[0], "01M840XYG") || !isULID(ids[0]) {
		t.Errorf("%s does not have that time", ids[0])
	}
}

func TestTable(t *testing.T) {
	for attempt, want := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute} {
		if d := Table(attempt); d < want || d >= want+30*time.Second {
			t.Errorf("after attempt %d: %s", attempt, d)
		}
		if d := Scaled(100)(attempt); d != want/100 {
			t.Errorf("scaled, after attempt %d: %s", attempt, d)
		}
	}
	if d := Table(99); d < 2*time.Hour {
		t.Errorf("after attempt 99: %s", d)
	}
}

func TestSatisfies(t *testing.T) {
	e := &event{Name: "inngest/function.failed", Data: map[string]any{"function_id": "app-a", "deep": map[string]any{"x": "1"}}}
	for expression, want := range map[string]bool{
		"event.data.function_id == 'app-a'": true,
		`event.data.function_id == "app-a"`: true,
		"event.data.function_id == 'app-b'": false,
		"event.data.function_id != 'app-b'": true,
		"async.data.deep.x == '1'":          true,
		"event.data.missing.deeper == ''":   false,
		"event.data.n > 3":                  false, // not supported
	} {
		if got := e.satisfies(expression); got != want {
			t.Errorf("%s: %v", expression, got)
		}
	}
}

func TestOutputIDs(t *testing.T) {
	ref, err := decodeOutputID(outputID("run", "span", ""))
	if err != nil || ref.Run != "run" || ref.Span != "span" || !ref.Preview {
		t.Errorf("%+v %v", ref, err)
	}
	for _, bad := range []string{"!", "e30x", ""} {
		if _, err := decodeOutputID(bad); err == nil {
			t.Errorf("%q is accepted as an id", bad)
		}
	}
	if _, err := json.Marshal(ref); err != nil {
		t.Error(err)
	}
}
