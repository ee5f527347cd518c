package judge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// schedule is a cron expression of five fields, as sets of bits.
type schedule struct {
	minute, hour, dom, month, dow uint64
	// If neither field is a star, a day matches if either field matches;
	// otherwise both must match.
	anyDom, anyDow bool
	zone           *time.Location
}

var cronNames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// parseCron accepts what the server accepts: five fields, an optional TZ=
// before them, and names such as @hourly. Without TZ= the server's own time
// zone counts, which is UTC in its image.
func parseCron(text string) (*schedule, error) {
	s := &schedule{zone: time.UTC}
	fields := strings.Fields(text)
	if len(fields) > 0 {
		for _, prefix := range []string{"TZ=", "CRON_TZ="} {
			if name, ok := strings.CutPrefix(fields[0], prefix); ok {
				zone, err := time.LoadLocation(name)
				if err != nil {
					return nil, err
				}
				s.zone, fields = zone, fields[1:]
				break
			}
		}
	}
	if len(fields) == 1 {
		fields = strings.Fields(cronNames[strings.ToLower(fields[0])])
	}
	if len(fields) != 5 {
		return nil, fmt.Errorf("cron %q has %d fields, want 5", text, len(fields))
	}
	months := []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	for i, f := range []struct {
		into     *uint64
		low, top int
		names    []string
		base     int
	}{
		{&s.minute, 0, 59, nil, 0}, {&s.hour, 0, 23, nil, 0}, {&s.dom, 1, 31, nil, 0}, {&s.month, 1, 12, months, 1}, {&s.dow, 0, 7, days, 0},
	} {
		bits, err := parseCronField(fields[i], f.low, f.top, f.names, f.base)
		if err != nil {
			return nil, fmt.Errorf("cron %q: %w", text, err)
		}
		*f.into = bits
	}
	if s.dow&(1<<7) != 0 { // Sunday is 0 and 7
		s.dow |= 1
	}
	s.anyDom = strings.HasPrefix(fields[2], "*") || fields[2] == "?"
	s.anyDow = strings.HasPrefix(fields[4], "*") || fields[4] == "?"
	return s, nil
}

func parseCronField(text string, low, top int, names []string, base int) (uint64, error) {
	number := func(s string) (int, error) {
		if i := slices.Index(names, strings.ToLower(s)); i >= 0 {
			return i + base, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > top {
			return 0, fmt.Errorf("%q is not in %d–%d", s, low, top)
		}
		return n, nil
	}
	var bits uint64
	for _, part := range strings.Split(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		from, to, step := low, top, 1
		var err error
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
				return 0, fmt.Errorf("step %q", stepText)
			}
		}
		if span != "*" && span != "?" {
			a, b, isRange := strings.Cut(span, "-")
			if from, err = number(a); err != nil {
				return 0, err
			}
			switch {
			case isRange:
				if to, err = number(b); err != nil {
					return 0, err
				}
			case !stepped:
				to = from
			}
		}
		if from > to {
			return 0, fmt.Errorf("%q ends before it begins", span)
		}
		for n := from; n <= to; n += step {
			bits |= 1 << n
		}
	}
	return bits, nil
}

func (s *schedule) matches(t time.Time) bool {
	has := func(bits uint64, n int) bool { return bits&(1<<n) != 0 }
	if !has(s.minute, t.Minute()) || !has(s.hour, t.Hour()) || !has(s.month, int(t.Month())) {
		return false
	}
	dom, dow := has(s.dom, t.Day()), has(s.dow, int(t.Weekday()))
	if s.anyDom || s.anyDow {
		return dom && dow
	}
	return dom || dow
}

// before lists the last n times before now at which the schedule was due, the
// latest first, but none before the horizon.
func (s *schedule) before(now time.Time, n int, horizon time.Duration) []time.Time {
	var all []time.Time
	oldest := now.Add(-horizon)
	for t := now.In(s.zone).Truncate(time.Minute); len(all) < n && t.After(oldest); t = t.Add(-time.Minute) {
		if s.matches(t) {
			all = append(all, t)
		}
	}
	return all
}
