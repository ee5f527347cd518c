package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Judge lets the API server validate exactly what Apply would send, and changes nothing.
// Unlike Apply it continues after a refusal, so that the error contains every problem of
// every object, each as a Finding with the line in the file and the other manager. It also
// finds changes that the API server would accept but another tool would revert.
func Judge(ctx context.Context, conn *cluster.Conn, objects []Object, o Options) ([]Result, error) {
	o.DryRun = true
	a, err := newApplier(conn, o)
	if err != nil {
		return nil, err
	}
	a.declare(objects)
	var results []Result
	var errs []error
	for _, object := range objects {
		r, err := a.apply(ctx, object)
		if r != nil {
			results = append(results, *r)
		}
		errs = append(errs, err)
		for _, f := range a.besides(ctx, object, r) {
			errs = append(errs, f)
		}
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
	}
	return results, errors.Join(errs...)
}

// besides finds what the API server does not object to.
func (a *applier) besides(ctx context.Context, o Object, r *Result) (found []*pipeline.Finding) {
	if r == nil {
		// What somebody else keeps may be why the API server refuses the object: a port
		// under another number with the same name, for example.
		if a.live != nil {
			found = a.leftovers(ctx, o, a.live)
		}
		return found
	}
	if _, has := o.GetAnnotations()[controllersRevision]; has {
		found = append(found, a.exported(o))
	}
	if r.Before == nil {
		return found
	}
	found = append(found, a.leftovers(ctx, o, r.Before)...)
	if by := gitOps(r.Before); by != "" && r.Action != Unchanged {
		severity := pipeline.Error
		fix := "change the image in the repository that " + by + " applies, or suspend it for this object first; " +
			"or use --force-conflicts to roll out anyway"
		if a.Force {
			severity, fix = pipeline.Warning, "suspend it for this object, or also change its repository"
		}
		found = append(found, &pipeline.Finding{Code: CodeGitOps, Severity: severity, Where: Where(o, ""),
			What: fmt.Sprintf("%s belongs to %s, which will revert this rollout", nameOf(o.Unstructured), by),
			Why:  "it applies the object again at its next reconciliation", Fix: fix})
	}
	return found
}

// exported returns the Finding for an annotation that only the Deployment controller sets.
func (a *applier) exported(o Object) *pipeline.Finding {
	return &pipeline.Finding{Code: CodeExported, Severity: pipeline.Error, Where: Where(o, "metadata.annotations["+controllersRevision+"]"),
		What: fmt.Sprintf("%s has the annotation %s, which only the Deployment controller sets", nameOf(o.Unstructured), controllersRevision),
		Why:  "it was exported from a live object", Fix: "remove the line"}
}

// gitOps returns the name of the tool that keeps an object in the state that a repository
// describes; "" if there is none, or if it is suspended for the object.
func gitOps(live *unstructured.Unstructured) string {
	labels, annotations := live.GetLabels(), live.GetAnnotations()
	switch {
	case annotations["kustomize.toolkit.fluxcd.io/reconcile"] == "disabled", labels["kustomize.toolkit.fluxcd.io/reconcile"] == "disabled":
		return ""
	case labels["kustomize.toolkit.fluxcd.io/name"] != "":
		return fmt.Sprintf(
			"Flux (Kustomization %s/%s)",
			labels["kustomize.toolkit.fluxcd.io/namespace"],
			labels["kustomize.toolkit.fluxcd.io/name"],
		)
	case labels["helm.toolkit.fluxcd.io/name"] != "":
		return fmt.Sprintf("Flux (HelmRelease %s/%s)", labels["helm.toolkit.fluxcd.io/namespace"], labels["helm.toolkit.fluxcd.io/name"])
	case annotations["argocd.argoproj.io/tracking-id"] != "":
		app, _, _ := strings.Cut(annotations["argocd.argoproj.io/tracking-id"], ":")
		return "Argo CD (application " + app + ")"
	case labels["argocd.argoproj.io/instance"] != "":
		return "Argo CD (application " + labels["argocd.argoproj.io/instance"] + ")"
	}
	for _, m := range live.GetManagedFields() {
		if slices.Contains([]string{"kustomize-controller", "helm-controller"}, m.Manager) {
			return "Flux (" + m.Manager + ")"
		}
		if strings.HasPrefix(m.Manager, "argocd-") {
			return "Argo CD (" + m.Manager + ")"
		}
	}
	return ""
}

func nameOf(u *unstructured.Unstructured) string {
	return strings.ToLower(u.GetKind()) + "/" + u.GetName()
}
