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
	// Started returns when the server was started, by its clock; nil, or zero, if that
	// is not known. A server that is restarted forgets the runs that it was executing
	// (1.43, without Redis), so the event is then sent again.
	Started func(context.Context) time.Time

	Timeout time.Duration // zero means 2 minutes
	Poll    time.Duration // zero means 500 ms
}

// Confirmed is an event whose runs have ended.
type Confirmed struct {
	Event string      `json:"event"`
	Runs  []model.Run `json:"runs"` // the app's runs, all of which completed
}

// resumedAfter is how long a restarted server may take to resume runs. One
// that keeps its queue in Redis does.
const resumedAfter = 10 * time.Second

// ConfirmRun sends an event and follows the app's runs of it to their ends.
// That is the final proof that the server and the worker work together.
func ConfirmRun(ctx context.Context, o ConfirmOptions, r *pipeline.Reporter) (*Confirmed, error) {
	if err := judge.JudgeEvent(o.App.Name, o.App.Functions, o.Event.Name); err != nil {
		return nil, err
	}
	sent := o.Client.Now().Add(-time.Minute) // the clocks may differ by a little
	r.Changed()
	outages := o.Client.Outages()
	ids, err := o.Client.Send(ctx, o.Key, o.Event)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, orDefault(o.Timeout, 2*time.Minute))
	defer cancel()
	done := &Confirmed{Event: ids[0]}
	last := o.Client.Now() // when the event was sent last
	err = poll(within, orDefault(o.Poll, 500*time.Millisecond), func() (bool, error) {
		runs, err := o.Client.RunsOf(ctx, ids, sent)
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
		if len(done.Runs) > 0 && !slices.ContainsFunc(done.Runs, executing) {
			return true, nil
		}
		if o.Client.Outages() == outages || !o.forgotten(ctx, last) {
			return false, nil
		}
		for _, lost := range slices.DeleteFunc(slices.Clone(done.Runs), func(r model.Run) bool { return !executing(r) }) {
			r.Notef("the server was restarted and has forgotten run %s of %s", lost.ID, lost.Slug)
		}
		r.Notef("sending %s again", o.Event.Name)
		last, outages = o.Client.Now(), o.Client.Outages()
		ids, err = o.Client.Send(ctx, o.Key, o.Event)
		return false, err
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

// forgotten reports whether the server was started after the event was sent,
// long enough ago to have resumed the runs that it still knows.
func (o ConfirmOptions) forgotten(ctx context.Context, sent time.Time) bool {
	if o.Started == nil {
		return false
	}
	started := o.Started(ctx)
	return started.After(sent) && o.Client.Now().Sub(started) >= resumedAfter
}

func executing(r model.Run) bool { return !r.Status.Ended() }

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
