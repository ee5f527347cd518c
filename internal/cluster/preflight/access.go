package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Right is a permission that a later step needs.
type Right struct {
	Verb        string
	Group       string
	Resource    string // including its subresource: pods/proxy
	Name        string // empty: any
	Namespace   string // empty: cluster-wide
	For         string // the step that needs the permission
	Optional    bool   // the rollout works without it, but loses something
	Alternative string // of several rights with the same Alternative, one is enough
	// Extra rights are listed in the Role that is requested if others are missing, and
	// are never reported on their own.
	Extra bool
}

func (r Right) String() string {
	resource := r.Resource
	if r.Group != "" {
		resource += "." + r.Group
	}
	if r.Name != "" {
		resource += "/" + r.Name
	}
	return r.Verb + " " + resource
}

// Needs describes what a rollout will do.
type Needs struct {
	Workload workload.Ref
	// Objects in the manifest besides the workload: group and resource.
	Objects  []Right
	Rollback bool
	Probe    bool
	// Service is the Service that is forwarded to; empty if a URL is used.
	Service string
	// ServiceNamespace is its namespace; if empty, the workload's.
	ServiceNamespace string
	// OtherRoute means that there may be a route other than a port-forward.
	OtherRoute  bool
	Lock        bool
	ReadSecrets bool // to read the pull secret and the signing key
}

// Rights lists the permissions that a rollout needs.
func Rights(n Needs) []Right {
	ns, name, resource := n.Workload.Namespace, n.Workload.Name, n.Workload.Resource().Resource
	var all []Right
	add := func(group, resource, name, purpose string, optional bool, verbs ...string) {
		for _, v := range verbs {
			all = append(all, Right{Verb: v, Group: group, Resource: resource, Name: name, Namespace: ns, For: purpose, Optional: optional})
		}
	}
	add("apps", resource, name, "apply", false, "get", "patch")
	add("apps", resource, "", "watch", false, "list", "watch")
	if n.Workload.Kind == workload.Deployment {
		add("apps", "replicasets", "", "watch", false, "list", "watch")
	} else {
		add("apps", "controllerrevisions", "", "watch", false, "list", "watch")
	}
	add("", "pods", "", "watch", false, "list", "watch")
	add("", "events", "", "causes that only show in events", true, "list", "watch")
	add("", "pods/log", "", "logs of failing pods", true, "get")
	if n.Probe {
		add("", "pods/proxy", "", "probe", false, "get")
		add("", "pods/portforward", "", "probe", false, "create")
		for i := len(all) - 2; i < len(all); i++ {
			all[i].Alternative = "probe"
		}
	}
	if n.Lock {
		add("coordination.k8s.io", "leases", "", "lock", false, "create")
		add("coordination.k8s.io", "leases", lock.Name(n.Workload), "lock", false, "get", "update")
		add("coordination.k8s.io", "leases", lock.Name(n.Workload), "lock", true, "delete", "watch")
	}
	if n.Service != "" {
		svc := n.ServiceNamespace
		if svc == "" {
			svc = ns
		}
		all = append(all,
			Right{Verb: "get", Resource: "services", Name: n.Service, Namespace: svc, For: "reach Inngest", Extra: n.OtherRoute},
			Right{Verb: "list", Resource: "pods", Namespace: svc, For: "reach Inngest", Extra: n.OtherRoute},
			Right{Verb: "create", Resource: "pods/portforward", Namespace: svc, For: "reach Inngest", Extra: n.OtherRoute})
	}
	// What the preflight reads; if it may not, it reports that as not checked. Without the
	// endpoints, a switch relies on the time alone.
	for _, r := range []Right{
		{Verb: "get", Resource: "serviceaccounts"},
		{Verb: "list", Resource: "services"},
		{Verb: "list", Resource: "resourcequotas"},
		{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", For: "see when a switch has reached the endpoints"},
		{Verb: "watch", Group: "discovery.k8s.io", Resource: "endpointslices", For: "see when a switch has reached the endpoints"},
	} {
		r.Namespace, r.Extra, r.For = ns, true, cmp.Or(r.For, "check before the change")
		all = append(all, r)
	}
	if n.ReadSecrets {
		add("", "secrets", "", "pull secret and signing key", true, "get")
	}
	all = append(all, Right{Verb: "list", Resource: "nodes", For: "compare the image's platform with the nodes", Optional: true})
	return append(all, n.Objects...)
}

// CodeRBAC is reported when permissions are missing.
const CodeRBAC pipeline.Code = "rbac"

// MissingRights is the error in a Finding of CodeRBAC.
type MissingRights []Right

func (m MissingRights) Error() string {
	return units.Count(len(m), "permission is missing", "permissions are missing")
}

// Explain reports whether a permission in m is the reason why the API server refused a request.
func (m MissingRights) Explain(err error) bool {
	var answer apierrors.APIStatus
	if !apierrors.IsForbidden(err) || !errors.As(err, &answer) || answer.Status().Details == nil {
		return false
	}
	d := answer.Status().Details
	return slices.ContainsFunc(m, func(r Right) bool { return r.Group == d.Group && r.Resource == d.Kind })
}

// Access checks all rights concurrently. If some are missing, the result is one Finding
// (rbac) whose Evidence contains a Role to apply. It is an Error, or a Warning if only
// optional rights are missing. Rights with a common Alternative count as missing only if
// all of them are.
func Access(ctx context.Context, kube kubernetes.Interface, rights []Right) ([]*pipeline.Finding, error) {
	allowed, errs := make([]bool, len(rights)), make([]error, len(rights))
	reasons := make([]string, len(rights))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, r := range rights {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			resource, sub, _ := strings.Cut(r.Resource, "/")
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace:   r.Namespace,
					Verb:        r.Verb,
					Group:       r.Group,
					Resource:    resource,
					Subresource: sub,
					Name:        r.Name,
				},
			}}
			answer, err := kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				errs[i] = err
				return
			}
			allowed[i], reasons[i] = answer.Status.Allowed, answer.Status.Reason
		})
	}
	wg.Wait()
	for _, err := range errs {
		if f := unread("your permissions (SelfSubjectAccessReview)", err); f != nil {
			return []*pipeline.Finding{f}, nil
		}
		if err != nil {
			return nil, cluster.Explain("check your permissions", err)
		}
	}
	enough := map[string]bool{}
	for i, r := range rights {
		enough[r.Alternative] = enough[r.Alternative] || allowed[i]
	}
	return denied(rights, allowed, enough), nil
}

