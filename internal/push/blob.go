package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// state is how a blob got into the registry.
type state int

const (
	unknown state = iota
	existing
	mounted
	uploaded
)

// session is an upload that a registry opened.
type session struct {
	location string
	at       time.Time
}

const (
	// sessionLife is how long an opened upload may wait before it is used. GHCR
	// closes an upload ten minutes after it was opened.
	sessionLife = time.Minute
	// askAbove is the size in bytes above which a HEAD is worth its round trip:
	// without it, a registry that cannot mount from the repository itself would
	// receive again what an interrupted push had already sent.
	askAbove = 32 << 20
	// singleBelow is the size in bytes up to which the content is sent with the
	// POST. If the registry does not accept that, at most this much was sent in
	// vain.
	singleBelow = 64 << 10
	// step is the number of bytes between two progress reports.
	step = 256 << 10
)

// singlePost records whether the registry supports the specification's single
// POST (end-4b), which is optional. One blob tries it; the others do not wait for
// the answer.
type singlePost struct {
	tried atomic.Bool
	works atomic.Bool
}

// blob makes sure that the registry has a blob. With force, the blob is sent even
// if the registry says that it has it.
func (r *run) blob(ctx context.Context, b blob, force bool) error {
	if !force && b.size >= askAbove {
		// If the HEAD fails, the blob is sent.
		if there, err := r.has(ctx, b); err == nil && there {
			r.done(b, existing)
			return nil
		}
	}
	for try := 0; ; try++ {
		st, opened, err := r.offer(ctx, b, force, try)
		if err == nil {
			r.done(b, st)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// If the upload could not be opened, the client has already retried it.
		last := !opened || try+1 >= r.client.Tries()
		if err := r.verdict(b, err, last); err != nil {
			return err
		}
		r.rep.Progress(pipeline.Progress{Item: b.label(), Total: b.size, Unit: pipeline.Bytes, State: "retry"})
		if err := r.client.Backoff(ctx, b.label(), try, err); err != nil {
			return err
		}
		// The content may have arrived even though the answer was lost.
		if !force {
			if there, err := r.has(ctx, b); err == nil && there {
				r.done(b, uploaded)
				return nil
			}
		}
	}
}

// verdict returns the final error of an upload that failed, or nil if it should
// be tried again.
func (r *run) verdict(b blob, err error, last bool) error {
	doing := "upload " + b.label() + " to " + r.name("")
	damaged, lost := errors.Is(err, registry.DigestInvalid), lost(err)
	if damaged {
		if err := verify(b); err != nil {
			return err
		}
	}
	switch {
	case damaged && last:
		return uploadDamaged(doing, err)
	case lost && last:
		return r.uploadLost(doing, err)
	case last, !damaged && !lost && !registry.Passing(err):
		return r.client.Explain(doing, err)
	}
	return nil
}

// lost reports whether an upload must be opened again, because the registry has
// lost it or has it in a different state.
func lost(err error) bool {
	var e *registry.Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Kind, "content of ") {
		return false
	}
	switch e.Status {
	case http.StatusNotFound, http.StatusGone, http.StatusRequestedRangeNotSatisfiable, http.StatusConflict:
		return true
	case http.StatusBadRequest:
		return e.Code == "BLOB_UPLOAD_INVALID" || e.Code == "BLOB_UPLOAD_UNKNOWN" || e.Code == "SIZE_INVALID" || e.Code == "BLOB_UNKNOWN"
	}
	return false
}

// offer opens an upload and sends the content, unless the registry answers that
// it has the blob.
func (r *run) offer(ctx context.Context, b blob, force bool, try int) (st state, opened bool, err error) {
	s, ok := r.takeSession(b)
	if !ok {
		if st, s, err = r.open(ctx, b, force || try > 0); err != nil || st != unknown {
			return st, false, err
		}
	}
	if err := r.gate.enter(ctx, b.size); err != nil {
		return unknown, false, err
	}
	if time.Since(s.at) > sessionLife { // it has waited too long for its turn
		if s, err = r.openPlain(ctx, b); err != nil {
			r.gate.leave(b.size, true)
			return unknown, false, err
		}
	}
	return uploaded, true, r.fill(ctx, b, s)
}

// open opens an upload. It lets the registry mount the blob from where it may
// exist: from the base image's repository, or else from the repository itself, so
// that the answer to the POST also says whether the blob exists.
func (r *run) open(ctx context.Context, b blob, plain bool) (state, session, error) {
	if plain {
		s, err := r.openPlain(ctx, b)
		return unknown, s, err
	}
	if b.size <= r.opts.single && (r.single.works.Load() || !r.single.tried.Swap(true)) {
		if st, s, ok, err := r.openSingle(ctx, b); ok || err != nil {
			return st, s, err
		}
	}
	client, from, st := r.client, r.opts.Repository.Path, existing
	if repo := r.mountable(b); repo != "" {
		client, from, st = r.mounter(repo), repo, mounted
	}
	res, err := client.Do(ctx, registry.Request{
		Method: http.MethodPost, Kind: "upload of " + b.label(), Path: "blobs/uploads/",
		Query: url.Values{"mount": {b.digest.String()}, "from": {from}},
		Want:  []int{http.StatusAccepted, http.StatusCreated}, Once: st == mounted,
	})
	switch {
	case ctx.Err() != nil:
		return unknown, session{}, context.Cause(ctx)
	case err != nil && registry.Passing(err) && st != mounted:
		return unknown, session{}, err
	case err != nil: // a mount was refused, but a plain upload may still work
		if st == mounted {
			r.unmountable(from)
		}
		s, err := r.openPlain(ctx, b)
		return unknown, s, err
	case res.Status == http.StatusCreated:
		return st, session{}, nil
	}
	return unknown, newSession(res), nil
}

