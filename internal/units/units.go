// Package units writes sizes, durations and counts the way people read them.
// Every layer may use it: it knows nothing of terminals.
package units

import (
	"fmt"
	"strings"
	"time"
)

// Bytes writes a size in powers of 1000, as registries and uplinks are
// measured: "28.2 MB".
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.95 && unit < 4 {
		v, unit = v/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", v, "kMGTP"[unit])
}

// Duration writes a duration in a readable form: "0.4s", "48s", "3m05s", "2h07m".
// Tenths are shown below ten seconds, where they matter.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 9950*time.Millisecond:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + "s"
	case d < 99500*time.Millisecond:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return long(d)
}

// Elapsed writes a duration that is shown while it grows, or in a column of
// durations: with tenths of a second up to a hundred seconds, "12.3s", "3m05s",
// "2h07m".
func Elapsed(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0s"
	case d < 99950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return long(d)
}

// long writes a duration of more than a minute, in two units.
func long(d time.Duration) string {
	if d < time.Hour-500*time.Millisecond {
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Count writes a number with its noun: "1 function", "2 functions".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
