package push

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// Plan describes what a Push would do.
type Plan struct {
	Repository string     `json:"repository"`
	Digest     string     `json:"digest"`
	Size       int64      `json:"size"`  // bytes of the whole image
	Bytes      int64      `json:"bytes"` // of these, the bytes that would be sent
	Blobs      []PlanBlob `json:"blobs"`
	Tags       []PlanTag  `json:"tags"`
}

// PlanBlob is a config or layer.
type PlanBlob struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Exists bool   `json:"exists"`
}

// PlanTag is a tag to write. Now is the digest that it points to; empty if the
// tag would be created.
type PlanTag struct {
	Tag string `json:"tag"`
	Now string `json:"now,omitempty"`
}

// Plan reports what a Push would do, without changing anything in the registry.
// It compresses layers as Push does, because otherwise it could not know how much
// has to be sent.
func (p *Pusher) Plan(ctx context.Context, j Job, rep *pipeline.Reporter) (*Plan, error) {
	p.setReporter(rep)
	for _, t := range j.Tags {
		if err := imageref.CheckTag(t); err != nil {
			return nil, err
		}
	}
	img, err := readImage(j.Layout, j.Digest)
	if err != nil {
		return nil, err
	}
	r := &run{Pusher: p, job: j, image: img, rep: rep}
	if err := r.packAll(ctx); err != nil {
		return nil, err
	}
	j, img = r.job, r.image
	absent, err := r.absent(ctx, img.blobs, false)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Repository: p.opts.Repository.String(), Digest: j.Digest, Size: img.size()}
	for _, b := range img.blobs {
		pb := PlanBlob{Name: b.name, Digest: b.digest.String(), Size: b.size, Exists: true}
		for _, a := range absent {
			if a.digest == b.digest {
				pb.Exists = false
				plan.Bytes += b.size
			}
		}
		plan.Blobs = append(plan.Blobs, pb)
	}
	for _, t := range j.Tags {
		now, err := p.tag(ctx, t)
		if err != nil {
			return nil, p.client.Explain("look for "+p.name(t), err)
		}
		plan.Tags = append(plan.Tags, PlanTag{Tag: t, Now: now})
	}
	return plan, nil
}

// absent asks for each blob and returns the missing ones. With offer, a blob also
// counts as missing if the registry refuses to answer: the refusal of a HEAD
// carries no reason, but the upload that follows either succeeds or gives one.
func (r *run) absent(ctx context.Context, all []blob, offer bool) ([]blob, error) {
	there := make([]bool, len(all))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.Jobs)
	for i, b := range all {
		g.Go(func() (err error) {
			there[i], err = r.has(gctx, b)
			var answer *registry.Error
			if offer && errors.As(err, &answer) && answer.Status == http.StatusForbidden {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, r.client.Explain("look for layers in "+r.opts.Repository.String(), err)
	}
	var absent []blob
	for i, b := range all {
		if !there[i] {
			absent = append(absent, b)
		}
	}
	return absent, nil
}
