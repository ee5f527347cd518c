package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// HistoryTable returns one row for each run or revision. wide prints whole digests and
// adds columns.
func HistoryTable(all []Past, wide bool) pipeline.Table {
	header := []string{"REVISION", "TAG", "DIGEST", "COMMIT", "BY", "AGE", "TOOK", "OUTCOME"}
	if wide {
		header = append(header, "PODS", "FUNCTIONS", "CAUSE")
	}
	rows := [][]string{}
	for _, p := range all {
		cells := []string{
			"-",
			orDash(p.Tag),
			orDash(p.Digest),
			orDash(p.Commit),
			orDash(p.By),
			ago(p.Started),
			"-",
			orDash(p.End),
		}
		if p.Revision != 0 {
			cells[0] = strconv.FormatInt(p.Revision, 10)
		}
		if p.Current {
			cells[0] += " *"
		}
		if !wide && p.Digest != "" {
			cells[2] = shortDigest(p.Digest)
		}
		if p.Dirty {
			cells[3] += "+changes"
		}
		if p.Command != "" {
			cells[6] = units.Duration(time.Duration(p.Seconds * float64(time.Second)))
		}
		if p.Command == "undo" {
			cells[7] += " (undo)"
		}
		if wide {
			functions := "-"
			if p.Functions > 0 {
				functions = strconv.Itoa(p.Functions)
			}
			cells = append(cells, strconv.Itoa(int(p.Pods)), functions, p.Cause)
		}
		rows = append(rows, cells)
	}
	return pipeline.Table{Header: header, Rows: rows}
}

// ago formats the time since t, or "-" if t is not known.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return units.Duration(time.Since(t).Round(time.Second))
}

// shortDigest abbreviates a digest as container tools do.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 12)]
}

// registrationRows are the rows of what Inngest has registered for the worker.
func registrationRows(app *model.App) [][2]string {
	if app == nil {
		return [][2]string{{"registration", "not registered"}}
	}
	functions := func(a model.App) string { return units.Count(len(a.Functions), "function", "functions") }
	rows := [][2]string{{"registration", fmt.Sprintf("%s, %s at %s", app.Name, functions(*app), app.URL)}}
	for _, a := range app.Beside {
		rows = append(rows, [2]string{"serves too", fmt.Sprintf("%s, %s; not compared", a, functions(a))})
	}
	return rows
}

// Table returns the status as rows of a name and a text.
func (s *Status) Table() pipeline.Table {
	var rows [][]string
	add := func(name, text string) { rows = append(rows, []string{name, text}) }
	v := s.Verdict
	add("workload", fmt.Sprintf("%s/%s: %s, %d of %d ready", s.Namespace, s.Workload, v.State, v.Ready, v.Wanted))
	add("image", s.Image)
	if last := s.LastRun; last != nil {
		add("last run", fmt.Sprintf(
			"%s %s: %s in %s, %s ago by %s",
			last.Command,
			orDash(last.Tag),
			last.End,
			units.Duration(
				time.Duration(last.Seconds*float64(time.Second)),
			),
			units.Duration(time.Since(last.Started).Round(time.Second)),
			orDash(last.By),
		))
	}
	if m := s.Manifest; m != nil {
		add("manifest", m.String())
	}
	if s.Lock != "" {
		add("lock", s.Lock)
	}
	if s.Handover != "" {
		add("switch", s.Handover+": not finished")
	}
	if s.Pods != "" {
		add("probe", s.Pods)
	}
	if s.NoInngest != "" {
		add("Inngest", "left out ("+s.NoInngest+")")
	}
	if l := s.Inngest; l != nil {
		add("server", fmt.Sprintf("kind %s, reached by %s", cmp.Or(l.Health.Kind, "unknown"), l.Way))
		for _, row := range registrationRows(l.App) {
			add(row[0], row[1])
		}
		if l.Served != nil {
			add("worker", fmt.Sprintf("serves %s with %s: %s", units.Count(len(l.Served.Functions), "function", "functions"), l.Served.SDK, l.Diff))
		}
		if s.Functions != "" {
			add("built with", s.Functions)
		}
		add("runs", runsLine(l))
		for _, st := range l.Steps {
			if st.Unknown {
				add("", fmt.Sprintf("%s: it is not known whether run %s executes a step", st.Slug, st.Run))
				continue
			}
			add("", fmt.Sprintf("%s %s for %s", st.Slug, st.Step, units.Duration(st.Elapsed(l.At))))
		}
		var foreign []string
		for _, a := range l.Foreign {
			foreign = append(foreign, a.Name)
		}
		if len(foreign) > 0 {
			add("other apps", strings.Join(foreign, ", "))
		}
		for _, st := range l.Stale {
			add("stale", fmt.Sprintf("%s at %s: %s", st.App.Name, st.App.URL, st.Reason))
		}
	}
	verdictLine := "all is well"
	blind := slices.ContainsFunc(s.Findings, func(f *pipeline.Finding) bool { return f.Is(CodeNotChecked) })
	warned := slices.ContainsFunc(s.Findings, func(f *pipeline.Finding) bool { return f.Severity == pipeline.Warning })
	switch {
	case !s.Well:
		verdictLine = "not well"
	case blind:
		verdictLine = "well, as far as it can be read"
	case warned:
		verdictLine = "well, with warnings"
	}
	add("verdict", verdictLine)
	return pipeline.Table{Rows: rows}
}

// FunctionsTable returns one row for each function. wide prints all columns, even those
// that are empty.
func FunctionsTable(functions []Function, wide bool) pipeline.Table {
	has := func(what func(Function) bool) bool {
		return wide || slices.ContainsFunc(functions, what)
	}
	defined := has(func(f Function) bool { return f.Defined != "" })
	ambiguous := has(func(f Function) bool { return len(f.Also)+len(f.Shared) > 0 })
	header := []string{"FUNCTION", "TRIGGERS", "RETRIES", "CONCURRENCY", "APP"}
	if defined {
		header = append(header, "DEFINED")
	}
	if ambiguous {
		header = append(header, "TWICE")
	}
	rows := [][]string{}
	for _, f := range functions {
		cells := []string{f.LocalID(), joined(f.Triggers), strconv.Itoa(f.Retries), joined(f.Concurrency), f.App}
		if defined {
			cells = append(cells, f.Defined)
		}
		if ambiguous {
			cells = append(cells, twice(f))
		}
		rows = append(rows, cells)
	}
	return pipeline.Table{Header: header, Rows: rows}
}

// twice formats the cell that names what a function could be confused with.
func twice(f Function) string {
	var parts []string
	if len(f.Also) > 0 {
		parts = append(parts, "is "+strings.Join(f.Also, ", ")+" too")
	}
	if len(f.Shared) > 0 {
		parts = append(parts, "same event starts "+strings.Join(f.Shared, ", "))
	}
	return strings.Join(parts, "; ")
}

func joined[T fmt.Stringer](all []T) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}

// runsLine counts the runs and steps of a report.
func runsLine(l *inngest.Report) string {
	begun, queued, unknown := 0, 0, 0
	for _, n := range l.InFlight {
		begun += n
	}
	for _, n := range l.Queued {
		queued += n
	}
	for _, st := range l.Steps {
		if st.Unknown {
			unknown++
		}
	}
	executing := units.Count(len(l.Steps)-unknown, "step", "steps") + " executing"
	if unknown > 0 {
		executing += fmt.Sprintf(" (of %d it is not known)", unknown)
	}
	return fmt.Sprintf("%d in flight, %d queued, %s, %d failed lately", begun, queued, executing, len(l.Failed))
}
