package handover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// Step is a step that the Inngest server has a worker execute right now.
type Step struct {
	Run      string
	Function string
	Name     string
	Attempt  int // from 0
	Since    time.Time
}

// Settle waits until a switch of Services at the given time has reached every node. Until
// then, requests may still be sent to the pods that the Services pointed to before.
func Settle(ctx context.Context, switched time.Time) error {
	return waiting.For(ctx, time.Until(switched.Add(syncPeriod)))
}

// key identifies one execution of a step: another attempt is another execution.
func (s Step) key() string { return fmt.Sprintf("%s/%s/%d", s.Run, s.Name, s.Attempt) }

const (
	// syncPeriod is how long after the switch a request may still reach an old pod.
	// kube-proxy writes its rules at most once a second (its minSyncPeriod in both
	// modes), separately on each node.
	syncPeriod = time.Second
	// margin is added to syncPeriod where the start of a step is compared, because
	// the server reports that start.
	margin = time.Second
	// confirm is the number of consecutive readings in which a step must be missing
	// before it counts as finished. While runs start and end, a server's list
	// sometimes omits steps that are still executing.
	confirm = 4
)

// OnOld returns the running steps that may be executing on an old pod: steps that were
// seen before the switch had reached every node, and steps that began before it
// according to the Inngest server. switched is in the time of that server's clock. It
// returns too many steps rather than too few: waiting for a step on a new pod only
// costs time, and the server may show a step late.
func OnOld(running []Step, seen func(Step) bool, switched time.Time) []Step {
	var old []Step
	for _, s := range running {
		if seen(s) || s.Since.Before(switched.Add(syncPeriod+margin)) {
			old = append(old, s)
		}
	}
	slices.SortFunc(old, func(a, b Step) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.key(), b.key())) })
	return old
}

// DrainOptions say what a Drainer waits for.
type DrainOptions struct {
	// Running lists the steps that are executing.
	Running func(context.Context) ([]Step, error)
	// Switched is when the Services were switched to the new version, by this
	// machine's clock. Offset is how far the clock of the Inngest server is ahead of
	// it.
	Switched time.Time
	Offset   time.Duration
	// Timeout bounds Wait; zero means no bound.
	Timeout time.Duration
	Poll    time.Duration // zero means 250 ms
}

// StepsTable is the title of the table of steps on old pods.
const StepsTable = "steps on the old pods"

// Drainer tracks the steps that are executing on old pods. It must not be used by
// several goroutines at the same time.
type Drainer struct {
	DrainOptions
	reporter *pipeline.Reporter
	seen     map[string]Step // executions that were on old pods
	missing  map[string]int  // in how many consecutive readings each of them was missing
	empty    int             // consecutive readings without any step on old pods
	old      []Step          // the steps that are still executing there
	away     bool
}

// NewDrainer returns a Drainer that has not seen any step yet.
func NewDrainer(o DrainOptions) *Drainer {
	o.Poll = cmp.Or(o.Poll, 250*time.Millisecond)
	return &Drainer{DrainOptions: o, seen: map[string]Step{}, missing: map[string]int{}}
}

// Steps returns how many executions of steps on old pods were seen.
func (d *Drainer) Steps() int { return len(d.seen) }

