package rollout

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// provenHook is the user's own command for a version that is proven: hooks.proven.
type provenHook struct {
	*Target
	timeout time.Duration
}

func (r *Run) provenHook() provenHook { return provenHook{r.Target, r.Timeout} }

// hook runs the user's own command once the new version is proven. It runs before the
// old pods are terminated, so that its failure can still fail the rollout.
func (r *Run) hook(ctx context.Context, rep *pipeline.Reporter) error {
	rep.Changed() // its effects outside this process are not known
	err := r.provenHook().run(ctx, r.receipt(r.soFar()))
	f := Warning(err)
	switch {
	case err == nil:
		rep.Notef("hooks.proven: %s succeeded", r.Worker.Hooks.Proven[0])
		return nil
	case f == nil:
		return err
	case r.Worker.Hooks.ProvenRequired:
		return f.WithSeverity(pipeline.Error)
	}
	rep.Finding(f)
	return nil
}

// rehook runs the command again for the restored version, if it ran for the version
// that was taken back: whatever the command registered should name the serving version.
func (r *Run) rehook(ctx context.Context, rep *pipeline.Reporter) {
	if !r.found.hooked {
		return
	}
	rec := r.receipt(r.soFar())
	rec.Command, rec.Image, rec.Previous = "restore", receipt.ParseImage(r.facts.previous()), r.making()
	rec.Commit, rec.Source, rec.Dirty, rec.By.GitHub = "", "", false, "" // they describe the image that was taken back
	for _, f := range pipeline.AsFindings("cannot run hooks.proven again", r.provenHook().run(ctx, rec)) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
}

// soFar returns the outcome of a run that is still in progress, for its receipt.
func (r *Run) soFar() pipeline.Outcome {
	return pipeline.Outcome{Name: r.command, End: pipeline.Done, Started: r.found.switched, Duration: time.Since(r.found.switched)}
}

// run runs the command with a receipt of the version that is serving now. If the
// command fails, the error is a warning with code hook-failed.
func (h provenHook) run(ctx context.Context, rec *receipt.Receipt) error {
	err := receipt.Hook{Argv: h.Worker.Hooks.Proven, Dir: h.Root, Env: os.Environ(), Timeout: h.timeout}.Run(ctx, rec)
	f := Warning(err)
	if f == nil || ctx.Err() != nil {
		return err
	}
	return f.With(func(f *pipeline.Finding) {
		f.Code, f.Where, f.What = CodeHookFailed, "hooks.proven", "the command of hooks.proven failed"
		f.Fix = "correct it, and run it for the version that is serving now"
	})
}

// check finds a command that does not exist before anything is changed.
func (h provenHook) check(context.Context, *pipeline.Reporter) ([]*pipeline.Finding, error) {
	argv := h.Worker.Hooks.Proven
	if len(argv) == 0 {
		return nil, nil
	}
	program := argv[0]
	if strings.ContainsRune(program, filepath.Separator) && !filepath.IsAbs(program) {
		program = filepath.Join(h.Root, program)
	}
	if _, err := exec.LookPath(program); err != nil && !errors.Is(err, exec.ErrDot) {
		severity := pipeline.Warning
		if h.Worker.Hooks.ProvenRequired {
			severity = pipeline.Error
		}
		return []*pipeline.Finding{
			{
				Code:     CodeHookFailed,
				Severity: severity,
				Where:    worker.ConfigName,
				Err:      err,
				What:     "the command of hooks.proven cannot be run",
				Why:      err.Error(),
				Fix:      "correct hooks.proven; paths are relative to the repository's root",
			},
		}, nil
	}
	return nil, nil
}
