package rollout

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// NewRestart replaces the pods by new pods of the running image, so that they read
// Secrets and ConfigMaps that have changed, which envFrom does not do by itself. It is
// a rollout that only changes an annotation of the pod template, with the same
// strategies, stages and proofs.
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

// imageStage takes the place of the stamp stage of a rollout.
func (r *Run) imageStage() pipeline.Stage {
	return stage("image", func(ctx context.Context, rep *pipeline.Reporter) error {
		if err := r.killed().keepImages(ctx); err != nil { // after which the image is known
			return err
		}
		rep.Notef("the image stays %s", r.making())
		return nil
	}, nil)
}

// restartMark returns the annotation that causes new pods of the same image; none in a
// rollout. A restart that another run has begun and this one continues already has it.
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
