package ghcmd

import (
	"testing"
	"time"
)

func TestAgeOf(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 40 * time.Second: "40s", 119 * time.Second: "119s", 12 * time.Minute: "12m", 5*time.Hour + 59*time.Minute: "5h",
		3 * day: "3d", 700 * day: "700d", 1500 * day: "4y",
	} {
		if got := ageOf(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}
