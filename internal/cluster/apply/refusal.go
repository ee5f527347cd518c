package apply

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// refusal returns why an object was not accepted: one Finding, or several joined ones if
// several fields are wrong.
func (a *applier) refusal(o Object, err error) error {
	if pipelineFinding(err) || errors.Is(err, errMoved) {
		return err
	}
	var found []*pipeline.Finding
	switch {
	case len(conflicts(err)) > 0:
		found = a.conflicting(o, conflicts(err), err)
	case apierrors.HasStatusCause(err, "NamespaceTerminating") || strings.Contains(err.Error(), "because it is being terminated"):
		found = append(
			found,
			&pipeline.Finding{
				Code:     verdict.CodeNamespaceEnding,
				Severity: pipeline.Error,
				Where:    Where(o, "metadata.namespace"),
				Err:      err,
				What: fmt.Sprintf(
					"namespace %s is being deleted, so %s cannot be created in it",
					o.GetNamespace(),
					nameOf(o.Unstructured),
				),
				Why: line(err),
				Fix: "wait until it is gone and create it again, or choose another namespace",
			},
		)
	case apierrors.IsInvalid(err):
		found = a.invalid(o, err)
	// A typed patch that the schema does not know, and strict validation, both
	// result in a plain 4xx or a 500 with this text (structured-merge-diff).
	case apierrors.IsBadRequest(err) || strings.Contains(err.Error(), "failed to create typed patch object"):
		found = a.badPatch(o, err)
	case apierrors.IsForbidden(err) &&
		(strings.Contains(err.Error(), "denied the request") || strings.Contains(err.Error(), "exceeded quota")):
		found = append(
			found,
			a.refused(
				o,
				"",
				nameOf(o.Unstructured)+" was refused by an admission check of the cluster",
				line(err),
				"comply with the policy that the message names",
				err,
			),
		)
	default:
		return cluster.Explain("apply "+nameOf(o.Unstructured), err)
	}
	switch len(found) {
	case 0: // only about fields that we take over: somebody else wrote in between
		return cluster.Explain("apply "+nameOf(o.Unstructured), err)
	case 1:
		return found[0]
	}
	errs := make([]error, len(found))
	for i, f := range found {
		errs[i] = f
	}
	return errors.Join(errs...)
}

func (a *applier) refused(o Object, path, what, why, fix string, err error) *pipeline.Finding {
	return &pipeline.Finding{Code: CodeRefused, Severity: pipeline.Error, Where: Where(o, path), What: what, Why: why, Fix: fix, Err: err}
}

// conflicting returns one Finding for each other manager. The advice is to leave the field
// out if somebody else decides it (an autoscaler), otherwise that or --force-conflicts.
func (a *applier) conflicting(o Object, all []conflict, err error) (found []*pipeline.Finding) {
	name := nameOf(o.Unstructured)
	byManager := map[string][]conflict{}
	var order []string
	for _, c := range all {
		if a.takes != nil && a.takes(c) {
			continue // its conflict is not one of those that prevent the apply
		}
		if strings.Contains(c.field, controllersRevision) {
			found = append(found, a.exported(o))
			continue
		}
		if c.field == replicasField {
			found = append(found, replicasManaged(o, c.manager, c.how, err))
			continue
		}
		if byManager[c.manager] == nil {
			order = append(order, c.manager)
		}
		byManager[c.manager] = append(byManager[c.manager], c)
	}
	for _, manager := range order {
		fields := byManager[manager]
		f := &pipeline.Finding{Code: CodeConflict, Severity: pipeline.Error, Where: Where(o, fields[0].field), Err: err,
			What: fmt.Sprintf("%s: %d fields belong to another field manager", name, len(fields)), Why: "managed by " + manager,
			Fix: "leave these fields out of the manifest, or take them with --force-conflicts"}
		if len(fields) == 1 {
			f.What = fmt.Sprintf("%s: field %s belongs to another field manager", name, fields[0].field)
			f.Fix = "leave this field out of the manifest, or take it with --force-conflicts"
		}
		for _, c := range fields {
			f.Evidence = append(f.Evidence, strings.TrimSpace(fmt.Sprintf("%s %s belongs to %q %s", Where(o, c.field), c.field, c.manager, c.how)))
		}
		found = append(found, f)
	}
	return found
}

