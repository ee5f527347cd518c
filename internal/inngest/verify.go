package inngest

import (
	"context"
	"fmt"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// VerifyOptions describe what the server's list must show.
type VerifyOptions struct {
	Client *client.Client
	Want   model.Wanted
	// Served is what the worker serves. If it is nil, Worker is asked, if it
	// shows its functions; otherwise the list only has to contain some
	// function.
	Served []model.Function
	// Expected are functions by id from the image's catalog; nil means that
	// they are not compared.
	Expected []string
	// Repair lets the worker register again while the list is wrong: an old
	// pod that registers late overwrites the new functions.
	Repair bool
	Worker *sdk.Worker // needed for Repair
	// Registration is the worker's last answer, for the message of a failure.
	Registration *model.Registration

	Timeout time.Duration // zero means 30 s
	Poll    time.Duration // zero means 500 ms
}

// Verified is a correct registration.
type Verified struct {
	App model.App `json:"app"`
	// Repaired counts how often the worker had to register again.
	Repaired int `json:"repaired"`
}

// repairAfter is how many times in a row the list may be wrong before the
// worker registers again. The server's list is never outdated, so this only
// lets a registration in progress finish.
const repairAfter = 3

// Verify waits until the server's own list shows the registration without an
// error, at the right URL and with the right functions.
func Verify(ctx context.Context, o VerifyOptions, r *pipeline.Reporter) (*Verified, error) {
	v := &Verified{}
	if o.Served == nil && o.Worker != nil {
		served, err := o.Worker.Functions(ctx)
		switch {
		case err == nil:
			o.Served = served.Functions
		case !isBlind(err):
			return v, err
		}
	}
	// Requests have a separate limit, so the list is read at least once.
	within, cancel := context.WithTimeout(ctx, orDefault(o.Timeout, 30*time.Second))
	defer cancel()
	var last error
	wrong := 0
	err := poll(within, orDefault(o.Poll, 500*time.Millisecond), func() (bool, error) {
		apps, err := o.Client.Apps(ctx)
		if err != nil {
			last = err // a server that restarts is awaited
			return false, nil
		}
		own, problem := o.check(apps)
		if problem == nil {
			v.App = *own
			return true, nil
		}
		last = problem
		r.Detailf("not right yet: %s", problem)
		// A PUT would turn a connected worker's app into a served one.
		connected := own != nil && own.Method == model.MethodConnect
		if wrong++; o.Repair && !connected && wrong%repairAfter == 0 {
			r.Notef("registering again: %s", problem)
			v.Repaired++
			if _, err := o.Worker.Register(ctx); err != nil {
				last = err
			}
		}
		return false, nil
	})
	if err != nil && ctx.Err() == nil && last != nil {
		return v, last
	}
	return v, err
}

// check reports what is wrong with the registration; nil if nothing is.
func (o VerifyOptions) check(apps []model.App) (*model.App, error) {
	own, err := judge.Choose(apps, o.Want)
	if err != nil {
		return nil, err
	}
	if own == nil {
		return nil, judge.NotRegistered(judge.State{Want: o.Want, Apps: apps, Registered: o.Registration})
	}
	if f := judge.AppError(*own); f != nil {
		return own, f
	}
	if f := judge.StaleURL(*own, o.Want); f != nil {
		return own, f
	}
	if len(own.Functions) == 0 {
		return own, &pipeline.Finding{
			Code: model.CodeNoFunctions, Severity: pipeline.Error, What: fmt.Sprintf("the app %s has no functions", own.Name),
			Why: "the server's list shows none", Fix: "export the functions from the worker's index and publish again",
		}
	}
	if o.Served != nil {
		if d := judge.Compare(own.Functions, o.Served); !d.Empty() {
			return own, judge.Differs(own.Name, d)
		}
	}
	return own, judge.CatalogMismatch(own.Name, own.Functions, o.Expected)
}
