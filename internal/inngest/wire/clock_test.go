package wire

import (
	"net/http"
	"testing"
	"time"
)

func TestAhead(t *testing.T) {
	sent := time.Date(2026, 1, 2, 12, 0, 0, 300e6, time.UTC)
	date := func(ahead time.Duration) http.Header {
		return http.Header{"Date": {sent.Add(ahead).Truncate(time.Second).Format(http.TimeFormat)}}
	}
	for name, c := range map[string]struct {
		header http.Header
		took   time.Duration
		want   time.Duration
		known  bool
	}{
		"no Date":                           {http.Header{}, 0, 0, false},
		"a Date that is not one":            {http.Header{"Date": {"today"}}, 0, 0, false},
		"the same time":                     {date(0), 10 * time.Millisecond, 0, true},
		"a second ahead":                    {date(time.Second), 10 * time.Millisecond, 0, true},
		"five minutes ahead":                {date(5 * time.Minute), 10 * time.Millisecond, 5 * time.Minute, true},
		"five minutes behind":               {date(-5 * time.Minute), 10 * time.Millisecond, -5 * time.Minute, true},
		"a slow answer leaves it undecided": {date(0), 8 * time.Second, 0, true},
		"a slow answer, but far ahead":      {date(time.Hour), 8 * time.Second, time.Hour - 4*time.Second, true},
	} {
		got, known := Ahead(c.header, sent, sent.Add(c.took))
		if known != c.known || (got-c.want).Abs() > time.Second {
			t.Errorf("%s: %s, %t; want %s, %t", name, got, known, c.want, c.known)
		}
	}
}

func TestClock(t *testing.T) {
	c := &Clock{}
	sent := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	read := func(ahead, took time.Duration) {
		c.Read(http.Header{"Date": {sent.Add(ahead).Format(http.TimeFormat)}}, sent, sent.Add(took))
	}
	if _, known := c.Ahead(); known {
		t.Error("the difference is known before any answer")
	}
	for _, step := range []struct{ ahead, took, want time.Duration }{
		{300 * time.Second, 100 * time.Millisecond, 300 * time.Second},
		{303 * time.Second, 2 * time.Second, 300 * time.Second},       // not as exact
		{301 * time.Second, 10 * time.Millisecond, 301 * time.Second}, // more exact
		{0, 500 * time.Millisecond, 0},                                // this machine's clock was set
	} {
		read(step.ahead, step.took)
		if got, known := c.Ahead(); !known || (got-step.want).Abs() > time.Second {
			t.Errorf("after an answer %s ahead in %s: %s, want %s", step.ahead, step.took, got, step.want)
		}
	}
}
