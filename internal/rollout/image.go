package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/units"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// resolvedImage is the image that is rolled out.
type resolvedImage struct {
	// ref is what was asked for; its digest is empty unless it was given.
	ref   imageref.Reference
	noPin bool
	// stays is the text of the image that runs, for a restart: not a byte of it
	// changes.
	stays string
	// found is what the registry says; nil where it could not be asked, see
	// doubt.
	found *image.Image
	// doubt is why the image could not be read although it may well be there:
	// the pull secret may not be read, or the registry is reachable only from
	// the cluster. The image then goes out by what was asked for alone.
	doubt *pipeline.Finding
}

func (i resolvedImage) digests() []string {
	if i.found == nil {
		return nil
	}
	return i.found.Digests()
}

// String is what the container gets: NAME:TAG@DIGEST, the tag for people, the
// digest for truth.
func (i resolvedImage) String() string {
	switch {
	case i.stays != "":
		return i.stays
	case i.noPin:
		return i.ref.Tagged().String()
	case i.ref.Digest == "" && i.found != nil:
		return i.ref.WithDigest(i.found.Digest).String()
	}
	return i.ref.String()
}

// findNext is the workload as the manifest has it, without the new image; the
// live one where there is no manifest.
func (f *facts) findNext(ctx context.Context) (*workload.Workload, error) {
	if f.manifest.ImageOnly {
		return f.live.Get(ctx)
	}
	all, err := f.loaded.Get(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		if f.isTarget(o) {
			return apply.Typed(o.Unstructured)
		}
	}
	return nil, f.noTarget(all)
}