func (r *run) openPlain(ctx context.Context, b blob) (session, error) {
	res, err := r.client.Do(ctx, registry.Request{
		Method: http.MethodPost, Kind: "upload of " + b.label(), Path: "blobs/uploads/", Want: []int{http.StatusAccepted},
	})
	if err != nil {
		return session{}, err
	}
	return newSession(res), nil
}

// openSingle sends the content with the POST. A registry that does not support
// this opens an upload, which is then used as usual. After any other answer, a
// plain POST follows.
func (r *run) openSingle(ctx context.Context, b blob) (_ state, _ session, ok bool, _ error) {
	res, err := r.client.Do(ctx, registry.Request{
		Method: http.MethodPost, Kind: "upload of " + b.label(), Path: "blobs/uploads/", Once: true,
		Query: url.Values{"digest": {b.digest.String()}}, Body: r.content(b, nil), Size: b.size,
		Want: []int{http.StatusAccepted, http.StatusCreated},
	})
	switch {
	case ctx.Err() != nil:
		return unknown, session{}, false, context.Cause(ctx)
	case err != nil:
		return unknown, session{}, false, nil
	case res.Status == http.StatusCreated:
		r.single.works.Store(true)
		r.sent.Add(b.size)
		return uploaded, session{}, true, nil
	}
	return unknown, newSession(res), true, nil
}

func newSession(res *registry.Response) session {
	return session{location: res.Header.Get("Location"), at: time.Now()}
}

// fill sends the content in one PUT. The caller must have entered the gate.
func (r *run) fill(ctx context.Context, b blob, s session) error {
	if s.location == "" {
		r.gate.leave(b.size, false)
		return fmt.Errorf("%s: the registry opened an upload but did not return its location", b.label())
	}
	var moved atomic.Int64
	_, err := r.client.Do(ctx, registry.Request{
		Method: http.MethodPut, Kind: "content of " + b.label(), Path: s.location, Once: true,
		Query: url.Values{"digest": {b.digest.String()}}, Body: r.content(b, &moved), Size: b.size,
		Want: []int{http.StatusCreated, http.StatusNoContent},
	})
	var answer *registry.Error
	r.gate.leave(b.size-moved.Load(), err != nil && !errors.As(err, &answer))
	return err
}

// content returns a function that opens the blob for one try of a request. moved
// counts the bytes sent in the current try.
func (r *run) content(b blob, moved *atomic.Int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		f, err := os.Open(b.path)
		if err != nil {
			return nil, broken(r.job.Layout, "blob "+b.digest.String()+" cannot be read", err)
		}
		if moved == nil {
			return f, nil
		}
		// A second try within a request (after a bearer expired) starts over.
		r.gate.moved(-moved.Swap(0))
		return &meter{file: f, b: b, r: r, moved: moved}, nil
	}
}

// meter counts the bytes that are read from a blob, which is at most 64 KiB more
// than has been sent.
type meter struct {
	file  *os.File
	b     blob
	r     *run
	moved *atomic.Int64
	shown int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.file.Read(p)
	if n > 0 {
		m.r.gate.moved(int64(n))
		m.r.sent.Add(int64(n))
		at := m.moved.Add(int64(n))
		if at-m.shown >= step || at == m.b.size {
			m.shown = at
			m.r.rep.Progress(pipeline.Progress{Item: m.b.label(), Done: at, Total: m.b.size, Unit: pipeline.Bytes})
		}
	}
	return n, err
}

func (m *meter) Close() error { return m.file.Close() }

func (r *run) has(ctx context.Context, b blob) (bool, error) {
	_, err := r.client.Do(ctx, registry.Request{
		Method: http.MethodHead, Kind: b.label(), Path: "blobs/" + b.digest.String(),
	})
	if registry.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// verify compares a blob's file with its digest after a registry reported that it
// received different content.
func verify(b blob) error {
	f, err := os.Open(b.path)
	if err != nil {
		return broken(b.path, "a blob cannot be read", err)
	}
	defer f.Close()
	if h, _, err := v1.SHA256(f); err != nil || h != b.digest {
		return &pipeline.Finding{
			Code: codeLayoutCorrupt, Severity: pipeline.Error, Where: b.path, Err: err,
			What: "the content of " + b.label() + " does not match its digest",
			Fix:  "remove the layout directory and build again",
		}
	}
	return nil
}

// uploadDamaged returns the finding for content that is intact on disk but
// arrives damaged.
func uploadDamaged(doing string, err error) error {
	return &pipeline.Finding{
		Code: codeUploadDamaged, Severity: pipeline.Error, Err: err,
		What: "could not " + doing + ": it arrives damaged every time",
		Why:  err.Error(),
		Fix:  "look for a proxy that modifies uploads, or try another network",
	}
}

func (b blob) label() string { return b.name + " " + b.digest.Hex[:12] }
