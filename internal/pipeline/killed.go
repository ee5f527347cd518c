package pipeline

import "fmt"

// CodeRunKilled is the code of the finding about a killed run.
const CodeRunKilled Code = "run-killed"

// Killed returns a finding about what an earlier run left, or nil if it left nothing.
// The caller adds what that run changed and what to do.
func (l *Leftover) Killed() *Finding {
	if l == nil {
		return nil
	}
	began, last := l.Last()
	what := "an earlier " + began.Run
	if tag := began.Subject["tag"]; tag != "" && tag != began.Run {
		what += " of " + tag
	}
	how := "was killed before its first stage"
	if stage := l.Stage(); stage != "" {
		how = "was killed in stage " + stage
	}
	if last.State == "left" {
		how = "could not put back what it had changed"
	}
	return &Finding{Code: CodeRunKilled, Severity: Note,
		What: fmt.Sprintf("%s %s (begun %s, last heard of %s, process %d)", what, how,
			began.Time.Local().Format("2006-01-02 15:04:05"), last.Time.Local().Format("15:04:05"), began.PID)}
}
