package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Executing is a step that a worker is running right now.
type Executing struct {
	Run     string    `json:"run"`
	Slug    string    `json:"function"`
	Step    string    `json:"step"`
	Attempt int       `json:"attempt"` // from 0
	Since   time.Time `json:"since,omitzero"`
	// Retries are the function's. Known is false if the server no longer lists
	// the function, so that they are not known.
	Retries int  `json:"retries"`
	Known   bool `json:"known"`
	// Unknown means that the server lists the run as running but does not have its
	// trace, so that a step may or may not be executing. Step, Attempt and Since are
	// then not known either.
	Unknown bool `json:"unknown,omitempty"`
}

// Elapsed is how long the step has been running; zero where that is not known.
func (e Executing) Elapsed(now time.Time) time.Duration {
	if e.Since.IsZero() {
		return 0
	}
	return max(0, now.Sub(e.Since))
}

// Risk is what the replacement of its pod does to a running step.
type Risk string

// These are the risks.
const (
	// Delayed means that the attempt fails and another one follows on the new
	// pod after 15 s or more. Finished steps are not executed again.
	Delayed Risk = "delayed"
	// Killed means that it was the last attempt. The step fails for good, and
	// the run with it unless the function catches the error.
	Killed Risk = "killed"
	// Undecided means that it is not known whether a step is executing at all.
	Undecided Risk = "unknown"
)

// Risk judges one step: another attempt follows if and only if the number of
// this one, from 0, is less than the function's retries.
func (e Executing) Risk() Risk {
	if e.Unknown {
		return Undecided
	}
	if e.Known && e.Attempt < e.Retries {
		return Delayed
	}
	return Killed
}

// RestartOptions describe what the user agreed to lose.
type RestartOptions struct {
	// MaxStepLoss, if set, refuses a restart that would discard more than this
	// much work of a step that is executed again.
	MaxStepLoss time.Duration
	// Force continues, whatever is lost.
	Force bool
	// Now is the current time by the server's clock, like the times of the steps.
	Now time.Time
	// LiveSince is when the oldest running container of the worker started, by the
	// server's clock; zero if that is not known.
	LiveSince time.Time
}

// Ghost reports whether a step that the server shows as running cannot be
// running, because it started before every container that could execute it.
// The server keeps showing such steps after it, or the worker, was killed.
func (e Executing) Ghost(liveSince time.Time) bool {
	return !liveSince.IsZero() && !e.Since.IsZero() && e.Since.Before(liveSince.Add(-clockSkew))
}

// JudgeRestart reports what a restart would do to each running step, the most
// severe first. The restart may continue if none of the findings is an error.
func JudgeRestart(steps []Executing, o RestartOptions) []*pipeline.Finding {
	var all []*pipeline.Finding
	for _, e := range steps {
		all = append(all, judgeStep(e, o))
	}
	all = grouped(all)
	slices.SortStableFunc(all, func(a, b *pipeline.Finding) int { return int(b.Severity) - int(a.Severity) })
	return all
}

// manySteps is the number of findings of one kind about one function from
// which they are merged into one.
const manySteps = 4

// grouped merges findings of the same code about the same function.
func grouped(all []*pipeline.Finding) []*pipeline.Finding {
	type key struct {
		code  pipeline.Code
		where string
	}
	n := map[key]int{}
	for _, f := range all {
		n[key{f.Code, f.Where}]++
	}
	first := map[key]*pipeline.Finding{}
	var out []*pipeline.Finding
	for _, f := range all {
		k := key{f.Code, f.Where}
		if n[k] < manySteps {
			out = append(out, f)
			continue
		}
		if first[k] == nil {
			first[k] = f.With(func(f *pipeline.Finding) {
				f.What = fmt.Sprintf("%s: %s, and %s more like it", f.Where, f.What, Count(n[k]-1, "step"))
				f.Evidence = nil
			})
			out = append(out, first[k])
		}
		first[k].Evidence = append(first[k].Evidence, f.What+": "+strings.Join(f.Evidence, ", "))
	}
	return out
}

