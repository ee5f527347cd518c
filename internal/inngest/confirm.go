package inngest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// ConfirmOptions describe the event that proves the worker.
type ConfirmOptions struct {
	Client *client.Client
	App    model.App
	Key    wire.EventKey
	Event  client.Event

	Timeout time.Duration // zero means 2 minutes
	Poll    time.Duration // zero means 500 ms
}

// Confirmed is an event whose runs have ended.
type Confirmed struct {
	Event string      `json:"event"`
	Runs  []model.Run `json:"runs"` // the app's runs, all of which completed
}

// ConfirmRun sends an event and follows the app's runs of it to their ends.
// That is the final proof that the server and the worker work together.
func ConfirmRun(ctx context.Context, o ConfirmOptions, r *pipeline.Reporter) (*Confirmed, error) {
	if err := judge.JudgeEvent(o.App.Name, o.App.Functions, o.Event.Name); err != nil {
		return nil, err
	}
	sent := o.Client.Now().Add(-time.Minute) // the clocks may differ by a little
	r.Changed()
	id, err := o.Client.Send(ctx, o.Key, o.Event)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, orDefault(o.Timeout, 2*time.Minute))
	defer cancel()
	done := &Confirmed{Event: id}
	err = poll(within, orDefault(o.Poll, 500*time.Millisecond), func() (bool, error) {
		runs, err := o.Client.RunsOf(ctx, id, sent)
		if err != nil {
			return false, err
		}
		done.Runs = done.Runs[:0]
		for _, one := range runs {
			if one.AppID != o.App.ID {
				continue
			}
			if one, _, err = Detail(ctx, o.Client, one); err != nil && !client.IsGone(err) {
				return false, err
			}
			done.Runs = append(done.Runs, one)
		}
		r.Table(RunsTable(done.Runs, o.Client.Now()))
		return len(done.Runs) > 0 && !slices.ContainsFunc(done.Runs, func(r model.Run) bool { return !r.Status.Ended() }), nil
	})
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return done, o.unfinished(done.Runs)
	}
	if err != nil {
		return done, err
	}
	for _, one := range done.Runs {
		if one.Status != model.Completed {
			return done, &pipeline.Finding{
				Code: model.CodeConfirmFailed, Severity: pipeline.Error, What: fmt.Sprintf("run %s of %s ended %s", one.ID, one.Slug, one.Status),
				Why: one.Error, Fix: "read the worker's log of the run; `kubectl sbw undo` goes back to the previous image",
			}
		}
	}
	return done, nil
}

func (o ConfirmOptions) unfinished(runs []model.Run) error {
	f := &pipeline.Finding{
		Code: model.CodeConfirmUnfinished, Severity: pipeline.Error,
		What: fmt.Sprintf("the event %s started no run within %s", o.Event.Name, orDefault(o.Timeout, 2*time.Minute)),
		Why:  "the server accepted the event, but no run of the app appeared", Fix: "read the server's log, and run `kubectl sbw status`",
	}
	for _, r := range runs {
		if !r.Status.Ended() {
			f.What = fmt.Sprintf("run %s of %s did not end within %s", r.ID, r.Slug, orDefault(o.Timeout, 2*time.Minute))
			f.Why = fmt.Sprintf("it is %s at %q, attempt %d", r.Status, r.Step, r.Attempt+1)
			if r.Error != "" {
				f.Why += ": " + r.Error
			}
			f.Fix = "follow it with `kubectl sbw runs --watch`"
		}
	}
	return f
}
