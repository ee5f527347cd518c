package push

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// tagState is what a tag pointed to at a certain time.
type tagState struct {
	digest string // empty: the tag does not exist
	at     time.Time
}

// fresh is how long the last known state of a tag is trusted. After that the
// registry is asked again before the tag is written, because builds take minutes.
const fresh = 30 * time.Second

func (p *Pusher) remember(tag, digest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags[tag] = tagState{digest: digest, at: time.Now()}
}

// lately returns what tag pointed to less than fresh ago; empty if that is
// unknown or the tag did not exist.
func (p *Pusher) lately(tag string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.tags[tag]; time.Since(known.at) < fresh {
		return known.digest
	}
	return ""
}

// tag returns what tag points to. It asks the registry unless it has done so less
// than fresh ago.
func (p *Pusher) tag(ctx context.Context, tag string) (string, error) {
	p.mu.Lock()
	known, ok := p.tags[tag]
	p.mu.Unlock()
	if ok && time.Since(known.at) < fresh {
		return known.digest, nil
	}
	digest, err := p.headManifest(ctx, tag)
	if err == nil {
		p.remember(tag, digest)
	}
	return digest, err
}

func (p *Pusher) headRequest(ref string, once bool) registry.Request {
	return registry.Request{
		Method: http.MethodHead, Kind: "manifest " + ref, Path: "manifests/" + ref,
		Header: http.Header{"Accept": {accept}}, Once: once,
	}
}

// headManifest returns the digest that ref points to; empty if ref does not
// exist.
func (p *Pusher) headManifest(ctx context.Context, ref string) (string, error) {
	res, err := p.client.Do(ctx, p.headRequest(ref, false))
	if err == nil {
		if d := digestOfResponse(res); d != "" {
			return d, nil
		}
	}
	var answer *registry.Error
	if err != nil && (!errors.As(err, &answer) || answer.Status != http.StatusForbidden) {
		if registry.IsNotFound(err) {
			err = nil
		}
		return "", err
	}
	// The refusal of a HEAD carries no message, and a registry may omit the
	// digest from its answer, so the manifest itself is requested.
	res, err = p.getManifest(ctx, ref, false)
	switch {
	case registry.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", err
	}
	return digestOfResponse(res), nil
}

// Image finds the digest of an image. Its errors are ignored here, because
// another check reports them.
type Image func(context.Context) (digest string, err error)

func is(digest string) Image { return func(context.Context) (string, error) { return digest, nil } }

// Preflight asks the registry, before anything is built, whether we may write to
// it and whether the tag is free. image finds the digest of an image that already
// exists; it is nil if the image still has to be built. Push uses what Preflight
// learns, and the upload that it opens.
func (p *Pusher) Preflight(ctx context.Context, tags []string, image Image, overwrite bool) ([]*pipeline.Finding, error) {
	for _, t := range tags {
		if err := imageref.CheckTag(t); err != nil {
			return pipeline.AsFindings("cannot check the tag", err), nil
		}
	}
	var denied, taken error
	var wg sync.WaitGroup
	wg.Go(func() { denied = p.checkPermission(ctx) })
	if len(tags) > 0 && tags[0] != Latest {
		wg.Go(func() { taken = p.checkTag(ctx, tags[0], image, overwrite) })
	}
	wg.Go(func() { _, _ = p.latest.Get(ctx) })
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if denied != nil {
		// Reading the tag failed for the same reason, with a shorter message. Only a
		// tag that is taken is a problem of its own.
		if !errors.Is(taken, codeTagExists) {
			taken = nil
		}
	}
	return pipeline.AsFindings("cannot query the registry", errors.Join(denied, taken)), nil
}

// checkPermission opens an upload. A registry allows this to everyone who may
// push, and it does not create anything. GHCR cannot cancel an upload (405), so
// it is left to expire if no blob uses it.
func (p *Pusher) checkPermission(ctx context.Context) error {
	res, err := p.client.Do(ctx, registry.Request{
		Method: http.MethodPost, Kind: "upload", Path: "blobs/uploads/", Want: []int{http.StatusAccepted},
	})
	if err != nil {
		return p.client.Explain("push to "+p.opts.Repository.String(), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session = session{location: res.Header.Get("Location"), at: time.Now()}
	return nil
}

func (p *Pusher) checkTag(ctx context.Context, tag string, image Image, overwrite bool) error {
	now, err := p.tag(ctx, tag)
	switch {
	case err != nil:
		return p.client.Explain("look for "+p.name(tag), err)
	case now == "" || overwrite:
		return nil
	}
	digest := ""
	if image != nil {
		if digest, err = image(ctx); err != nil || digest == now {
			return nil
		}
	}
	f := &pipeline.Finding{
		Code: codeTagExists, Severity: pipeline.Error,
		What: p.name(tag) + " is published already",
		Why:  "it is " + now,
		Fix:  "choose another tag, or pass --overwrite to move this one",
	}
	if digest != "" {
		f.Why = "it is " + now + ", and this image is " + digest
	}
	return f
}
