package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// shipped is the image that is rolled out.
type shipped struct {
	repository string
	// facts are what the registry says; nil where it could not be asked, see
	// doubt.
	facts *image.Image
	// doubt is why the image could not be read although it may well be there:
	// the pull secret may not be read, or the registry is reachable only from
	// the cluster. The image then goes out by its tag alone.
	doubt *pipeline.Finding
}

func (s shipped) digests() []string {
	if s.facts == nil {
		return nil
	}
	return s.facts.Digests()
}

// reference is what the container gets: NAME:TAG@DIGEST, the tag for people,
// the digest for truth.
func (r *rollout) reference(s shipped) string {
	ref := s.repository + ":" + r.tag
	if !r.noPin && s.facts != nil {
		ref += "@" + s.facts.Digest
	}
	return ref
}

// next is the workload as the manifest has it, without the new image; the live
// one where there is no manifest.
func (r *rollout) findNext(ctx context.Context) (*workload.Workload, error) {
	if r.imageOnly {
		return r.live.Get(ctx)
	}
	all, err := r.loaded.Get(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if o.GetKind() == r.ref.Kind && o.GetName() == r.ref.Name && o.GetNamespace() == r.ref.Namespace {
			return apply.Typed(o.Unstructured)
		}
	}
	return nil, &pipeline.Finding{Code: "manifest-target", Severity: pipeline.Error, End: pipeline.Usage,
		What: fmt.Sprintf("the manifest has no %s in namespace %s", r.ref, r.ref.Namespace),
		Fix:  "give the right manifest with -f, or set deploy.deployment and deploy.namespace in .sbw.yaml"}
}

// findImage asks the registry for the tag, with the pod's own pull secrets: what
// this cannot read, the kubelet cannot pull.
func (r *rollout) findImage(ctx context.Context) (shipped, error) {
	if r.command == "undo" {
		return shipped{}, nil // the cluster has it
	}
	next, err := r.next.Get(ctx)
	if err != nil {
		return shipped{}, err
	}
	container, err := next.Container(r.worker.Deploy.Container)
	if err != nil {
		return shipped{}, err
	}
	s := shipped{repository: r.image}
	if s.repository == "" {
		s.repository, _, _ = splitTag(container.Image)
	}
	ref, err := imageref.Parse(s.repository + ":" + r.tag)
	if err != nil {
		return shipped{}, err
	}
	keys, _, err := r.pullSecrets(ctx, next)
	if err != nil {
		return shipped{}, err
	}
	s.facts, err = resolve(ctx, ref, keys.For(s.repository))
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok {
		return s, err
	}
	switch {
	case f.Code == "image-not-found" && len(keys.Blind) == 0:
		return s, f
	case len(keys.Blind) > 0:
		f.Why += "; the pull secret " + strings.Join(keys.Blind, ", ") + " may not be read by you"
	case f.Code != "registry-unreachable" && f.Code != "registry-tls":
		return s, f
	}
	// The cluster may know more than this machine: say so, and go on by tag.
	f.Severity, f.Fix = pipeline.Warning, "the rollout goes on with the tag alone, without its digest and platform being known"
	s.doubt = f
	return s, nil
}

// tries: a registry that is out of reach from here may well be in reach of the
// nodes, and nobody wants to wait minutes to be told so.
const tries = 3

// resolve tries the logins as the kubelet does, the most specific first.
func resolve(ctx context.Context, ref imageref.Reference, logins []preflight.Credential) (*image.Image, error) {
	if len(logins) == 0 {
		return image.Resolve(ctx, registry.New(ref.Repository, registry.Options{UserAgent: userAgent, Tries: tries}), ref.Identifier())
	}
	var first error
	for _, login := range logins {
		password, identity := login.Reveal()
		client := registry.New(ref.Repository, registry.Options{
			Auth:       authn.FromConfig(authn.AuthConfig{Username: login.User, Password: password, IdentityToken: identity}),
			Credential: "the pull secret " + login.Source, UserAgent: userAgent, Tries: tries,
		})
		img, err := image.Resolve(ctx, client, ref.Identifier())
		if err == nil {
			return img, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (r *rollout) pullSecrets(ctx context.Context, w *workload.Workload) (preflight.Keyring, []*pipeline.Finding, error) {
	kube, err := r.conn.Kube()
	if err != nil {
		return preflight.Keyring{}, nil, err
	}
	return preflight.PullSecrets(ctx, kube, w)
}

// checkImage: it is there, it can be pulled, and the nodes can run it.
func (r *rollout) checkImage(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	s, err := r.img.Get(ctx)
	if err != nil {
		return nil, err
	}
	next, err := r.next.Get(ctx)
	if err != nil {
		return nil, err
	}
	_, found, err := r.pullSecrets(ctx, next)
	if err != nil {
		return found, err
	}
	if s.doubt != nil {
		return append(found, s.doubt), nil
	}
	rep.Notef("%s:%s is %s for %s", s.repository, r.tag, s.facts.Digest, strings.Join(s.facts.Platforms(), ", "))
	kube, err := r.conn.Kube()
	if err != nil {
		return found, err
	}
	nodes, more, err := preflight.Nodes(ctx, kube, next)
	found = append(found, more...)
	if err != nil {
		return found, err
	}
	if len(nodes) > 0 {
		found = append(found, preflight.Platform(s.repository+":"+r.tag, s.facts.Platforms(), nodes)...)
	}
	for _, v := range s.facts.Variants {
		if f := preflight.RunAsRoot(next, r.worker.Deploy.Container, v.File.Config.User); f != nil {
			found = append(found, f)
		}
	}
	return found, nil
}

// runningTag is the tag of the image that runs.
func (o *rolloutOptions) runningTag(ctx context.Context) (string, error) {
	kube, err := o.conn.Kube()
	if err != nil {
		return "", err
	}
	w, err := workload.Get(ctx, kube, o.ref)
	if err != nil {
		return "", err
	}
	c, err := w.Container(o.worker.Deploy.Container)
	if err != nil {
		return "", err
	}
	_, tag, ok := splitTag(c.Image)
	if !ok {
		return "", pipeline.UsageErrorf("usage", "name one with --tag", "the image that runs has no tag: %s", c.Image)
	}
	return tag, nil
}
