package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity ranks a Finding.
type Severity int

// Severities, the most serious one last.
const (
	Note Severity = iota
	Warning
	Error
)

func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// MarshalText writes the severity's name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	for _, one := range []Severity{Note, Warning, Error} {
		if one.String() == string(text) {
			*s = one
			return nil
		}
	}
	return fmt.Errorf("%q is not a severity", text)
}

// Code names a kind of finding. It never changes: scripts match on it, and
// `explain` has a page for each. It is also a sentinel: errors.Is(err, code) reports
// whether err is, or wraps, a finding with this code.
type Code string

// Error returns the code.
func (c Code) Error() string { return string(c) }

// CodeInternal is the code of an error that has no explanation for people.
const CodeInternal Code = "internal"

// CodeUsage is the code of wrong usage that has no code of its own.
const CodeUsage Code = "usage"

// The codes of what could not be finished after a failure, where no finding explains it.
const (
	CodeNotRestored Code = "not-restored"
	CodeNotCleaned  Code = "not-cleaned-up"
)

// Finding is something that the user must know: what happened, why, and what to do.
// Every error that the plugins print has this form.
type Finding struct {
	// Code is stable and can be looked up with `explain`: "image-platform".
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	// What happened: a sentence on one line that names the thing, without a full stop.
	What string `json:"what"`
	// Why, in the words of the program that refused. One line.
	Why string `json:"why,omitempty"`
	// Fix is what to do, or empty. One line, with a command if there is one.
	Fix string `json:"fix,omitempty"`
	// Where is a place: file:line, namespace/object.
	Where string `json:"where,omitempty"`
	// Evidence contains further lines: the end of a log, events, the path of a receipt.
	Evidence []string `json:"evidence,omitempty"`
	// End determines the exit code if the finding ends a command that is not a
	// pipeline. Zero means Unchanged.
	End End `json:"-"`
	// Err is the cause, for errors.Is and errors.As.
	Err error `json:"-"`
}

// Error returns the whole finding on one line.
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

// Is reports whether target is the code of this finding. errors.Is also considers what the
// finding wraps.
func (f *Finding) Is(target error) bool {
	code, ok := target.(Code)
	return ok && f.Code == code
}

// Unexplained reports whether the finding is an error that has no explanation for people.
func (f *Finding) Unexplained() bool { return f.Code == CodeInternal }

// With returns a copy of the finding that alter has changed. Findings are shared, so they
// must not be changed in place.
func (f *Finding) With(alter func(*Finding)) *Finding {
	altered := *f
	altered.Evidence = slices.Clone(f.Evidence)
	alter(&altered)
	return &altered
}

// WithSeverity returns a copy of the finding with another severity.
func (f *Finding) WithSeverity(s Severity) *Finding {
	return f.With(func(f *Finding) { f.Severity = s })
}

// UsageErrorf returns a Finding for wrong usage or configuration (exit code 2).
func UsageErrorf(code Code, fix, format string, args ...any) *Finding {
	return &Finding{Code: code, Severity: Error, What: fmt.Sprintf(format, args...), Fix: fix, End: Usage}
}

// AsFindings turns an error, including a joined one, into findings. An error
// that is not a finding becomes one with the code "internal". Its What is
// during, a sentence such as "cannot read the status".
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

// isJoin distinguishes errors.Join from fmt.Errorf with several %w: only the former
// adds no text.
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
