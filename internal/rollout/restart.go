package rollout

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// NewRestart replaces the pods by others of the image that runs, so that they
// read Secrets and ConfigMaps that have changed: envFrom does not do so by
// itself. It is a rollout that changes an annotation of the pod template alone,
// and has the same strategies, stages and proofs.
func NewRestart(t *Target, o Options, cancelRun func(error)) *Run {
	o.Restart, o.Manifest = true, ManifestOptions{ImageOnly: true}
	r := newRollout("restart", t, o, cancelRun)
	if o.DryRun != DryRunNone {
		r.Pipeline.Stages = r.dryRun()
		return r
	}
	r.keepJournal()
	r.Pipeline.Stages = r.stages(r.imageStage())
	return r
}

// imageStage stands where a rollout stamps the manifest.
func (r *Run) imageStage() pipeline.Stage {
	return stage("image", func(ctx context.Context, rep *pipeline.Reporter) error {
		rep.Notef("the image stays %s", r.making())
		return r.keepImages(ctx)
	}, nil)
}

// restartMark is the annotation that makes pods of the same image new ones; none
// in a rollout. A restart that was begun and is gone on with has its mark already.
func (f *facts) restartMark(ctx context.Context) (map[string]string, error) {
	if !f.restart {
		return nil, nil
	}
	held, err := f.held.Get(ctx)
	if err != nil {
		return nil, err
	}
	if f.goesOnWith(ctx, held, handover.Decide(held)) {
		if at := held.Deployment.Spec.Template.Annotations[apply.RestartedAt]; at != "" {
			return map[string]string{apply.RestartedAt: at}, nil
		}
	}
	return map[string]string{apply.RestartedAt: f.started.UTC().Format(time.RFC3339Nano)}, nil
}
