package publish

import (
	"context"
	"fmt"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// plan asks the registry what a push would send and which tags it would move. It
// returns the image with the digest that would be published.
func (r *Run) plan(ctx context.Context, img image, rep *pipeline.Reporter) (*push.Plan, image, error) {
	pusher, err := r.pusher.Get(ctx)
	if err != nil {
		return nil, img, err
	}
	plan, err := pusher.Plan(ctx, r.job(img), rep)
	if err != nil {
		return nil, img, err
	}
	img = r.settle(ctx, img, plan.Digest, plan.Size, rep)
	for _, line := range planned(plan) {
		rep.Notef("%s", line)
	}
	return plan, img, nil
}

// push sends the image and moves the tags. It returns the image with the digest
// that was published.
func (r *Run) push(ctx context.Context, img image, rep *pipeline.Reporter) (*push.Result, image, error) {
	pusher, err := r.pusher.Get(ctx)
	if err != nil {
		return nil, img, err
	}
	pushed, err := r.pushAndRemember(ctx, pusher, img, rep)
	if err != nil {
		return nil, img, err
	}
	img = r.settle(ctx, img, pushed.Digest, pushed.Size, rep)
	if img.kept == nil {
		return pushed, img, nil
	}
	freed, err := img.kept.Published(layout.Publication{Digest: img.digest, Built: img.built, Repository: pushed.Repository, Time: r.Now()})
	if err != nil {
		// The image is published. What could not be deleted only takes up space.
		rep.Notef("the layout directory could not be cleaned up: %s", err)
	} else if freed > 0 {
		rep.Detailf("deleted %s of earlier images", units.Bytes(freed))
	}
	return pushed, img, nil
}

// namedParts is how many parts of an image a dry run lists by name.
const namedParts = 8

// planned describes what a push would do: one line for the content, and one for
// each tag.
func planned(p *push.Plan) []string {
	var parts []string
	for _, b := range p.Blobs {
		if !b.Exists {
			parts = append(parts, b.Name+" ("+units.Bytes(b.Size)+")")
		}
	}
	first := "nothing would be sent: all parts exist already"
	if n := len(parts); n > 0 {
		if n > namedParts {
			parts = append(parts[:namedParts], fmt.Sprintf("and %d more", n-namedParts))
		}
		first = fmt.Sprintf("would send %s in %d of %d parts: %s", units.Bytes(p.Bytes), n, len(p.Blobs), strings.Join(parts, ", "))
	}
	lines := []string{first}
	for _, t := range p.Tags {
		name := imageref.Split(p.Repository).At(t.Tag).String()
		switch t.Now {
		case "":
			lines = append(lines, name+" would be new")
		case p.Digest:
			lines = append(lines, name+" already points to this image")
		default:
			lines = append(lines, name+" would be moved, from "+t.Now)
		}
	}
	return lines
}
