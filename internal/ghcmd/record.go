package ghcmd

import (
	"context"
	"errors"
	"os"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// record keeps what was published, as a file and with the configuration's
// hook. What goes wrong with it is a warning: what is published is published.
// An interrupt ends the hook, and nothing else.
func (p *publish) record(ctx context.Context, out pipeline.Outcome) {
	if p.dryRun || out.Refused {
		return
	}
	interruptible := ctx
	ctx = context.WithoutCancel(ctx)
	rec := &receipt.Receipt{Command: "publish", Program: userAgent, Worker: p.worker.Name, Image: receipt.Image{Tag: p.tag, Digest: p.digest}}
	rec.Finish(out)
	if repo, err := p.repo.Get(ctx); err == nil {
		rec.Image.Repository = repo.String()
	}
	for _, i := range p.verdict.Images {
		rec.Image.Platforms = append(rec.Image.Platforms, i.Platform())
	}
	rec.Image.Bytes = p.verdict.Size
	if p.pushed != nil {
		rec.Image.Pushed = p.pushed.Sent
	}
	if state, err := p.state.Get(ctx); err == nil {
		rec.Commit, rec.Dirty, rec.Source = state.Revision, state.Dirty, state.Source()
	}
	env := os.Environ()
	if id, err := p.identity.Get(ctx); err == nil {
		env = id.CleanEnv(env)
		if account, err := id.Account(ctx); err == nil {
			rec.By.GitHub = account.Login
		}
	}
	var errs []error
	if store, err := receipt.Open(); err != nil {
		errs = append(errs, err)
	} else if err := store.Save(rec); err != nil {
		errs = append(errs, err)
	}
	if out.End == pipeline.Done {
		errs = append(errs, receipt.Hook{Argv: p.worker.Hooks.Receipt, Dir: p.root, Env: env}.Run(interruptible, rec))
	}
	p.env.Warn("keep the receipt", errors.Join(errs...))
}
