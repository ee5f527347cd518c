package kubecmd

import (
	"fmt"
	"strings"
	"time"
)

// optionalDuration is a flag that may be given with or without a duration.
type optionalDuration struct {
	set bool
	d   time.Duration // zero: indefinitely
}

func (o *optionalDuration) String() string {
	switch {
	case !o.set:
		return ""
	case o.d == 0:
		return "forever"
	}
	return o.d.String()
}

// Set reads a duration, or "forever".
func (o *optionalDuration) Set(text string) error {
	if text == "forever" {
		*o = optionalDuration{set: true}
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration above zero, such as 90s or 10m", text)
	}
	*o = optionalDuration{set: true, d: d}
	return nil
}

// Type is the name of the value in help.
func (o *optionalDuration) Type() string { return "duration" }

func isURL(s string) bool { return strings.Contains(s, "://") }
