package watch

import (
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// told is what the Reporter was told last, so that news are told once.
type told struct {
	rows    [][]string
	cause   string
	waiting string
	ready   int32
	wanted  int32
}

// maxRows bounds the table: with more pods, those that are not ready come
// first and the rest is counted.
const maxRows = 20

func (f *follower) tell(v verdict.Verdict) {
	rows := table(v)
	if !slices.EqualFunc(rows, f.told.rows, slices.Equal) {
		f.told.rows = rows
		f.Reporter.Table(pipeline.Table{Title: "pods of " + f.ref.String(), Header: []string{"POD", "READY", "STATE", "RESTARTS", "NODE"}, Rows: rows})
	}
	if v.Ready != f.told.ready || v.Wanted != f.told.wanted {
		f.told.ready, f.told.wanted = v.Ready, v.Wanted
		f.Reporter.Progress(pipeline.Progress{Item: "pods ready", Done: int64(v.Ready), Total: int64(v.Wanted)})
	}
	if v.Waiting != "" && v.Waiting != f.told.waiting {
		f.told.waiting = v.Waiting
		f.Reporter.Detailf("waiting for %s", v.Waiting)
	}
	switch {
	case v.Cause == nil:
		f.told.cause = ""
	case string(v.Cause.Code) != f.told.cause && v.State == verdict.Failing:
		f.told.cause = string(v.Cause.Code)
		f.Reporter.Notef("%s: %s (giving up in %s unless something moves)", v.Cause.What, v.Cause.Why,
			max(0, time.Until(v.Deadline)).Round(time.Second))
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