// replicasField is what an autoscaler sets.
const replicasField = ".spec.replicas"

// replicasManaged is the Finding for a number of replicas that somebody else has
// set. --force-conflicts does not change it: an autoscaler would set its number
// again, and until then pods that are needed would be gone.
func replicasManaged(o Object, manager, how string, err error) *pipeline.Finding {
	return &pipeline.Finding{Code: CodeReplicas, Severity: pipeline.Error, Where: Where(o, replicasField), Err: err,
		What: fmt.Sprintf("%s: replicas belong to %q, but the manifest sets a different number", nameOf(o.Unstructured), manager),
		Why:  strings.TrimSpace("managed by " + manager + " " + how),
		Fix:  "leave replicas out of the manifest, so that scaling and rollouts do not undo each other"}
}

// scaled makes that Finding for what an apply with force would scale; nil if the
// number is the same or nobody else owns it.
func scaled(o Object, before, config *unstructured.Unstructured, others sets.Set[string]) *pipeline.Finding {
	live, _, _ := unstructured.NestedFieldNoCopy(before.Object, "spec", "replicas")
	wanted, has, _ := unstructured.NestedFieldNoCopy(config.Object, "spec", "replicas")
	if !has || fmt.Sprint(live) == fmt.Sprint(wanted) {
		return nil
	}
	if managers := owners(before, replicasField, others); len(managers) > 0 {
		return replicasManaged(o, strings.Join(managers, ", "), "", nil)
	}
	return nil
}

// mixed returns the Finding for a variable that is a value in one place and a reference in
// the other.
func (a *applier) mixed(o Object, v variable, managers []string) *pipeline.Finding {
	path := strings.TrimSuffix(strings.TrimSuffix(v.live, ".value"), ".valueFrom")
	kind := "a value"
	if strings.HasSuffix(v.live, ".valueFrom") {
		kind = "a reference (valueFrom)"
	}
	return &pipeline.Finding{
		Code:     CodeConflict,
		Severity: pipeline.Error,
		Where:    Where(o, path),
		What: fmt.Sprintf(
			"%s: variable %s of container %s has %s from another field manager, but the manifest sets it differently",
			nameOf(o.Unstructured),
			v.name,
			v.container,
			kind,
		),
		Why: "managed by " + strings.Join(
			managers,
			", ",
		),
		Fix: fmt.Sprintf("remove it with `kubectl set env %s %s-`, or take it with --force-conflicts", nameOf(o.Unstructured), v.name),
	}
}

// invalid returns one Finding for each field that the API server rejects.
func (a *applier) invalid(o Object, err error) (found []*pipeline.Finding) {
	name := nameOf(o.Unstructured)
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return []*pipeline.Finding{a.refused(o, "", name+" is not valid", shorten(line(err)), "correct the manifest", err)}
	}
	for _, c := range status.Status().Details.Causes {
		why := shorten(termtext.Line(c.Message))
		f := a.refused(o, c.Field, fmt.Sprintf("%s: %s is not valid", name, c.Field), why, "correct the manifest", err)
		switch {
		case strings.Contains(c.Message, "field is immutable"),
			c.Type == metav1.CauseTypeForbidden && strings.Contains(c.Message, "updates to"):
			f.Code = CodeImmutable
			f.What = fmt.Sprintf("%s: %s cannot be changed once the object exists", name, c.Field)
			f.Fix = fmt.Sprintf(
				"restore the old value, rename the object, or delete it first: `kubectl delete %s -n %s`",
				name,
				o.GetNamespace(),
			)
		case c.Type == metav1.CauseTypeFieldValueDuplicate && a.added(o, c.Field) != nil:
			f.What = fmt.Sprintf("%s has an entry in %s that the manifest does not contain, and that has the name of one in it",
				name, listOf(c.Field))
			f.Why = "an apply keeps what somebody else has added: " + strings.Join(a.added(o, c.Field), ", ")
			f.Fix = fmt.Sprintf("remove it from the live object (`kubectl edit %s -n %s`), or change the manifest accordingly",
				name, o.GetNamespace())
		case strings.Contains(c.Message, "may not be 0 when `maxSurge` is 0"):
			f.Code = CodeStrategy
			f.What = name + ": maxSurge and maxUnavailable are both 0, so no pod could ever be replaced"
			f.Fix = "set maxUnavailable: 1 (the old pod ends first) or maxSurge: 1 (the new one starts first)"
		}
		if !slices.ContainsFunc(found, func(have *pipeline.Finding) bool { return have.What == f.What && have.Why == f.Why }) {
			found = append(found, f)
		}
	}
	return found
}

