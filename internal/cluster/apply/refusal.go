package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/plain"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// refusal words why an object was not taken.
func (a *applier) refusal(o Object, err error) error {
	name := strings.ToLower(o.GetKind()) + "/" + o.GetName()
	where := o.Source
	if where == "" {
		where = o.GetNamespace() + "/" + name
	}
	if found := conflicts(err); len(found) > 0 {
		f := &pipeline.Finding{Code: "apply-conflict", Severity: pipeline.Error, Where: where, Err: err,
			Fix: "leave these fields out of the manifest, or take them with --force-conflicts"}
		var managers []string
		for _, c := range found {
			if !slices.Contains(managers, c.manager) {
				managers = append(managers, c.manager)
			}
			f.Evidence = append(f.Evidence, strings.TrimSpace(fmt.Sprintf("%s belongs to %q %s", c.field, c.manager, c.how)))
		}
		f.What = fmt.Sprintf("%s: %d fields belong to another field manager", name, len(found))
		if len(found) == 1 {
			f.What = fmt.Sprintf("%s: field %s belongs to another field manager", name, found[0].field)
		}
		f.Why = "managed by " + strings.Join(managers, ", ")
		return f
	}
	// A typed patch that the schema does not know, and strict validation, both
	// come as plain 4xx or as 500 with this text (structured-merge-diff).
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || strings.Contains(err.Error(), "failed to create typed patch object") {
		return &pipeline.Finding{Code: "apply-refused", Severity: pipeline.Error, Where: where, Err: err,
			What: name + " is not valid", Why: line(err), Fix: "correct the manifest"}
	}
	if apierrors.IsForbidden(err) && (strings.Contains(err.Error(), "denied the request") || strings.Contains(err.Error(), "exceeded quota")) {
		return &pipeline.Finding{Code: "apply-refused", Severity: pipeline.Error, Where: where, Err: err,
			What: name + " is refused by the cluster's admission", Why: line(err), Fix: "satisfy the policy that is named"}
	}
	return cluster.Explain("apply "+name, err)
}

func unknownKind(u *unstructured.Unstructured, err error) error {
	if !isNoMatch(err) {
		return cluster.Explain("read the cluster's kinds", err)
	}
	return &pipeline.Finding{Code: "manifest-kind", Severity: pipeline.Error, Err: err,
		What: fmt.Sprintf("the cluster does not know %s of %s", u.GetKind(), u.GetAPIVersion()), Why: line(err),
		Fix: "install its CustomResourceDefinition, or correct apiVersion and kind"}
}

func isNoMatch(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if meta.IsNoMatchError(e) {
			return true
		}
	}
	return false
}

func pipelineFinding(err error) bool {
	_, ok := errors.AsType[*pipeline.Finding](err)
	return ok
}

func line(err error) string { return plain.Line(err.Error()) }
