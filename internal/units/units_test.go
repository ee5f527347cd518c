package units

import (
	"testing"
	"time"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 28_200_000: "28.2 MB", 999_949: "999.9 kB", 999_950: "1.0 MB", 999_950_000: "1.0 GB", -5000: "-5.0 kB", 3e15: "3.0 PB", 9_000_000_000_000_000_000: "9000.0 PB", 3e18: "3000.0 PB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 40 * time.Millisecond: "0s", 400 * time.Millisecond: "0.4s", 2 * time.Second: "2s", 9940 * time.Millisecond: "9.9s",
		9960 * time.Millisecond: "10s", 48 * time.Second: "48s", 48400 * time.Millisecond: "48s", 99400 * time.Millisecond: "99s", 130 * time.Second: "2m10s",
		59*time.Minute + 59900*time.Millisecond: "1h00m", 2*time.Hour + 7*time.Minute: "2h07m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 0: "0.0s", 449 * time.Millisecond: "0.4s", 12345 * time.Millisecond: "12.3s",
		99949 * time.Millisecond: "99.9s", 99950 * time.Millisecond: "1m40s", 185 * time.Second: "3m05s", 127 * time.Minute: "2h07m",
		time.Hour - 100*time.Millisecond: "1h00m",
	} {
		if got := Elapsed(d); got != want {
			t.Errorf("Elapsed(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 functions", 1: "1 function", 2: "2 functions"} {
		if got := Count(n, "function", "functions"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
