package push

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// run is one Push.
type run struct {
	*Pusher
	job   Job
	image *image
	rep   *pipeline.Reporter
	sent  atomic.Int64

	mu       sync.Mutex
	states   map[v1.Hash]state
	opened   map[v1.Hash]session
	mounters map[string]*registry.Client // nil: nothing can be mounted from this repository
}

func (r *run) all(ctx context.Context) error {
	r.states, r.opened, r.mounters = map[v1.Hash]state{}, map[v1.Hash]session{}, map[string]*registry.Client{}
	done, err := r.published(ctx)
	if err != nil || done {
		return err
	}
	known, err := r.known.Get(ctx)
	if err != nil {
		return err
	}
	var missing, plain []blob
	for _, b := range r.image.blobs {
		switch {
		case r.packs(b):
			plain = append(plain, b)
		case known.blobs[b.digest]:
			r.done(b, existing)
		default:
			missing = append(missing, b)
		}
	}
	if len(plain) == 0 {
		err = r.blobs(ctx, missing, false)
	} else {
		err = r.packAndSend(ctx, known, plain, missing)
	}
	if err != nil {
		return err
	}
	return r.manifests(ctx)
}

// published reports whether all tags already point to this image.
func (r *run) published(ctx context.Context) (bool, error) {
	if len(r.job.Tags) == 0 || slices.ContainsFunc(r.image.blobs, r.packs) {
		return false, nil
	}
	for _, t := range r.job.Tags {
		if t == Latest {
			if _, err := r.latest.Get(ctx); err != nil {
				return false, err
			}
		}
		now, err := r.tag(ctx, t)
		if err != nil {
			return false, r.client.Explain("look for "+r.name(t), err)
		}
		if now != r.job.Digest {
			return false, nil
		}
	}
	for _, b := range r.image.blobs {
		r.done(b, existing)
	}
	r.rep.Skipped("%s is already published with the same content", r.name(r.job.Tags[0]))
	return true, nil
}

// blobs uploads the largest blobs first, so that no single large blob is left at
// the end. More uploads may be open than are being filled, so that the round trip
// of a POST overlaps with sending another blob.
func (r *run) blobs(ctx context.Context, all []blob, force bool) error {
	all = slices.Clone(all)
	sort.SliceStable(all, func(i, j int) bool { return all[i].size > all[j].size })
	for _, b := range all {
		r.rep.Progress(pipeline.Progress{Item: b.label(), Total: b.size, Unit: pipeline.Bytes})
	}
	r.assignSession(all)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.Jobs + 2)
	for _, b := range all {
		g.Go(func() error { return r.blob(ctx, b, force) })
	}
	return g.Wait()
}

func (r *run) done(b blob, s state) {
	r.mu.Lock()
	r.states[b.digest] = s
	r.mu.Unlock()
	p := pipeline.Progress{Item: b.label(), Done: b.size, Total: b.size, Unit: pipeline.Bytes}
	switch s {
	case existing:
		p.State = "exists"
	case mounted:
		p.State = "mounted"
	}
	r.rep.Progress(p)
}

func (r *run) stateOf(h v1.Hash) state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.states[h]
}

// assignSession gives the upload that the permission check opened to the largest
// blob that can use it, that is, one that need not be checked first and cannot be
// mounted.
func (r *run) assignSession(sorted []blob) {
	r.Pusher.mu.Lock()
	s := r.session
	r.session = session{}
	r.Pusher.mu.Unlock()
	if s.location == "" {
		return
	}
	for _, b := range sorted {
		if b.size < askAbove && r.mountable(b) == "" {
			r.mu.Lock()
			r.opened[b.digest] = s
			r.mu.Unlock()
			return
		}
	}
}

// takeSession returns the upload that is open for b, once.
func (r *run) takeSession(b blob) (session, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.opened[b.digest]
	delete(r.opened, b.digest)
	return s, ok && time.Since(s.at) < sessionLife
}

// mountable returns a repository of the same registry that b may be mounted from
// and that has not refused it yet; empty if there is none.
func (r *run) mountable(b blob) string {
	if strings.HasPrefix(b.name, "config") {
		return ""
	}
	own := r.opts.Repository
	for _, from := range slices.Concat(b.from, prefixed(own.Registry, r.opts.MountFrom)) {
		ref, err := imageref.Parse(from)
		if err != nil || ref.Registry != own.Registry || ref.Repository == own {
			continue
		}
		repo := ref.Path
		r.mu.Lock()
		c, known := r.mounters[repo]
		r.mu.Unlock()
		if !known || c != nil {
			return repo
		}
	}
	return ""
}

func prefixed(host string, repos []string) []string {
	all := make([]string, len(repos))
	for i, repo := range repos {
		all[i] = host + "/" + repo
	}
	return all
}

// mounter returns a client for the same repository whose bearer may also read the
// repository to mount from. It is a separate client because a registry may refuse
// such a bearer altogether.
func (r *run) mounter(repo string) *registry.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.mounters[repo]; c != nil {
		return c
	}
	o := r.registryOptions()
	o.MountFrom = []string{repo}
	c := registry.New(r.opts.Repository, o)
	r.mounters[repo] = c
	return c
}

func (r *run) unmountable(repo string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mounters[repo] = nil
}