func judgeStep(e Executing, o RestartOptions) *pipeline.Finding {
	elapsed := e.Elapsed(o.Now).Round(time.Second)
	f := &pipeline.Finding{Where: e.Slug, Evidence: []string{fmt.Sprintf("run %s, attempt %d of %d", e.Run, e.Attempt+1, e.Retries+1)}}
	switch {
	case e.Unknown:
		return judgeUnknown(e, o)
	case e.Ghost(o.LiveSince):
		f.Code, f.Severity = model.CodeStepGhost, pipeline.Note
		f.What = fmt.Sprintf("the server shows %q of %s as running for %s, but it cannot be running anywhere", e.Step, e.Slug, elapsed)
		f.Why = fmt.Sprintf("the worker's oldest container has been running for %s", o.Now.Sub(o.LiveSince).Round(time.Second))
		f.Fix = "end it with `kubectl sbw runs --cancel " + e.Run + "`, or start its run again with --rerun"
		return f
	case e.Risk() == Killed:
		f.Code, f.Severity = model.CodeStepKilled, pipeline.Error
		f.What = fmt.Sprintf("%s has been running %q for %s, and a restart would kill its run for good", e.Slug, e.Step, elapsed)
		f.Why = fmt.Sprintf("it has retries %d and this is attempt %d", e.Retries, e.Attempt+1)
		if !e.Known {
			f.Why = "the function is no longer registered, so its retries are not known"
			f.Evidence = []string{"run " + e.Run}
		}
		f.Fix = "wait for it with --wait-idle, or continue with --force and lose it"
	case o.MaxStepLoss > 0 && elapsed > o.MaxStepLoss:
		f.Code, f.Severity = model.CodeStepLoss, pipeline.Error
		f.What = fmt.Sprintf("%s has been running %q for %s, more than the %s that may be lost", e.Slug, e.Step, elapsed, o.MaxStepLoss)
		f.Why = "a restart runs the step again from its beginning"
		f.Fix = "wait for it with --wait-idle, raise --max-step-loss, or continue with --force"
	default:
		f.Code, f.Severity = model.CodeStepDelayed, pipeline.Note
		f.What = fmt.Sprintf("%s has been running %q for %s; a restart delays it", e.Slug, e.Step, elapsed)
		f.Why = "the step runs again on the new pod after 15 s or more; finished steps do not"
		return f
	}
	if o.Force {
		f.Severity, f.Fix = pipeline.Warning, ""
	}
	return f
}

// judgeUnknown judges a run that may or may not be executing a step. Its finding stops
// a restart only if the run could not survive it.
func judgeUnknown(e Executing, o RestartOptions) *pipeline.Finding {
	f := &pipeline.Finding{
		Code: model.CodeStepUnread, Severity: pipeline.Warning, Where: e.Slug, Evidence: []string{"run " + e.Run},
		What: fmt.Sprintf("it is not known whether run %s of %s is executing a step", e.Run, e.Slug),
		Why:  "the server lists the run as running, but does not have its trace",
		Fix:  "look for it in the worker's log; end a run that nothing executes with `kubectl sbw runs --cancel " + e.Run + "`",
	}
	if !e.Known || e.Retries == 0 {
		f.Why += "; the function has no retries, so a restart would kill the run for good"
		if !e.Known {
			f.Why = strings.Replace(f.Why, "the function has no retries", "the retries of its function are not known", 1)
			f.Why = strings.Replace(f.Why, "would kill", "may kill", 1)
		}
		if !o.Force {
			f.Severity = pipeline.Error
			f.Fix += ", or continue with --force"
		}
	}
	return f
}

// UnknownSteps are the findings about runs of which it is not known whether they
// execute a step, for those who only look.
func UnknownSteps(steps []Executing) []*pipeline.Finding {
	var all []*pipeline.Finding
	for _, e := range steps {
		if e.Unknown {
			all = append(all, judgeUnknown(e, RestartOptions{Force: true}))
		}
	}
	return grouped(all)
}

// Idle reports whether every running step may be lost.
func Idle(steps []Executing, o RestartOptions) bool {
	return !slices.ContainsFunc(steps, func(e Executing) bool {
		if e.Ghost(o.LiveSince) {
			return false
		}
		return e.Risk() != Delayed || o.MaxStepLoss == 0 || e.Elapsed(o.Now) > o.MaxStepLoss
	})
}

// UnknownStep stands for a run that is listed as running and has no trace.
func UnknownStep(r model.Run, app model.App) Executing {
	e := ExecutingStep(r, Where{Step: "unknown"}, app)
	e.Unknown = true
	return e
}

// ExecutingStep converts the position of a run into an Executing.
func ExecutingStep(r model.Run, w Where, app model.App) Executing {
	e := Executing{Run: r.ID, Slug: r.Slug, Step: w.Step, Attempt: w.Attempt, Since: w.Since}
	for _, f := range app.Executes() {
		if f.ID == r.FunctionID || f.Slug == r.Slug {
			e.Slug, e.Retries, e.Known = f.Slug, f.Retries, true
		}
	}
	if e.Slug == "" {
		e.Slug = r.FunctionID
	}
	return e
}

// StepsTable is the title of the table of running steps.
const StepsTable = "running steps"

// RunningTable lists running steps for people.
func RunningTable(steps []Executing, now time.Time) pipeline.Table {
	t := pipeline.Table{Title: StepsTable, Header: []string{"FUNCTION", "STEP", "ELAPSED", "ATTEMPT", "ON RESTART"}}
	for _, e := range steps {
		elapsed, attempt := e.Elapsed(now).Round(time.Second).String(), fmt.Sprintf("%d/%d", e.Attempt+1, e.Retries+1)
		if e.Unknown {
			elapsed, attempt = "", ""
		}
		t.Rows = append(t.Rows, []string{e.Slug, e.Step, elapsed, attempt, string(e.Risk())})
	}
	return t
}
