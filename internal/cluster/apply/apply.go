// Package apply applies a manifest server-side with the project's own field
// manager. Load reads the objects, Apply applies them or shows in a dry run
// what would change, and Restore undoes it.
//
// # Coexisting with kubectl apply
//
// Objects made by `kubectl apply` are taken over first: its entry in
// managedFields is merged into ours (client-go util/csaupgrade), because
// otherwise it would keep every field it ever set. The
// last-applied-configuration annotation gets the value that kubectl itself
// would write for the same file, so that a later plain `kubectl apply -f` has
// nothing to do. A Secret gets that annotation only if it already has one,
// because it would contain the Secret's content a second time.
//
// # Dry run
//
// A dry run sends the same patch with dryRun=All. Taking over is a separate
// patch, whose result a dry run does not see. So conflicts with the managers
// that would be taken over are ignored there, and fields that only they would
// have lost are not shown as removed.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// The codes of this package's findings.
const (
	CodeConflict    pipeline.Code = "apply-conflict"
	CodeRefused     pipeline.Code = "apply-refused"
	CodeCRD         pipeline.Code = "manifest-crd"
	CodeKind        pipeline.Code = "manifest-kind"
	CodeTarget      pipeline.Code = "manifest-target"
	CodeUnreadable  pipeline.Code = "manifest-unreadable"
	CodeEnvTwice    pipeline.Code = "env-twice"
	CodeExported    pipeline.Code = "annotation-exported"
	CodeGitOps      pipeline.Code = "gitops-managed"
	CodeImmutable   pipeline.Code = "field-immutable"
	CodeReplicas    pipeline.Code = "replicas-managed"
	CodeStrategy    pipeline.Code = "strategy-stuck"
	CodeRestoreLeft pipeline.Code = "restore-left"
	CodeLeftover    pipeline.Code = "template-leftover"
)

// Action is what happened to an object.
type Action string

// The actions, in kubectl's terms.
const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
)

// Options say how to apply.
type Options struct {
	// Force takes fields from other managers.
	Force bool
	// DryRun asks the API server what would happen, and changes nothing.
	DryRun bool
	// Target is the workload that is rolled out; it gets Annotations. The image
	// of its Container is taken over from any manager that has set it.
	Target      workload.Ref
	Container   string
	Annotations map[string]string
	// Existed, if set, is the UID of the Target that the preflight examined. If that
	// object was deleted since, or deleted and recreated, nothing is written.
	Existed types.UID
	// Absent means that the preflight found no Target. If somebody has created it since,
	// nothing is written.
	Absent bool
	// Accept, if set, is called with the live Target right before it is changed; an error
	// prevents the change. It is for decisions that the preflight made about that state.
	Accept func(live *workload.Workload) error
	// TemplateAnnotations are set by Image on the Target's pod template.
	TemplateAnnotations map[string]string
	// Reporter is informed before the first write (Changed) and of the result for each
	// object.
	Reporter *pipeline.Reporter
	// Guard, if set, is called right before each write; an error prevents it. A
	// run uses it to make sure that it still holds the lock.
	Guard func(context.Context) error
	// UsedBy, if set, returns which pods other than this run's need a ConfigMap, Secret or
	// ServiceAccount in the Target's namespace. Restore does not delete what others use.
	UsedBy func(ctx context.Context, kind, name string) ([]string, error)
	// Overlay, if set, is added to what is sent for the Target.
	Overlay *Overlay
	// Keep, if set, receives each object before it is changed, and each object that
	// was created: the input of Resume.
	Keep func(Kept) error
}

// Overlay is sent for the Target in addition to its manifest, and is removed again soon.
// last-applied-configuration does not contain it.
type Overlay struct {
	// Set alters config, which is about to be applied over live. owned reports
	// which field managers' fields this apply has taken over, or will.
	Set func(live, config *unstructured.Unstructured, owned func(manager string) bool) error
	// Fields are the paths that Set sets, such as ".spec.strategy". They are
	// taken over from any owner.
	Fields []string
}

// Result is what happened to one object.
type Result struct {
	GVK       string                     `json:"gvk"`
	Namespace string                     `json:"namespace,omitempty"`
	Name      string                     `json:"name"`
	Action    Action                     `json:"action"`
	Before    *unstructured.Unstructured `json:"-"` // nil when Created
	After     *unstructured.Unstructured `json:"-"`

	mapping *meta.RESTMapping
}

