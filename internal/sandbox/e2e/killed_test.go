//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// rolloutStages lists the stages of a rollout without Inngest in their order.
var rolloutStages = []string{"preflight", "lock", "stamp", "apply", "watch", "probe", "settle"}

// death is one signal at the beginning or the end of one stage, and what the
// test does after it.
type death struct {
	name   string
	signal syscall.Signal
	kind   pipeline.Kind
	stage  string
	// then is the second run.
	then func(context.Context, *place) error
}

// TestKilled sends SIGINT and SIGKILL at every stage of a rollout, all in
// parallel in separate namespaces. After an interrupt, everything is as it was
// before, unless the new version was already proven. After a kill, one of
// three things happens: the same command continues, completes, and reports
// what it found; undo restores the previous version; or a failing tag restores
// the state from before the killed run.
func TestKilled(t *testing.T) {
	// Under nohup, SIGHUP is ignored, here and in child processes, until somebody
	// asks for it.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	st := standin(t)
	shared.turn.Lock()
	defer shared.turn.Unlock()
	var deaths []death
	for _, stage := range rolloutStages {
		deaths = append(deaths,
			death{"kill-" + stage, syscall.SIGKILL, pipeline.StageStarted, stage, again},
			death{"int-" + stage, syscall.SIGINT, pipeline.StageStarted, stage, again})
	}
	// The end of most stages is the beginning of the next.
	deaths = append(deaths,
		death{"hup-watch", syscall.SIGHUP, pipeline.StageStarted, "watch", again}, // the terminal was closed
		death{"kill-at-end", syscall.SIGKILL, pipeline.StageFinished, "settle", again},
		death{"undo-stamp", syscall.SIGKILL, pipeline.StageFinished, "stamp", back},
		death{"undo-watch", syscall.SIGKILL, pipeline.StageStarted, "watch", back},
		death{"undo-probe", syscall.SIGKILL, pipeline.StageStarted, "probe", back},
		death{"bad-stamp", syscall.SIGKILL, pipeline.StageFinished, "stamp", badly},
		death{"bad-watch", syscall.SIGKILL, pipeline.StageStarted, "watch", badly},
	)
	names := make([]string, len(deaths))
	for i, d := range deaths {
		names[i] = d.name
	}
	places := st.places(t, names)
	errs := make([]error, len(deaths))
	var work errgroup.Group
	work.SetLimit(6)
	for i, d := range deaths {
		work.Go(func() error {
			errs[i] = d.run(t.Context(), places[d.name])
			return nil
		})
	}
	_ = work.Wait() // each has its own error
	for i, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			if errs[i] != nil {
				t.Error(errs[i])
			}
		})
	}
}

func (d death) run(ctx context.Context, p *place) error {
	p.replaced = true // how far it got depends on the stage
	send := moment{d.kind, d.stage, func(proc *os.Process) error { return proc.Signal(d.signal) }}
	r, err := p.kubectl(ctx, send, nil, "rollout", "--tag", "better", "--no-inngest")
	if err != nil {
		return err
	}
	switch d.signal {
	case syscall.SIGINT, syscall.SIGHUP:
		if r.code == 0 {
			break // the last stage had ended before the signal arrived
		}
		if r.code != int(pipeline.Interrupted) {
			return fmt.Errorf("exit %d after an interrupt:\n%s", r.code, r.stderr)
		}
		// From settle on, the new version is proven, and an interrupt keeps
		// it.
		if d.stage == "settle" {
			if _, err := p.names(ctx, "better"); err != nil {
				return fmt.Errorf("after an interrupt of what was proven: %w\n%s", err, r.stderr)
			}
		} else if err := p.restored(ctx); err != nil {
			return fmt.Errorf("after an interrupt: %w\n%s", err, r.stderr)
		}
		if err := p.unlocked(ctx); err != nil {
			return err
		}
	default:
		if r.code != -1 && (r.code != 0 || d.stage != "settle") {
			return fmt.Errorf("exit %d, not killed:\n%s", r.code, r.stderr)
		}
	}
	if err := d.then(ctx, p); err != nil {
		return fmt.Errorf("%w\nthe first run printed:\n%s", err, r.stderr)
	}
	return nil
}

// again runs the same command: it completes, and a third run has nothing to
// do.
func again(ctx context.Context, p *place) error {
	r, err := p.kubectl(ctx, moment{}, nil, "rollout", "--tag", "better", "--no-inngest")
	if err != nil {
		return err
	}
	if r.code != 0 {
		return fmt.Errorf("the second run ended with %d:\n%s", r.code, r.stderr)
	}
	if err := p.serves(ctx, "better"); err != nil {
		return fmt.Errorf("after the second run: %w\n%s", err, r.stderr)
	}
	return p.nothingLeft(ctx)
}

// back undoes the killed run.
func back(ctx context.Context, p *place) error {
	r, err := p.kubectl(ctx, moment{}, nil, "undo", "--no-inngest")
	if err != nil {
		return err
	}
	if r.code != 0 || !r.said("an earlier rollout of better was killed") {
		return fmt.Errorf("undo ended with %d:\n%s", r.code, r.stderr)
	}
	if err := p.restored(ctx); err != nil {
		return fmt.Errorf("after undo: %w\n%s", err, r.stderr)
	}
	return p.nothingLeft(ctx)
}

// badly rolls out a version that fails: the run restores the state from before
// the killed run.
func badly(ctx context.Context, p *place) error {
	r, err := p.kubectl(ctx, moment{}, nil, "rollout", "--tag", "crash", "--no-inngest")
	if err != nil {
		return err
	}
	if r.code != int(pipeline.Restored) || !r.said("an earlier rollout of better was killed") {
		return fmt.Errorf("the bad run ended with %d:\n%s", r.code, r.stderr)
	}
	if err := p.restored(ctx); err != nil {
		return fmt.Errorf("after the bad run: %w\n%s", err, r.stderr)
	}
	return p.nothingLeft(ctx)
}

// nothingLeft checks that neither a journal nor a lock is left.
func (p *place) nothingLeft(ctx context.Context) error {
	journals, err := filepath.Glob(filepath.Join(p.dir, "state", "sbw", "journal", "*"))
	if err != nil {
		return err
	}
	if len(journals) > 0 {
		return fmt.Errorf("journals are left: %v", journals)
	}
	return p.unlocked(ctx)
}

func (p *place) unlocked(ctx context.Context) error {
	_, err := p.kube.CoordinationV1().Leases(p.ns).Get(ctx, "sbw-deployment-worker", metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("whether the lock is still there: %w", err)
	}
	return errors.New("the lock is still there")
}
