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
	// ref is the requested image; its digest is empty unless one was given.
	ref   imageref.Reference
	noPin bool
	// stays is the exact text of the running image, for a restart, which must
	// not change it.
	stays string
	// found is what the registry returned; nil if it could not be asked, see
	// doubt.
	found *image.Image
	// doubt is the reason why the image could not be read although it may
	// exist: you may not read the pull secret, or the registry can only be
	// reached from the cluster. The image is then applied as requested.
	doubt *pipeline.Finding
}

func (i resolvedImage) digests() []string {
	if i.found == nil {
		return nil
	}
	return i.found.Digests()
}

// String returns the image that the container gets, as NAME:TAG@DIGEST: the tag is for
// readers, the digest decides.
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

// findNext returns the workload as the manifest declares it, without the new image. If
// there is no manifest, it returns the live one.
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

// noTarget refuses a manifest that lacks the worker's workload. Several workers may
// share a manifest, so the finding lists the workloads in it and what to write into
// the configuration for each.
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

// findImage asks the registry for the tag with the pod's own pull secrets: the kubelet
// cannot pull what these cannot read.
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
	case refused.Is(registry.CodeImageNotFound) && len(keys.Blind) == 0:
		return img, refused
	case len(keys.Blind) > 0:
		refused = refused.With(func(f *pipeline.Finding) {
			f.Why += "; you may not read the pull secret " + strings.Join(keys.Blind, ", ")
		})
	case !refused.Is(registry.CodeRegistryUnreachable) && !refused.Is(registry.CodeRegistryTLS):
		return img, refused
	}
	// The cluster may be able to read what this machine cannot: report it and
	// continue with the requested image.
	img.doubt = refused.With(func(f *pipeline.Finding) {
		f.Severity, f.Fix = pipeline.Warning, ""
		if len(keys.Blind) == 0 && img.ref.Digest == "" && !img.noPin {
			// Nobody knows which image the tag refers to, so it would be impossible to
			// check afterwards whether that image is running.
			f.Severity = pipeline.Error
			f.Fix = "try again when the registry answers, give the digest (--image NAME:TAG@sha256:…), " +
				"or roll out whatever the tag refers to with --no-pin"
			return
		}
		f.Why += "; the rollout continues with " + img.ref.String() + ", without knowing its platforms"
	})
	return img, nil
}

// running returns the running image for a restart. It is kept unchanged, whatever its
// tag refers to by now.
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

// tries is low because a registry that cannot be reached from here may still be
// reachable from the nodes, and nobody wants to wait minutes to find out.
const tries = 3

// resolve finds the image that ref refers to. A digest decides, but a tag next to it
// must still refer to the same digest: whoever gives both means an image that they
// have seen under that tag.
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
		moved.Why, moved.Err = "the tag no longer exists", err
		return nil, moved
	case err != nil:
		return nil, err
	case now.Digest != ref.Digest && !slices.ContainsFunc(now.Variants, func(v image.Variant) bool { return v.Digest == ref.Digest }):
		moved.Why = "the tag refers to " + now.Digest
		return nil, moved
	}
	return img, nil
}

// lookUp tries the logins in the kubelet's order, most specific first.
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

// withLogin returns the options of a registry client that uses one of the pull secrets.
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

// checkImage checks that the image exists, can be pulled, and runs on the nodes.
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

// RunningTag returns the tag of the running image.
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
		return "", pipeline.UsageErrorf(pipeline.CodeUsage, "give one with --tag", "the image that runs has no tag: %s", c.Image)
	}
	return tag, nil
}

// PublishedTags lists the tags of a repository in the registry, read with the pod's
// pull secrets. An empty repository means the worker's own.
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

// imageIn returns the image of a container in a pod template, or "" if there is no
// container of that name.
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
