package watch

import (
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// shown is what was reported last, so that each change is reported once.
type shown struct {
	rows    [][]string
	cause   pipeline.Code
	waiting string
	ready   int32
	wanted  int32
}

// maxRows limits the table: if there are more pods, those that are not ready
// come first and the rest is counted.
const maxRows = 20

// report reports what has changed since the last verdict.
func (f *follower) report(v verdict.Verdict) {
	rows := table(v)
	if !slices.EqualFunc(rows, f.shown.rows, slices.Equal) {
		f.shown.rows = rows
		f.Reporter.Table(
			pipeline.Table{Title: "pods of " + f.ref.String(), Header: []string{"POD", "READY", "STATE", "RESTARTS", "NODE"}, Rows: rows},
		)
	}
	if v.Ready != f.shown.ready || v.Wanted != f.shown.wanted {
		f.shown.ready, f.shown.wanted = v.Ready, v.Wanted
		f.Reporter.Progress(pipeline.Progress{Item: "pods ready", Done: int64(v.Ready), Total: int64(v.Wanted)})
	}
	if v.Waiting != "" && v.Waiting != f.shown.waiting {
		f.shown.waiting = v.Waiting
		f.Reporter.Detailf("waiting for %s", v.Waiting)
	}
	switch {
	case v.Cause == nil:
		f.shown.cause = ""
	case v.Cause.Code != f.shown.cause && v.State == verdict.Failing:
		f.shown.cause = v.Cause.Code
		until := "at the timeout"
		if !v.Deadline.IsZero() {
			until = "in " + max(0, time.Until(v.Deadline)).Round(time.Second).String()
		}
		f.Reporter.Notef("%s: %s (giving up %s unless there is progress)", v.Cause.What, v.Cause.Why, until)
	}
}

func table(v verdict.Verdict) [][]string {
	var rows [][]string
	add := func(ready bool) {
		for _, p := range v.Pods {
			if p.Ready == ready && len(rows) < maxRows {
				rows = append(rows, []string{p.Name, yes(p.Ready), p.State, fmt.Sprint(p.Restarts), p.Node})
			}
		}
	}
	add(false)
	add(true)
	if more := len(v.Pods) - len(rows); more > 0 {
		rows = append(rows, []string{fmt.Sprintf("and %d more", more), fmt.Sprintf("%d of %d", v.Ready, v.Wanted), "", "", ""})
	}
	for i, e := range v.Ending {
		if i == 5 {
			rows = append(rows, []string{fmt.Sprintf("and %d more of the old revision", len(v.Ending)-i), "", "Terminating", "", ""})
			break
		}
		rows = append(rows, []string{e.Name, "", "Terminating (old)", "", ""})
	}
	return rows
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