// String is kind/name as kubectl writes it.
func (r Result) String() string {
	kind, group := r.mapping.GroupVersionKind.Kind, r.mapping.GroupVersionKind.Group
	if group != "" {
		kind += "." + group
	}
	return strings.ToLower(kind) + "/" + r.Name
}

// Apply applies the objects in order. In case of an error it also returns the
// results so far, which Restore undoes. Findings: apply-conflict,
// apply-refused, and those of cluster.Explain.
func Apply(ctx context.Context, conn *cluster.Conn, objects []Object, o Options) ([]Result, error) {
	a, err := newApplier(conn, o)
	if err != nil {
		return nil, err
	}
	a.declare(objects)
	var results []Result
	for _, object := range objects {
		r, err := a.apply(ctx, object)
		if r != nil {
			results = append(results, *r)
		}
		if err != nil {
			return results, err
		}
		if o.DryRun {
			o.Reporter.Detailf("%s %s (dry run)", r, r.Action)
		} else {
			o.Reporter.Notef("%s %s", r, r.Action)
		}
	}
	return results, nil
}

type applier struct {
	Options
	client   dynamic.Interface
	mapper   meta.RESTMapper
	declared map[string]bool // namespaces that the manifest creates
	// forbidden is set once Guard has prevented a write.
	forbidden bool
	// takes reports whether a conflict over the current object is about a field that we
	// take over.
	takes func(conflict) bool
	// live is the current object as it was read; nil if it does not exist.
	live *unstructured.Unstructured
}

func newApplier(conn *cluster.Conn, o Options) (*applier, error) {
	client, err := conn.Dynamic()
	if err != nil {
		return nil, cluster.Explain("connect to the cluster", err)
	}
	mapper, err := conn.Mapper()
	if err != nil {
		return nil, cluster.Explain("read the cluster's kinds", err)
	}
	return &applier{Options: o, client: client, mapper: mapper, declared: map[string]bool{}}, nil
}

// declare records the namespaces that the manifest creates itself.
func (a *applier) declare(objects []Object) {
	for _, object := range objects {
		if object.GetKind() == "Namespace" && object.GetAPIVersion() == "v1" {
			a.declared[object.GetName()] = true
		}
	}
}

func (a *applier) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, *meta.RESTMapping, error) {
	gvk := u.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, nil, unknownKind(u, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return a.client.Resource(mapping.Resource).Namespace(u.GetNamespace()), mapping, nil
	}
	return a.client.Resource(mapping.Resource), mapping, nil
}

// gone reports whether u is the target and its object is no longer the one that this run
// has examined.
func (a *applier) gone(u, before *unstructured.Unstructured) bool {
	return a.Existed != "" && a.isTarget(u) && (before == nil || before.GetUID() != a.Existed)
}

// ending returns a Finding if the object is being deleted: the API server accepts changes,
// but they will be gone with it. In a dry run the check of the workload reports that of the
// Target, and the check of the namespace that of its Namespace.
func (a *applier) ending(o Object, before *unstructured.Unstructured) error {
	if before == nil || verdict.Deletion(before) == "" || a.DryRun && (a.isTarget(o.Unstructured) || o.GetKind() == "Namespace") {
		return nil
	}
	return &pipeline.Finding{Code: verdict.CodeEnding, Severity: pipeline.Error, Where: Where(o, ""),
		What: nameOf(o.Unstructured) + " is being deleted", Why: verdict.Deletion(before),
		Fix: "find out who deleted it, wait until it is gone, and roll out again, which creates it"}
}

// accept asks whether the target may be changed in its present state.
func (a *applier) accept(u, before *unstructured.Unstructured) error {
	if a.Absent && before != nil && a.isTarget(u) {
		return appeared(before)
	}
	if a.gone(u, before) {
		var now metav1.Object // stays nil if before is nil, which a nil *Unstructured would not
		if before != nil {
			now = before
		}
		return Replaced(strings.ToLower(u.GetKind())+"/"+u.GetName(), u.GetNamespace(), now, nil)
	}
	if a.Accept == nil || before == nil || !a.isTarget(u) {
		return nil
	}
	live, err := Typed(before)
	if err != nil {
		return err
	}
	return a.Accept(live)
}

// errMoved: somebody else has changed the object since it was read.
var errMoved = errors.New("somebody else keeps changing it")

