package ui

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLog: what comes from elsewhere becomes lines, whole and harmless.
func TestLog(t *testing.T) {
	var out buffer
	u := New(Options{Err: &out, Now: newClock().Now, Ticks: make(chan time.Time)})
	log := u.Log()
	fmt.Fprint(log, "W0101 watch ")
	fmt.Fprint(log, "closed\r\nsecond\x1b]0;title\x07 line\nrest")
	if err := u.Stop(); err != nil {
		t.Fatal(err)
	}
	want := lines("12:00:00 W0101 watch closed", "12:00:00 second line", "12:00:00 rest")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := fmt.Fprint(log, "late\n"); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after the end: %v, want ErrClosed", err)
	}
}

// TestQuestionsAreShown: a line without an end is shown after a while.
func TestQuestionsAreShown(t *testing.T) {
	var out buffer
	clock, ticks := newClock(), make(chan time.Time)
	u := New(Options{Err: &out, Now: clock.Now, Ticks: ticks})
	fmt.Fprint(u.Log(), "Password: ")
	for _, at := range []float64{0.1, 0.4} {
		clock.set(at)
		ticks <- clock.Now()
		ticks <- clock.Now() // the first has been dealt with
		want := ""
		if at > promptAfter.Seconds() {
			want = "12:00:00 Password:\n"
		}
		if got := out.String(); got != want {
			t.Errorf("after %v s: %q, want %q", at, got, want)
		}
	}
	if err := u.Stop(); err != nil {
		t.Fatal(err)
	}
}
