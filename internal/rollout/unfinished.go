package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// A run that is killed in the middle of a switch leaves the Deployment and its Services
// held. The next run, on any machine, finds the annotations that record this.

// findHeld reads the state of an unfinished switch.
func (f *facts) findHeld(ctx context.Context) (*handover.State, error) { return f.Target.held(ctx) }

func (t *Target) held(ctx context.Context) (*handover.State, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	return handover.Read(ctx, kube, t.Ref)
}

// unfinished describes a switch that was found unfinished; nil if there is none.
func (t *Target) unfinished(p handover.Plan) *pipeline.Finding {
	if p.Stage == handover.NotHeld {
		return nil
	}
	f := &pipeline.Finding{
		Code:     CodeUnfinished,
		Severity: pipeline.Warning,
		Where:    t.where(),
		What: fmt.Sprintf(
			"the switch to %s that %s began at %s is not finished",
			orDash(p.Tag),
			p.By,
			p.At.Local().Format("15:04:05 on 2 January"),
		),
		Why: p.What,
	}
	switch {
	case p.Automatic():
		f.Fix = fmt.Sprintf("the next `kubectl sbw rollout` or `kubectl sbw undo` will %s first", firstStep(p.Action()))
	case slices.Contains(p.Choices, handover.Resume):
		f.Fix = "finish it with `kubectl sbw rollout --resume`, or go back with `kubectl sbw undo`"
	default:
		f.Fix = "go back with `kubectl sbw undo`"
	}
	return f
}

// firstStep returns what the next run does with the only right choice.
func firstStep(a handover.Action) string {
	if a == handover.GoBack {
		return "go back to the version before it"
	}
	return fmt.Sprintf("%s what is held", a)
}

// goesOnWith reports whether this run continues a switch: it was asked to with
// --resume, or it rolls out the very image that is held.
func (f *facts) goesOnWith(ctx context.Context, s *handover.State, p handover.Plan) bool {
	if s.Mark == nil || !slices.Contains(p.Choices, handover.Resume) {
		return false
	}
	if f.wish.Resume {
		return true
	}
	img, err := f.resolved.Get(ctx)
	return err == nil && f.wish.Strategy != "" && f.wish.Strategy != handover.StrategyRolling && s.Mark.Images[f.container()] == img.String()
}

// checkHeld reports an unfinished switch and how this run deals with it. If the new
// version already serves, the user has to choose whether to finish it or go back.
func (r *Run) checkHeld(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	s, err := r.facts.held.Get(ctx)
	if err != nil {
		if _, lerr := r.facts.live.Get(ctx); lerr != nil {
			return nil, nil // another check reports that nothing can be read
		}
		return []*pipeline.Finding{unreadable("whether a switch is unfinished", err)}, nil
	}
	p := handover.Decide(s)
	f := r.unfinished(p)
	if f == nil {
		return nil, nil
	}
	switch action, reason := r.ifHeld(ctx, s, p); action {
	case handover.Wait:
		f.Severity, f.Fix = pipeline.Error, reason
	default:
		f.Severity, f.Fix = pipeline.Note, reason
	}
	return []*pipeline.Finding{f}, nil
}

// continueHeld continues the switch if this run rolls out the same version, and otherwise
// removes a version that has not served yet.
func (r *Run) continueHeld(ctx context.Context, s *handover.State, p handover.Plan) (handover.Action, string) {
	switch {
	case p.Automatic():
		return automatic(p)
	case r.facts.goesOnWith(ctx, s, p):
		return handover.Resume, "this run continues it"
	case p.Stage == handover.Applied || p.Stage == handover.Proving:
		return handover.GoBack, "this run first removes that version, which has not served anybody"
	}
	return refuseHeld()
}

// leaveHeld goes back to what served before the switch.
func leaveHeld(_ context.Context, _ *handover.State, p handover.Plan) (handover.Action, string) {
	switch {
	case p.Automatic():
		return automatic(p)
	case slices.Contains(p.Choices, handover.GoBack):
		return handover.GoBack, "this run returns to what served before it"
	}
	return refuseHeld()
}

func automatic(p handover.Plan) (handover.Action, string) {
	return p.Action(), fmt.Sprintf("this run will %s first", firstStep(p.Action()))
}

func refuseHeld() (handover.Action, string) {
	return handover.Wait, "finish it with `kubectl sbw rollout --resume`, or go back with `kubectl sbw undo`"
}

// takeOver deals, under the lock, with a switch that another run has left unfinished.
// adopted is that switch if this run continues it, and wentBack is set if it was taken back.
func (r *Run) takeOver(ctx context.Context, rep *pipeline.Reporter) (adopted handover.Plan, wentBack bool, err error) {
	s, err := r.Target.held(ctx) // read again, under the lock
	if err != nil {
		rep.Finding(unreadable("whether a switch is unfinished", err))
		return adopted, false, nil
	}
	p := handover.Decide(s)
	f := r.unfinished(p)
	if f == nil {
		return adopted, false, nil
	}
	h, o, err := r.handover(rep)
	if err != nil {
		return adopted, false, err
	}
	action, words := r.ifHeld(ctx, s, p)
	switch action {
	case handover.Resume:
		return p, false, h.Thaw(ctx) // it is paused again by the switch
	case handover.GoBack:
		err = h.GoBack(ctx, o)
	case handover.Release:
		err = h.Release(ctx, p.ServicesFirst, o)
	default:
		return adopted, false, f.With(func(f *pipeline.Finding) { f.Severity, f.Fix = pipeline.Error, words })
	}
	if err != nil {
		return adopted, false, err
	}
	r.facts = r.facts.again() // the previous facts describe a Deployment that was held
	return adopted, action == handover.GoBack, nil
}

// handover returns the hand-over of this run's Deployment, and the options for
// following its pods.
func (r *Run) handover(rep *pipeline.Reporter) (*handover.Run, watch.Options, error) {
	kube, err := r.Conn.Kube()
	if err != nil {
		return nil, watch.Options{}, err
	}
	h, err := handover.New(r.Conn, r.Ref, rep)
	if err != nil {
		return nil, watch.Options{}, err
	}
	h.Guard = r.guard.held.Verify
	return h, r.watchOptions(kube, nil, rep), nil
}

// handing holds what the stages of a switch pass on to each other.
type handing struct {
	choice handover.Choice
	// origin marks everything that this run holds.
	origin handover.Origin
	// adopted is the switch of another run that this run continues.
	adopted handover.Plan
	// wentBack is set if a switch that was found has been taken back.
	wentBack bool
	// handed is when the Services were switched to the new version. From its first
	// write on, it is when the switch began.
	handed time.Time
	// drainer tracks the steps on the old pods since then.
	drainer *handover.Drainer
	// drained is when no step was left on the old pods.
	drained time.Time
	// final is set once the new version stays no matter what follows. Every undo is
	// then refused with this error.
	final error
}
