package publish

import (
	"context"
	"os"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// keepJournal adds a journal to the run, and a check that reports what a killed
// run left behind. Whatever that run sent to the registry is still valid, so
// nothing has to be restored.
func (r *Run) keepJournal(p *pipeline.Pipeline) {
	path := receipt.JournalPath(os.Getenv, "publish-"+r.Worker.Name, "publish", r.Worker.Name, r.Root, r.Options.Repository.String())
	if path == "" {
		return
	}
	journal := pipeline.NewJournal(path, map[string]string{"tag": r.Tag})
	p.Journal = journal
	p.KeepChanges = true // a publish has no stage that can be undone
	p.Checks = append(
		p.Checks,
		pipeline.Check{Name: "earlier run", Run: func(context.Context, *pipeline.Reporter) ([]*pipeline.Finding, error) {
			left := journal.Leftover()
			if left == nil || left.Stage() != stagePush {
				return nil, nil // nothing had been sent yet
			}
			return []*pipeline.Finding{left.Killed().With(func(f *pipeline.Finding) {
				f.Why = "the registry has what it sent, so this is not sent again"
			})}, nil
		}},
	)
}