// denied returns one Finding for everything that is missing.
func denied(rights []Right, allowed []bool, enough map[string]bool) []*pipeline.Finding {
	var missing []Right
	var steps, optional []string
	for i, r := range rights {
		if allowed[i] || r.Alternative != "" && enough[r.Alternative] {
			continue
		}
		missing = append(missing, r)
		if r.Extra {
			continue
		}
		list := &steps
		if r.Optional {
			list = &optional
		}
		if !slices.Contains(*list, r.For) {
			*list = append(*list, r.For)
		}
	}
	optional = slices.DeleteFunc(optional, func(step string) bool { return slices.Contains(steps, step) })
	if len(steps)+len(optional) == 0 {
		return nil
	}
	if len(steps) > 0 {
		// Requesting one Role is enough: the permission to list nodes is not essential.
		missing = slices.DeleteFunc(missing, func(r Right) bool { return r.Optional && r.Namespace == "" })
	}
	f := finding(pipeline.Error, CodeRBAC, "", "you lack permissions that this rollout needs: "+strings.Join(steps, ", "), "",
		"ask the cluster's administrator to apply these rules and bind them to you (`kubectl create rolebinding`)")
	if len(steps) == 0 {
		f.Severity = pipeline.Warning
		f.What = "you lack permissions that would help this rollout: " + strings.Join(optional, ", ")
		f.Why = "the rollout works without them"
	} else if len(optional) > 0 {
		f.Why = "these are useful, but not essential: " + strings.Join(optional, ", ")
	}
	f.Where = scopes(missing)
	f.Evidence, f.Err = roleFor(missing), MissingRights(missing)
	return []*pipeline.Finding{f}
}

func scopes(rights []Right) string {
	var all []string
	for _, r := range rights {
		where := "namespace " + r.Namespace
		if r.Namespace == "" {
			where = "the whole cluster"
		}
		if !slices.Contains(all, where) {
			all = append(all, where)
		}
	}
	return strings.Join(all, ", ")
}

// roleFor returns rules that grant rights, as YAML: a Role for each namespace, and a
// ClusterRole for rights without a namespace. Rights to the same resource share a rule.
func roleFor(rights []Right) (lines []string) {
	var namespaces []string
	for _, r := range rights {
		if !slices.Contains(namespaces, r.Namespace) {
			namespaces = append(namespaces, r.Namespace)
		}
	}
	for i, ns := range namespaces {
		if i > 0 {
			lines = append(lines, "---")
		}
		kind, where := "Role", ", namespace: "+ns
		if ns == "" {
			kind, where = "ClusterRole", ""
		}
		lines = append(lines, "apiVersion: rbac.authorization.k8s.io/v1", "kind: "+kind, "metadata: {name: kubectl-sbw"+where+"}", "rules:")
		type rule struct{ group, resource, name string }
		verbs := map[rule][]string{}
		var order []rule
		for _, r := range rights {
			if r.Namespace != ns {
				continue
			}
			k := rule{r.Group, r.Resource, r.Name}
			if verbs[k] == nil {
				order = append(order, k)
			}
			if !slices.Contains(verbs[k], r.Verb) {
				verbs[k] = append(verbs[k], r.Verb)
			}
		}
		for _, k := range order {
			names := ""
			if k.name != "" {
				names = fmt.Sprintf(", resourceNames: [%s]", k.name)
			}
			lines = append(
				lines,
				fmt.Sprintf("- {apiGroups: [%q], resources: [%s]%s, verbs: [%s]}", k.group, k.resource, names, strings.Join(verbs[k], ", ")),
			)
		}
	}
	return lines
}

// ObjectRights returns the permissions to apply one more object.
func ObjectRights(group, resource, namespace, name string) []Right {
	var all []Right
	for _, verb := range []string{"get", "patch"} {
		all = append(
			all,
			Right{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name, For: fmt.Sprintf("apply %s/%s", resource, name)},
		)
	}
	return all
}
