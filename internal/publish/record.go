package publish

import (
	"context"
	"errors"
	"os"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// Record stores what was published, in a file and through the configured hook.
// Its error is only a warning, because the image is already published. An
// interrupt stops only the hook.
func (r *Run) Record(ctx context.Context, out pipeline.Outcome) error {
	if r.DryRun || out.Refused {
		return nil
	}
	interruptible := ctx
	ctx = context.WithoutCancel(ctx)
	rec := &receipt.Receipt{
		Command: "publish",
		Program: UserAgent,
		Worker:  r.Worker.Name,
		Image:   receipt.Image{Tag: r.Tag, Digest: r.result.Digest},
	}
	rec.Finish(out)
	if repo, err := r.Facts.Repository.Get(ctx); err == nil {
		rec.Image.Repository = repo.String()
	}
	for _, i := range r.result.Image.Images {
		rec.Image.Platforms = append(rec.Image.Platforms, i.Platform())
	}
	rec.Image.Bytes = r.result.Image.Size
	if r.result.Pushed != nil {
		rec.Image.Pushed = r.result.Pushed.Sent
	}
	if state, err := r.Checkout.Get(ctx); err == nil {
		rec.Commit, rec.Dirty, rec.Source = state.Revision, state.Dirty, state.Source()
	}
	env := r.Environ
	if id, err := r.Identity.Get(ctx); err == nil {
		env = id.CleanEnv(env)
		if account, err := id.Account(ctx); err == nil {
			rec.By.GitHub = account.Login
		}
	}
	var errs []error
	if store, err := receipt.Open(os.Getenv); err != nil {
		errs = append(errs, err)
	} else if err := store.Save(rec); err != nil {
		errs = append(errs, err)
	}
	if out.End == pipeline.Done {
		errs = append(errs, receipt.Hook{Key: "hooks.publish", Argv: r.Worker.Hooks.Publish, Dir: r.Root, Env: env}.Run(interruptible, rec))
	}
	return errors.Join(errs...)
}