// Observe reads the steps until ctx ends and reports nothing. It shortens a Wait that
// follows.
func (d *Drainer) Observe(ctx context.Context) {
	tick := time.NewTicker(d.Poll)
	defer tick.Stop()
	for {
		_, _ = d.look(ctx) // Wait reads them again and reports a failure that persists
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Wait waits until no step is executing on an old pod. If ctx or the timeout
// (CodeDrain) ends it early, it returns the steps that are still executing. It waits
// for a server that does not answer, and never assumes that such a server has no
// steps.
func (d *Drainer) Wait(ctx context.Context, rep *pipeline.Reporter) ([]Step, error) {
	d.reporter = rep
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if d.Timeout > 0 {
		waiting, cancel = context.WithTimeout(ctx, d.Timeout)
	}
	defer cancel()
	tick := time.NewTicker(d.Poll)
	defer tick.Stop()
	// Without work on the old pods, the first reading after syncPeriod is the last one.
	synced := time.NewTimer(time.Until(d.Switched.Add(syncPeriod)))
	defer synced.Stop()
	unread := errNotRead // why the steps are not known; nil if the last reading succeeded
	for {
		done, err := d.look(waiting)
		if done {
			return nil, nil
		}
		if err == nil || waiting.Err() == nil || errors.Is(unread, errNotRead) {
			unread = err // a reading that the timeout cut off does not count
		}
		if err != nil && waiting.Err() == nil && !d.away {
			d.away = true
			rep.Notef("cannot see which steps are executing; waiting until that is possible: %v", err)
		}
		select {
		case <-ctx.Done():
			return d.old, context.Cause(ctx)
		case <-waiting.Done():
			if ctx.Err() != nil {
				return d.old, context.Cause(ctx)
			}
			return d.old, d.timedOut(unread)
		case <-synced.C:
		case <-tick.C:
		}
	}
}

// errNotRead is why the steps are not known before they were read.
var errNotRead = errors.New("not read yet")

// look reads the steps once. done is true once a request that was in progress during
// the switch must have been seen and no step is left.
func (d *Drainer) look(ctx context.Context) (done bool, err error) {
	settled := !time.Now().Before(d.Switched.Add(syncPeriod))
	running, err := d.Running(ctx)
	if err != nil {
		return false, err
	}
	if d.away {
		d.away = false
		d.reporter.Notef("can see the executing steps again")
	}
	if !settled {
		for _, s := range running {
			d.seen[s.key()] = s
		}
	}
	isSeen := func(s Step) bool { _, seen := d.seen[s.key()]; return seen }
	now := map[string]bool{}
	for _, s := range OnOld(running, isSeen, d.Switched.Add(d.Offset)) {
		d.seen[s.key()], now[s.key()] = s, true
	}
	d.old = nil
	for key, s := range d.seen {
		if now[key] {
			d.missing[key] = 0
		} else {
			d.missing[key]++
		}
		if d.missing[key] < confirm {
			d.old = append(d.old, s)
		}
	}
	d.old = OnOld(d.old, isSeen, d.Switched) // sorted
	if d.empty++; len(now) > 0 {
		d.empty = 0
	}
	d.report(time.Now())
	return settled && len(d.old) == 0 && d.empty >= confirm, nil
}

func (d *Drainer) report(now time.Time) {
	if len(d.seen) == 0 {
		return
	}
	t := pipeline.Table{Title: StepsTable, Header: []string{"FUNCTION", "STEP", "ATTEMPT", "RUNNING FOR", "WAITING UP TO"}}
	left := "indefinitely"
	if d.Timeout > 0 {
		left = max(0, d.Timeout-now.Sub(d.Switched)).Round(time.Second).String()
	}
	for _, s := range d.old {
		t.Rows = append(
			t.Rows,
			[]string{s.Function, s.Name, fmt.Sprint(s.Attempt + 1), now.Add(d.Offset).Sub(s.Since).Round(time.Second).String(), left},
		)
	}
	d.reporter.Table(t)
	d.reporter.Progress(
		pipeline.Progress{Item: "steps finished on the old pods", Done: int64(len(d.seen) - len(d.old)), Total: int64(len(d.seen))},
	)
}

func (d *Drainer) timedOut(err error) error {
	f := &pipeline.Finding{Code: CodeDrain, Severity: pipeline.Error, Err: errors.Join(context.DeadlineExceeded, err),
		What: fmt.Sprintf("%d steps are still executing on the old pods after %s", len(d.old), d.Timeout),
		Why:  "the new version is serving; the old pods are kept so that no step is lost",
		Fix:  "wait again and finish the hand-over with `kubectl sbw rollout --resume`; to wait longer, raise --drain-timeout"}
	switch {
	case err != nil:
		f.What = fmt.Sprintf("after %s it is still unknown whether steps are executing on the old pods", d.Timeout)
		f.Why = "the Inngest server does not answer: " + err.Error()
	case len(d.old) == 1:
		f.What = fmt.Sprintf("1 step is still executing on the old pods after %s", d.Timeout)
	}
	for _, s := range d.old {
		f.Evidence = append(
			f.Evidence,
			fmt.Sprintf("%s  %s  attempt %d  for %s", s.Function, s.Name, s.Attempt+1, time.Now().Add(d.Offset).Sub(s.Since).Round(time.Second)),
		)
	}
	return f
}