// listOf returns the path of the list that has an element: spec.ports of spec.ports[1].name.
func listOf(field string) string {
	list, _, _ := strings.Cut(field, "[")
	return list
}

// added returns the elements of a list that others have added to the live object, each with
// its field manager.
func (a *applier) added(o Object, field string) (all []string) {
	if a.live == nil {
		return nil
	}
	for _, m := range a.live.GetManagedFields() {
		if m.Manager == cluster.FieldManager || m.Subresource != "" {
			continue
		}
		ownedBy(m).Iterate(func(p fieldpath.Path) {
			missing, ok := absent(o.Object, p)
			if !ok || !strings.HasPrefix(missing.String(), "."+listOf(field)+"[") {
				return
			}
			if one := strings.TrimPrefix(missing.String(), ".") + " of field manager " + m.Manager; !slices.Contains(all, one) {
				all = append(all, one)
			}
		})
	}
	return all
}

var (
	duplicateKey = regexp.MustCompile(`(\.[^\s:]+): duplicate entries for key \[name="([^"]+)"\]`)
	notInSchema  = regexp.MustCompile(`(\.[^\s:,]+): field not declared in schema`)
	unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)
)

// badPatch returns one Finding for each reason why the API server cannot parse the object.
func (a *applier) badPatch(o Object, err error) (found []*pipeline.Finding) {
	name, text := nameOf(o.Unstructured), err.Error()
	add := func(code pipeline.Code, path, what, why, fix string) {
		f := a.refused(o, path, what, why, fix, err)
		f.Code = code
		if !slices.ContainsFunc(found, func(have *pipeline.Finding) bool { return have.What == what }) {
			found = append(found, f)
		}
	}
	for _, m := range duplicateKey.FindAllStringSubmatch(text, -1) {
		at := fmt.Sprintf("%s[name=%q]", m[1], m[2])
		if strings.HasSuffix(m[1], ".env") {
			add(
				CodeEnvTwice,
				at,
				fmt.Sprintf("%s: variable %s is set twice", name, m[2]),
				"the API server accepts each name only once",
				"remove one of the two lines",
			)
			continue
		}
		add(
			CodeRefused,
			at,
			fmt.Sprintf("%s: %s has two entries named %s", name, m[1], m[2]),
			"each name may occur once",
			"remove one of the two",
		)
	}
	for _, re := range []*regexp.Regexp{notInSchema, unknownField} {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			field := strings.TrimPrefix(m[1], ".")
			add(
				CodeRefused,
				m[1],
				fmt.Sprintf("%s has no field %s", name, field),
				"the cluster's schema does not know it",
				"correct its name or its indentation, or remove it",
			)
		}
	}
	if len(found) == 0 {
		found = append(found, a.refused(o, "", name+" is not valid", shorten(line(err)), "correct the manifest", err))
	}
	return found
}

// maxValue is how much of a rejected value is shown, because the API server
// prints whole structs.
const maxValue = 80

// shorten shortens a long value in `Invalid value: VALUE: reason`.
func shorten(why string) string {
	head, rest, ok := strings.Cut(why, "Invalid value: ")
	if !ok || len(rest) <= maxValue {
		return why
	}
	i := strings.LastIndex(rest, ": ")
	if i < 0 {
		return head + "Invalid value: " + rest[:maxValue] + "…"
	}
	return head + "Invalid value: " + rest[i+len(": "):]
}

func unknownKind(u *unstructured.Unstructured, err error) error {
	if !isNoMatch(err) {
		return cluster.Explain("read the cluster's kinds", err)
	}
	return &pipeline.Finding{Code: CodeKind, Severity: pipeline.Error, Err: err,
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

func line(err error) string { return termtext.Line(err.Error()) }