// noTarget refuses a manifest without the worker's workload. Several workers may
// share a manifest, so it lists what there is and what to write for it.
func (t *Target) noTarget(all []apply.Object) *pipeline.Finding {
	f := &pipeline.Finding{
		Code: CodeManifestTarget, Severity: pipeline.Error, End: pipeline.Usage,
		What: fmt.Sprintf("the manifest has no %s in namespace %s, which worker %s stands for", t.Ref, t.Ref.Namespace, t.Worker.Name),
		Why:  "it contains no workload at all",
		Fix:  "name the right manifest with -f, or set deploy.deployment and deploy.namespace in " + worker.ConfigName,
	}
	var has []string
	for _, o := range all {
		if !slices.Contains(workload.Kinds, o.GetKind()) {
			continue
		}
		ref := workload.Ref{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
		has = append(has, ref.Namespace+"/"+ref.String())
		entry := fmt.Sprintf("deploy: {kind: %s, namespace: %s, deployment: %s}", ref.Kind, ref.Namespace, ref.Name)
		f.Evidence = append(f.Evidence, apply.Where(o, "")+": "+entry)
	}
	if len(has) > 0 {
		f.Why = "it has " + units.List(has)
		f.Fix = "write in " + worker.ConfigName + " which of them worker " + t.Worker.Name + " is, as below; another manifest is named with -f"
	}
	return f
}

// isTarget reports whether an object of the manifest is the worker's workload.
func (t *Target) isTarget(o apply.Object) bool {
	return o.GetKind() == t.Ref.Kind && o.GetName() == t.Ref.Name && o.GetNamespace() == t.Ref.Namespace
}

// findImage asks the registry for the tag, with the pod's own pull secrets: what
// this cannot read, the kubelet cannot pull.
func (f *facts) findImage(ctx context.Context) (resolvedImage, error) {
	next, err := f.next.Get(ctx)
	if err != nil {
		return resolvedImage{}, err
	}
	container, err := next.Container(f.container())
	if err != nil {
		return resolvedImage{}, err
	}
	if f.restart {
		return f.running(ctx, next, container.Image)
	}
	img := resolvedImage{ref: f.image.Reference, noPin: f.image.NoPin}
	if img.ref.Repository.IsZero() {
		img.ref.Repository = imageref.Split(container.Image).Repository
	}
	if _, err := imageref.Parse(img.ref.String()); err != nil {
		return resolvedImage{}, err
	}
	keys, _, err := f.pullSecrets(ctx, next)
	if err != nil {
		return resolvedImage{}, err
	}
	img.found, err = resolve(ctx, img.ref, keys.For(img.ref.Repository.String()))
	refused, ok := errors.AsType[*pipeline.Finding](err)
	if !ok {
		return img, err
	}
	switch {
	case refused.Code == registry.CodeImageNotFound && len(keys.Blind) == 0:
		return img, refused
	case len(keys.Blind) > 0:
		refused = refused.With(func(f *pipeline.Finding) {
			f.Why += "; you may not read the pull secret " + strings.Join(keys.Blind, ", ")
		})
	case refused.Code != registry.CodeRegistryUnreachable && refused.Code != registry.CodeRegistryTLS:
		return img, refused
	}
	// The cluster may know more than this machine: report it, and continue with
	// what was asked for.
	img.doubt = refused.With(func(f *pipeline.Finding) {
		f.Severity, f.Fix = pipeline.Warning, ""
		if len(keys.Blind) == 0 && img.ref.Digest == "" && !img.noPin {
			// Nobody knows which image the tag stands for, so nobody could say
			// afterwards whether that is what runs.
			f.Severity = pipeline.Error
			f.Fix = "try again when the registry answers, give the digest (--image NAME:TAG@sha256:…), " +
				"or roll out whatever the tag refers to with --no-pin"
			return
		}
		f.Why += "; the rollout continues with " + img.ref.String() + ", without knowing its platforms"
	})
	return img, nil
}

// running is the image that runs, for a restart: it stays as it is, whatever its
// tag stands for by now.
func (f *facts) running(ctx context.Context, live *workload.Workload, image string) (resolvedImage, error) {
	img := resolvedImage{ref: imageref.Split(image), stays: image}
	keys, _, err := f.pullSecrets(ctx, live)
	if err != nil {
		return img, err
	}
	img.found, err = lookUp(ctx, img.ref, keys.For(img.ref.Repository.String()))
	if refused, ok := errors.AsType[*pipeline.Finding](err); ok {
		img.doubt = refused.With(func(f *pipeline.Finding) {
			f.Severity, f.Fix = pipeline.Warning, ""
			f.Why += "; the restart continues, since the nodes may have the image"
		})
		return img, nil
	}
	return img, err
}

// tries: a registry that is out of reach from here may well be in reach of the
// nodes, and nobody wants to wait minutes to find out.
const tries = 3

// resolve reads what ref stands for. With a digest, it is that image, and a tag
// beside it must still stand for the same: whoever names both means an image that
// they have seen under that tag.
func resolve(ctx context.Context, ref imageref.Reference, logins []preflight.Credential) (*image.Image, error) {
	img, err := lookUp(ctx, ref, logins)
	if err != nil || ref.Digest == "" || ref.Tag == "" {
		return img, err
	}
	now, err := lookUp(ctx, ref.Tagged(), logins)
	moved := &pipeline.Finding{
		Code:     CodeImageTagMoved,
		Severity: pipeline.Error,
		What:     ref.Tagged().String() + " is not " + ref.Digest + " any more",
		Fix:      "roll out the tag without a digest to get its current image, or " + ref.Repository.At(ref.Digest).String() + " for that digest",
	}
	switch {
	case registry.IsNotFound(err):
		moved.Why, moved.Err = "the tag does not exist any more", err
		return nil, moved
	case err != nil:
		return nil, err
	case now.Digest != ref.Digest && !slices.ContainsFunc(now.Variants, func(v image.Variant) bool { return v.Digest == ref.Digest }):
		moved.Why = "the tag refers to " + now.Digest
		return nil, moved
	}
	return img, nil
}

// lookUp tries the logins as the kubelet does, the most specific first.
func lookUp(ctx context.Context, ref imageref.Reference, logins []preflight.Credential) (*image.Image, error) {
	if len(logins) == 0 {
		return image.Resolve(ctx, registry.New(ref.Repository, registry.Options{UserAgent: Program, Tries: tries}), ref.Identifier())
	}
	var first error
	for _, login := range logins {
		img, err := image.Resolve(ctx, registry.New(ref.Repository, withLogin(login)), ref.Identifier())
		if err == nil {
			return img, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// withLogin are the options of a client that uses one of the pull secrets.
func withLogin(login preflight.Credential) registry.Options {
	password, identity := login.Reveal()
	return registry.Options{
		Auth:       authn.FromConfig(authn.AuthConfig{Username: login.User, Password: password, IdentityToken: identity}),
		Credential: "the pull secret " + login.Source, UserAgent: Program, Tries: tries,
	}
}

func (t *Target) pullSecrets(ctx context.Context, w *workload.Workload) (preflight.Keyring, []*pipeline.Finding, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return preflight.Keyring{}, nil, err
	}
	return preflight.PullSecrets(ctx, kube, w)
}

// checkImage: it is there, it can be pulled, and the nodes can run it.
func (f *facts) checkImage(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	img, err := f.resolved.Get(ctx)
	if err != nil {
		return nil, err
	}
	next, err := f.next.Get(ctx)
	if err != nil {
		return nil, err
	}
	_, found, err := f.pullSecrets(ctx, next)
	if err != nil {
		return found, err
	}
	if img.doubt != nil {
		return append(found, img.doubt), nil
	}
	rep.Notef("%s is %s for %s", img.ref.Tagged(), img.found.Digest, strings.Join(img.found.Platforms(), ", "))
	kube, err := f.Conn.Kube()
	if err != nil {
		return found, err
	}
	nodes, more, err := preflight.Nodes(ctx, kube, next)
	found = append(found, more...)
	if err != nil {
		return found, err
	}
	if len(nodes) > 0 {
		found = append(found, preflight.Platform(img.ref.Tagged().String(), img.found.Platforms(), nodes)...)
	}
	for _, v := range img.found.Variants {
		if f := preflight.RunAsRoot(next, f.container(), v.File.Config.User); f != nil {
			found = append(found, f)
		}
	}
	return found, nil
}

// RunningTag is the tag of the image that runs.
func (t *Target) RunningTag(ctx context.Context) (string, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return "", err
	}
	w, err := workload.Get(ctx, kube, t.Ref)
	if err != nil {
		return "", err
	}
	c, err := w.Container(t.container())
	if err != nil {
		return "", err
	}
	tag := imageref.Split(c.Image).Tag
	if tag == "" {
		return "", pipeline.UsageErrorf("usage", "give one with --tag", "the image that runs has no tag: %s", c.Image)
	}
	return tag, nil
}

// PublishedTags are those that the registry has of a repository, the worker's
// own when it is empty, read with the pod's pull secrets.
func (t *Target) PublishedTags(ctx context.Context, repository string) ([]string, error) {
	client, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	live, err := workload.Get(ctx, client, t.Ref)
	if err != nil {
		return nil, err
	}
	if repository == "" {
		repository = t.Worker.Image.String()
	}
	if repository == "" {
		container, err := live.Container(t.container())
		if err != nil {
			return nil, err
		}
		repository = imageref.Split(container.Image).Repository.String()
	}
	name, err := imageref.ParseRepository(repository)
	if err != nil {
		return nil, err
	}
	keys, _, err := t.pullSecrets(ctx, live)
	if err != nil {
		return nil, err
	}
	clients := []*registry.Client{}
	for _, login := range keys.For(repository) {
		clients = append(clients, registry.New(name, withLogin(login)))
	}
	clients = append(clients, registry.New(name, registry.Options{UserAgent: Program, Tries: tries}))
	var errs []error
	for _, c := range clients {
		tags, err := image.Names(ctx, c)
		if err == nil {
			return tags, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// imageIn is the image of a container of a pod template, "" where there is none
// of that name.
func imageIn(t *corev1.PodTemplateSpec, container string) string {
	for _, list := range [][]corev1.Container{t.Spec.Containers, t.Spec.InitContainers} {
		for _, c := range list {
			if c.Name == container {
				return c.Image
			}
		}
	}
	return ""
}
