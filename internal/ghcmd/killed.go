package ghcmd

import (
	"context"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// keepJournal gives the run a journal, and a check that says what a killed one
// left. What is in the registry stays good: nothing has to be put back.
func (p *publish) keepJournal(list *pipeline.Pipeline) {
	path := cli.JournalPath("publish-"+p.worker.Name, "publish", p.worker.Name, p.root, p.image)
	if path == "" {
		return
	}
	journal := pipeline.NewJournal(path, map[string]string{"tag": p.tag})
	list.Journal = journal
	list.KeepChanges = true // no stage of a publish can be undone
	list.Checks = append(list.Checks, pipeline.Check{Name: "earlier run", Run: func(context.Context, *pipeline.Reporter) ([]*pipeline.Finding, error) {
		left := journal.Leftover()
		if left == nil || left.Stage() != pushStage {
			return nil, nil // nothing had been sent yet
		}
		f := cli.Killed(left)
		f.Why = "what it had sent is in the registry, and is not sent again"
		f.Fix = "nothing: this run goes on from there"
		return []*pipeline.Finding{f}, nil
	}})
}
