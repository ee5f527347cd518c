package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Right is one thing that a later step does.
type Right struct {
	Verb        string
	Group       string
	Resource    string // with its subresource: pods/proxy
	Name        string // empty: any
	Namespace   string // empty: cluster-wide
	For         string // the step that needs it
	Optional    bool   // without it something is lost, not everything
	Alternative string // rights with the same Alternative: one of them is enough
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

// Needs says what a rollout will do.
type Needs struct {
	Workload workload.Ref
	// Objects of the manifest besides the workload: group and resource.
	Objects  []Right
	Rollback bool
	Probe    bool
	// Service that is forwarded to; none with an URL.
	Service string
	// ServiceNamespace is where; the workload's when empty.
	ServiceNamespace string
	Lock             bool
	ReadSecrets      bool // pull secret and signing key
}

// Rights lists what a rollout needs.
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
	add("", "events", "", "causes that show in events alone", true, "list", "watch")
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
			Right{Verb: "get", Resource: "services", Name: n.Service, Namespace: svc, For: "reach Inngest"},
			Right{Verb: "list", Resource: "pods", Namespace: svc, For: "reach Inngest"},
			Right{Verb: "create", Resource: "pods/portforward", Namespace: svc, For: "reach Inngest"})
	}
	if n.ReadSecrets {
		add("", "secrets", "", "pull secret and signing key", true, "get")
	}
	all = append(all, Right{Verb: "list", Resource: "nodes", For: "compare the image's platform with the nodes", Optional: true})
	return append(all, n.Objects...)
}

// Access asks for each right, side by side. Findings: rbac (Error, or Warning
// where the right is optional). rights with a common Alternative are missing
// only together.
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
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: r.Namespace, Verb: r.Verb, Group: r.Group, Resource: resource, Subresource: sub, Name: r.Name},
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
		if f := unread("rights (SelfSubjectAccessReview)", err); f != nil {
			return []*pipeline.Finding{f}, nil
		}
		if err != nil {
			return nil, cluster.Explain("ask for rights", err)
		}
	}
	enough := map[string]bool{}
	for i, r := range rights {
		enough[r.Alternative] = enough[r.Alternative] || allowed[i]
	}
	return denied(rights, allowed, enough), nil
}

// denied makes one Finding for each step that lacks rights.
func denied(rights []Right, allowed []bool, enough map[string]bool) []*pipeline.Finding {
	type step struct {
		what, namespace string
		optional        bool
	}
	var order []step
	missing := map[step][]string{}
	for i, r := range rights {
		if allowed[i] || r.Alternative != "" && enough[r.Alternative] {
			continue
		}
		s := step{r.For, r.Namespace, r.Optional}
		if !slices.Contains(order, s) {
			order = append(order, s)
		}
		if text := r.String(); !slices.Contains(missing[s], text) {
			missing[s] = append(missing[s], text)
		}
	}
	var found []*pipeline.Finding
	for _, s := range order {
		severity, fix := pipeline.Error, "ask the cluster's administrator for these rights"
		if s.optional {
			severity, fix = pipeline.Warning, "goes on without; ask for these rights to have it"
		}
		where := "namespace " + s.namespace
		if s.namespace == "" {
			where = "the whole cluster"
		}
		found = append(found, finding(severity, "rbac", where, "no right to "+s.what, "denied: "+strings.Join(missing[s], ", "), fix))
	}
	return found
}

// ObjectRights are the rights to apply one more object.
func ObjectRights(group, resource, namespace, name string) []Right {
	var all []Right
	for _, verb := range []string{"get", "patch"} {
		all = append(all, Right{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name, For: fmt.Sprintf("apply %s/%s", resource, name)})
	}
	return all
}
