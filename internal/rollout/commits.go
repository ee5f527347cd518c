package rollout

import (
	"context"
	"os"

	"github.com/joelhooks/gh-sbw/internal/checkout"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// checkCommits compares the commit of the new image with that of the running one. If
// the new commit does not descend from the running one, the rollout removes
// somebody's changes. That is only a warning, since it may be intended.
func (f *facts) checkCommits(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	img, err := f.resolved.Get(ctx)
	if err != nil || img.found == nil {
		return nil, nil //nolint:nilerr // reported by the check of the image
	}
	next := img.found.Label(worker.LabelRevision)
	if next == "" || !f.InCheckout {
		return nil, nil // there is nothing to compare, or nothing to compare with
	}
	live, err := f.live.Get(ctx)
	if err != nil {
		return nil, nil //nolint:nilerr // nothing is running, or the check of the workload reports the error
	}
	running, err := f.runningCommit(ctx, live)
	if err != nil {
		rep.Notef("it is unknown which commit is running: %s", err)
		return nil, nil
	}
	if running == "" || running == next {
		return nil, nil
	}
	lost, err := checkout.Lost(ctx, checkout.Options{Dir: f.Root, Env: os.Environ()}, running, next)
	if err != nil {
		rep.Notef("it is unknown whether %.9s contains all of %.9s, which is running now: %s", next, running, err)
		return nil, nil
	}
	return commitsLost(running, next, lost), nil
}

// runningCommit returns the commit that the running image is labelled with, or "" if
// it has no such label.
func (f *facts) runningCommit(ctx context.Context, live *workload.Workload) (string, error) {
	container, err := live.Container(f.container())
	if err != nil {
		return "", err
	}
	ref, err := imageref.Parse(container.Image)
	if err != nil {
		return "", err
	}
	keys, _, err := f.pullSecrets(ctx, live)
	if err != nil {
		return "", err
	}
	img, err := lookUp(ctx, ref, keys.For(ref.Repository.String()))
	if err != nil {
		return "", err
	}
	return img.Label(worker.LabelRevision), nil
}

func commitsLost(running, next string, lost []string) []*pipeline.Finding {
	if len(lost) == 0 {
		return nil
	}
	return []*pipeline.Finding{{Code: CodeCommitsLost, Severity: pipeline.Warning,
		What:     units.Count(len(lost), "commit that runs now is", "commits that run now are") + " missing from the new image",
		Why:      "it was built from " + next[:9] + ", which does not descend from " + running[:9],
		Fix:      "merge them and publish again, unless you mean to remove them",
		Evidence: lost,
	}}
}