// again repeats do, from reading the object on, as long as somebody else changes the object
// before it can be written. do is called with false the first time.
func again(ctx context.Context, name string, do func(repeated bool) (*Result, error)) (*Result, error) {
	var try cluster.Attempts
	for repeated := false; ; repeated = true {
		r, err := do(repeated)
		if !errors.Is(err, errMoved) {
			return r, err
		}
		if !try.More(ctx) {
			return r, cluster.Explain("apply "+name, err)
		}
	}
}

func (a *applier) apply(ctx context.Context, object Object) (*Result, error) {
	return again(ctx, nameOf(object.Unstructured), func(repeated bool) (*Result, error) { return a.applyOnce(ctx, object, repeated) })
}

func (a *applier) applyOnce(ctx context.Context, object Object, repeated bool) (*Result, error) {
	u := object.Unstructured
	a.live, a.takes = nil, nil
	client, mapping, err := a.resource(u)
	if err != nil {
		return nil, err
	}
	before, err := client.Get(ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		before = nil
	} else if err != nil {
		return nil, cluster.Explain("read "+nameOf(u), err)
	}
	a.live = before
	if err := a.ending(object, before); err != nil {
		return nil, err
	}
	if err := a.accept(u, before); err != nil {
		return nil, err
	}
	config, err := a.configuration(u, before)
	if err != nil {
		return nil, err
	}
	r := &Result{GVK: u.GroupVersionKind().String(), Namespace: u.GetNamespace(), Name: u.GetName(), Before: before, mapping: mapping}
	force := a.Force
	if before != nil {
		if err := a.keep(r, repeated); err != nil {
			return nil, err
		}
	}
	if err := a.guard(ctx); err != nil {
		return nil, err
	}
	live := before
	if before != nil {
		if config, live, force, err = a.prepare(ctx, client, object, before, config); err != nil {
			return nil, err
		}
	}
	return a.send(ctx, client, object, r, live, config, force)
}

// send creates the object, or patches live, the present version of r.Before, and completes r.
func (a *applier) send(
	ctx context.Context,
	client dynamic.ResourceInterface,
	object Object,
	r *Result,
	live, config *unstructured.Unstructured,
	force bool,
) (_ *Result, err error) {
	u, before := object.Unstructured, r.Before
	if !a.DryRun {
		a.Reporter.Changed()
	}
	if before == nil {
		r.After, err = a.create(ctx, client, config)
	} else {
		r.After, err = a.patchOver(ctx, client, before, live, config, force)
	}
	if a.DryRun && before == nil && apierrors.IsNotFound(err) && a.declared[u.GetNamespace()] {
		// The same manifest creates its namespace, but a dry run does not.
		r.After, err = config, nil
	}
	if err != nil {
		a.unchanged(ctx, client, u.GetName(), before, err)
		if r.After != nil { // there was no answer, but it has been applied
			r.Action = actionOf(before, r.After)
			return r, a.refusal(object, err)
		}
		return nil, a.refusal(object, err)
	}
	r.Action = actionOf(before, r.After)
	if r.Action != Created {
		return r, nil
	}
	if err := a.keep(r, false); err != nil {
		return r, err
	}
	if r.After, err = a.asApplied(ctx, client, r.After, config); err != nil {
		return r, cluster.Explain("set the owner of the fields of "+nameOf(u), err)
	}
	return r, nil
}

func (a *applier) isTarget(u *unstructured.Unstructured) bool {
	t := a.Target
	return u.GetKind() == t.Kind && u.GetName() == t.Name && u.GetNamespace() == t.Namespace && u.GroupVersionKind().Group == "apps"
}

// Find returns the result for a workload, and the workload from the answer.
func Find(results []Result, ref workload.Ref) (*Result, *workload.Workload, error) {
	i := slices.IndexFunc(results, func(r Result) bool {
		return r.After.GetKind() == ref.Kind && r.Name == ref.Name && r.Namespace == ref.Namespace
	})
	if i < 0 {
		return nil, nil, &pipeline.Finding{Code: CodeTarget, Severity: pipeline.Error,
			What: fmt.Sprintf("the manifest does not contain the %s in namespace %s", ref, ref.Namespace),
			Fix:  "correct deploy.deployment, deploy.namespace or deploy.manifest in .sbw.yaml"}
	}
	w, err := Typed(results[i].After)
	return &results[i], w, err
}
