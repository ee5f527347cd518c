package push

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/registry"
)

// accept lists the manifest types that can be read.
var accept = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ", ")

// seen describes the image that a tag points to, all of whose blobs the registry
// has.
type seen struct {
	blobs    map[v1.Hash]bool
	size     int64           // of all its images together, in bytes
	children []v1.Descriptor // of an index; their blobs are listed in their manifests
}

// maxChildren limits how many manifests of an index are read for their blobs.
const maxChildren = 8

// readLatest reads the image that latest points to. It is not an error if latest
// cannot be read: then no blobs are known to exist, and every one is offered to
// the registry.
func (p *Pusher) readLatest(ctx context.Context) (seen, error) {
	s := seen{blobs: map[v1.Hash]bool{}}
	res, err := p.getManifest(ctx, Latest, true)
	if registry.IsNotFound(err) {
		p.remember(Latest, "")
	}
	if err != nil {
		return s, ctx.Err()
	}
	p.remember(Latest, digestOfResponse(res))
	s.children = s.take(res.Body)
	return s, nil
}

// readChildren adds the blobs that the manifests of an index name.
func (p *Pusher) readChildren(ctx context.Context) (seen, error) {
	s, err := p.latest.Get(ctx)
	if err != nil || len(s.children) == 0 {
		return s, err
	}
	texts := make([][]byte, min(len(s.children), maxChildren))
	g, gctx := errgroup.WithContext(ctx)
	for i := range texts {
		g.Go(func() error {
			if child, err := p.getManifest(gctx, s.children[i].Digest.String(), true); err == nil {
				texts[i] = child.Body
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return s, err
	}
	for _, t := range texts {
		s.take(t)
	}
	return s, ctx.Err()
}

// LatestSize returns the size in bytes of the image that latest points to; 0 if
// latest does not exist or cannot be read.
func (p *Pusher) LatestSize(ctx context.Context) (int64, error) {
	s, err := p.known.Get(ctx)
	return s.size, err
}

// take adds a manifest's blobs; for an index it returns the children.
func (s *seen) take(text []byte) (children []v1.Descriptor) {
	var m struct {
		Config    *v1.Descriptor  `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if json.Unmarshal(text, &m) != nil {
		return nil
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		s.size += l.Size
		if len(l.URLs) == 0 {
			s.blobs[l.Digest] = true
		}
	}
	return m.Manifests
}

func (p *Pusher) getManifest(ctx context.Context, ref string, once bool) (*registry.Response, error) {
	return p.client.Do(ctx, registry.Request{
		Method: http.MethodGet, Kind: "manifest " + ref, Path: "manifests/" + ref,
		Header: http.Header{"Accept": {accept}}, Once: once,
	})
}

// digestOfResponse returns the digest that the registry sent, or else that of the
// body.
func digestOfResponse(res *registry.Response) string {
	if d := res.Header.Get("Docker-Content-Digest"); d != "" {
		return d
	}
	if len(res.Body) == 0 {
		return ""
	}
	h, _, err := v1.SHA256(strings.NewReader(string(res.Body)))
	if err != nil {
		return ""
	}
	return h.String()
}
