package push

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// manifests writes the manifests of an index by digest, then TAG, and, once TAG
// can be read back, the tags that follow it.
func (r *run) manifests(ctx context.Context) error {
	if err := r.children(ctx); err != nil {
		return err
	}
	if len(r.job.Tags) == 0 {
		return r.put(ctx, r.image.root, r.image.root.digest)
	}
	first := r.job.Tags[0]
	now, err := r.tag(ctx, first)
	if err != nil {
		return r.client.Explain("look for "+r.name(first), err)
	}
	if now != r.job.Digest {
		// Somebody may have taken the tag while this image was being built.
		if err := r.checkTag(ctx, first, is(r.job.Digest), r.job.Overwrite || first == Latest); err != nil {
			return err
		}
		err = r.writeAndRead(ctx, first)
	} else {
		err = r.readable(ctx, first)
	}
	if err != nil {
		return err
	}
	for _, t := range r.job.Tags[1:] {
		if err := r.follow(ctx, first, t); err != nil {
			return err
		}
	}
	return nil
}

// children writes the manifests below the root: those of images in parallel, then
// nested indexes, each one after the manifests that it lists.
func (r *run) children(ctx context.Context) error {
	docs := r.image.documents[:len(r.image.documents)-1]
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.Jobs)
	for _, d := range docs {
		if !d.index {
			g.Go(func() error { return r.put(gctx, d, d.digest) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, d := range docs {
		if d.index {
			if err := r.put(ctx, d, d.digest); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow moves a tag after TAG. If that fails, TAG is complete, and the finding
// says so.
func (r *run) follow(ctx context.Context, first, tag string) error {
	if r.lately(tag) == r.job.Digest {
		return nil
	}
	err := r.put(ctx, r.image.root, tag)
	if err == nil || ctx.Err() != nil {
		return err
	}
	f := &pipeline.Finding{
		Code: codeTagNotMoved, Severity: pipeline.Error, Err: err,
		What: r.name(first) + " has been published, but " + tag + " was not moved to it",
		Why:  err.Error(),
		Fix:  "publish again with the same tag; nothing is sent twice",
	}
	var cause *pipeline.Finding
	if errors.As(err, &cause) {
		f.Why = cause.Why
	}
	return f
}

// far is the shortest round trip at which it pays off to send the next request
// before the previous one has been answered. With a nearby registry, this saves
// nothing.
const far = 20 * time.Millisecond

// writeAndRead writes TAG and waits until it can be read by its digest. If the
// registry is far away, the second request is sent shortly after the manifest,
// while the first answer is still in transit. If the registry handles a
// manifest as quickly as other requests, the second answer arrives right behind
// the first and costs no extra round trip. A slower registry answers that it
// does not know the manifest yet, and is asked again.
func (r *run) writeAndRead(ctx context.Context, tag string) error {
	trip := r.client.RoundTrip()
	if trip < far {
		if err := r.put(ctx, r.image.root, tag); err != nil {
			return err
		}
		return r.readable(ctx, tag)
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan bool, 1)
	ask := time.AfterFunc(trip/4, func() {
		res, err := r.client.Do(asking, r.headRequest(r.job.Digest, true))
		found <- err == nil && digestOfResponse(res) == r.job.Digest
	})
	if err := r.put(ctx, r.image.root, tag); err != nil {
		ask.Stop()
		return err
	}
	if !ask.Stop() && <-found {
		return nil
	}
	return r.readable(ctx, tag)
}

// readable waits until the manifest can be read by its digest, as a cluster
// will read it.
func (r *run) readable(ctx context.Context, tag string) error {
	for try := 0; ; try++ {
		digest, err := r.headManifest(ctx, r.job.Digest)
		switch {
		case err != nil:
			return r.client.Explain("read "+r.name(tag)+" back", err)
		case digest == r.job.Digest:
			return nil
		case digest != "":
			return wrongDigest(r.name(tag), r.job.Digest, digest)
		case try+1 >= r.client.Tries():
			return &pipeline.Finding{
				Code: codeTagUnreadable, Severity: pipeline.Error,
				What: r.name(r.job.Digest) + " was accepted by the registry but cannot be read",
				Why:  "latest was not moved, because it would point to nothing",
				Fix:  "publish again in a minute",
			}
		}
		if err := r.client.Backoff(ctx, "manifest "+r.job.Digest, try, errNotYet); err != nil {
			return err
		}
	}
}

var errNotYet = errors.New("it cannot be read yet")

// put writes a manifest under a tag or its digest. If the registry says that
// something is missing, put checks everything that was assumed to exist.
func (r *run) put(ctx context.Context, d document, ref string) error {
	for try := 0; ; try++ {
		if !strings.HasPrefix(ref, "sha256:") {
			r.rep.Changed()
		}
		res, err := r.client.Do(ctx, registry.Request{
			Method: http.MethodPut, Kind: "manifest " + ref, Path: "manifests/" + ref,
			Header: http.Header{"Content-Type": {d.mediaType}},
			Body:   func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(d.text)), nil },
			Size:   int64(len(d.text)), Want: []int{http.StatusCreated, http.StatusOK, http.StatusAccepted},
		})
		if err == nil {
			if got := res.Header.Get("Docker-Content-Digest"); got != "" && got != d.digest {
				return wrongDigest(r.name(ref), d.digest, got)
			}
			r.remember(ref, d.digest)
			return nil
		}
		if !missing(err) {
			return r.client.Explain("write "+r.name(ref), err)
		}
		if try+1 >= r.client.Tries() {
			return r.uploadLost("write "+r.name(ref), err)
		}
		if err := r.repair(ctx, d, err, try); err != nil {
			return err
		}
	}
}

// uploadLost returns the finding for a registry that keeps losing what it
// received.
func (r *run) uploadLost(doing string, err error) error {
	f := &pipeline.Finding{
		Code: codeUploadLost, Severity: pipeline.Error, Err: err,
		What: "could not " + doing + ": the registry lost what it received",
		Why:  err.Error(),
		Fix:  "try again later, and check https://www.githubstatus.com",
	}
	var e *registry.Error
	if errors.As(err, &e) && e.Said() != "" {
		f.Why = e.Said()
	}
	return f
}

// missing reports whether a manifest was refused because something that it refers
// to is missing.
func missing(err error) bool {
	var e *registry.Error
	if !errors.As(err, &e) || e.Status < 400 || e.Status >= 500 {
		return false
	}
	switch e.Code {
	case "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "MANIFEST_UNVERIFIED":
		return true
	}
	return false
}

var digestRE = lazyregexp.New(`sha256:[0-9a-f]{64}`)

// repair checks what a refused manifest refers to and sends what is missing: the
// manifests of an index, or the blobs of a manifest. It starts with those that
// were assumed to exist. It waits a little before it sends a blob a second time,
// because GHCR may need a moment until it knows a new blob. If a registry keeps
// refusing although it says that it has everything, repair sends the blob that
// the registry names again, or all of them.
func (r *run) repair(ctx context.Context, d document, cause error, round int) error {
	if d.index {
		if round > 0 {
			if err := r.client.Backoff(ctx, "manifest "+d.digest, round-1, cause); err != nil {
				return err
			}
		}
		return r.repairIndex(ctx, d, round >= 2)
	}
	var look []blob
	for _, b := range r.image.blobs {
		if round > 0 || r.stateOf(b.digest) != uploaded {
			look = append(look, b)
		}
	}
	if round < 2 {
		missing, err := r.absent(ctx, look, true)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return r.blobs(ctx, missing, false)
		}
		return r.client.Backoff(ctx, "manifest "+d.digest, round, cause)
	}
	if err := r.client.Backoff(ctx, "manifest "+d.digest, round, cause); err != nil {
		return err
	}
	named := digestRE.FindString(cause.Error())
	var again []blob
	for _, b := range r.image.blobs {
		if named == "" || b.digest.String() == named {
			again = append(again, b)
		}
	}
	return r.blobs(ctx, again, true)
}

// repairIndex writes the missing manifests of an index.
func (r *run) repairIndex(ctx context.Context, index document, force bool) error {
	for _, d := range r.image.documents {
		if d.digest == index.digest {
			return nil
		}
		there := ""
		if !force {
			var err error
			if there, err = r.headManifest(ctx, d.digest); err != nil {
				return r.client.Explain("look for "+r.name(d.digest), err)
			}
		}
		if there == "" {
			if err := r.put(ctx, d, d.digest); err != nil {
				return err
			}
		}
	}
	return nil
}

func wrongDigest(ref, want, got string) error {
	return &pipeline.Finding{
		Code: codeRegistryDigest, Severity: pipeline.Error,
		What: ref + " has a different digest from the manifest that was sent",
		Why:  "sent " + want + ", the registry says " + got,
		Fix:  "do not roll out this tag, and look for a proxy that rewrites manifests",
	}
}
