package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity ranks a Finding.
type Severity int

// Severities, the gravest last.
const (
	Note Severity = iota
	Warning
	Error
)

func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText has written.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, one := range []Severity{Note, Warning, Error} {
		if one.String() == string(text) {
			*s = one
			return nil
		}
	}
	return fmt.Errorf("%q is no severity", text)
}

// Code names a kind of finding. It is stable: scripts match on it, and
// `explain` has a page for each.
type Code string

// CodeInternal is the code of an error that nobody has worded for a person.
const CodeInternal Code = "internal"

// Finding is one thing that a person must know: what, why, what to do. It is
// the one shape of every error that both plugins print.
type Finding struct {
	// Code is stable and can be looked up with `explain`: "image-platform".
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// What happened, naming the thing; one line, no final stop.
	What string `json:"what"`
	// Why, in the words of whoever refused; one line.
	Why string `json:"why,omitempty"`
	// Fix is what to do; one line, a command where there is one.
	Fix string `json:"fix,omitempty"`
	// Where is a place: file:line, namespace/object.
	Where string `json:"where,omitempty"`
	// Evidence are further lines: a log's end, events, the path of a receipt.
	Evidence []string `json:"evidence,omitempty"`
	// End is the exit code's meaning where the finding ends a command that is
	// not a pipeline; Unchanged when zero.
	End End `json:"-"`
	// Err is the cause, for errors.Is and errors.As.
	Err error `json:"-"`
}

// Error is the whole finding on one line.
func (f *Finding) Error() string {
	var b strings.Builder
	if f.Where != "" {
		b.WriteString(f.Where + ": ")
	}
	b.WriteString(f.What)
	if f.Why != "" {
		b.WriteString(": " + f.Why)
	}
	if f.Fix != "" {
		b.WriteString("; " + f.Fix)
	}
	return b.String()
}

func (f *Finding) Unwrap() error { return f.Err }

// With is a copy of the finding that alter has changed. A finding that has been
// handed to somebody is shared, so nobody alters it in place.
func (f *Finding) With(alter func(*Finding)) *Finding {
	altered := *f
	altered.Evidence = slices.Clone(f.Evidence)
	alter(&altered)
	return &altered
}

// WithSeverity is a copy of the finding with another severity.
func (f *Finding) WithSeverity(s Severity) *Finding {
	return f.With(func(f *Finding) { f.Severity = s })
}

// UsageErrorf is a Finding for wrong usage or configuration, exit code 2.
func UsageErrorf(code Code, fix, format string, args ...any) *Finding {
	return &Finding{Code: code, Severity: Error, What: fmt.Sprintf(format, args...), Fix: fix, End: Usage}
}

// AsFindings unfolds an error, joined ones too, into findings. An error that
// is none becomes one with the code "internal" that says during what it arose.
func AsFindings(during string, err error) []*Finding {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*Finding](err); ok && !isJoin(err) {
		return []*Finding{f}
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok && isJoin(err) {
		var all []*Finding
		for _, e := range j.Unwrap() {
			all = append(all, AsFindings(during, e)...)
		}
		return all
	}
	return []*Finding{{Code: CodeInternal, Severity: Error, What: during, Why: err.Error(), Err: err}}
}

// isJoin tells errors.Join from fmt.Errorf with several %w: only the former
// has no words of its own.
func isJoin(err error) bool {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return false
	}
	var lines []string
	for _, e := range j.Unwrap() {
		lines = append(lines, e.Error())
	}
	return strings.Join(lines, "\n") == err.Error()
}
