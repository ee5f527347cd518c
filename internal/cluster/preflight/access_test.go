package preflight

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

func TestAccess(t *testing.T) {
	deny := map[string]bool{}
	c := fake.NewClientset()
	c.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		at := r.Spec.ResourceAttributes
		res := at.Resource
		if at.Subresource != "" {
			res += "/" + at.Subresource
		}
		r.Status.Allowed = !deny[at.Verb+" "+res]
		return true, r, nil
	})
	rights := Rights(Needs{Workload: workload.Ref{Kind: "Deployment", Namespace: "ns", Name: "w"}, Probe: true, Lock: true, Service: "inngest-svc", ReadSecrets: true,
		Objects: ObjectRights("", "services", "ns", "w")})
	tests := []struct {
		deny []string
		want []string
	}{
		{nil, nil},
		{[]string{"patch deployments"}, []string{"error rbac apply"}},
		{[]string{"get pods/proxy"}, nil}, // port-forward is enough
		{[]string{"get pods/proxy", "create pods/portforward"}, []string{"error rbac probe, reach Inngest"}},
		{[]string{"list nodes", "get secrets", "get pods/log"}, []string{"warning rbac logs of failing pods, pull secret and signing key, compare the image's platform with the nodes"}},
		{[]string{"create leases", "update leases"}, []string{"error rbac lock"}},
		{[]string{"patch services"}, []string{"error rbac apply services/w"}},
		{[]string{"patch services", "list nodes", "get secrets", "create leases"}, []string{"error rbac lock, apply services/w"}},
	}
	for _, tt := range tests {
		clear(deny)
		for _, d := range tt.deny {
			deny[d] = true
		}
		found, err := Access(t.Context(), c, rights)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			_, steps, _ := strings.Cut(f.What, ": ")
			got = append(got, f.Severity.String()+" "+string(f.Code)+" "+steps)
			if len(f.Evidence) < 5 || f.Fix == "" {
				t.Errorf("no Role to apply: %+v", f)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v: %s", tt.deny, diff)
		}
	}
	forbid(c, "create", "selfsubjectaccessreviews")
	if found, err := Access(t.Context(), c, rights); err != nil || strings.Join(brief(found), "") != "note preflight-blind" {
		t.Error(found, err)
	}
}

func TestAccessEndsWithContext(t *testing.T) {
	c := fake.NewClientset()
	c.PrependReactor("create", "selfsubjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, context.DeadlineExceeded
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Access(ctx, c, []Right{{Verb: "get", Resource: "pods"}}); err == nil {
		t.Fatal("a missing answer does not count as permission")
	}
}

// Applying the printed Role grants exactly the rights that were missing.
func TestRoleGrantsWhatIsMissing(t *testing.T) {
	rights := Rights(Needs{Workload: workload.Ref{Kind: "Deployment", Namespace: "ns", Name: "w"}, Probe: true, Lock: true,
		Service: "inngest-svc", ServiceNamespace: "inngest", ReadSecrets: true, Objects: ObjectRights("apps", "statefulsets", "ns", "db")})
	want := map[string]bool{}
	for _, r := range rights {
		want[r.Namespace+" "+r.Verb+" "+r.Group+" "+r.Resource+" "+r.Name] = true
	}
	got := map[string]bool{}
	for _, doc := range strings.Split(strings.Join(roleFor(rights), "\n"), "\n---\n") {
		var role rbacv1.Role
		if err := yaml.UnmarshalStrict([]byte(doc), &role); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if (role.Kind == "ClusterRole") != (role.Namespace == "") {
			t.Errorf("%s in namespace %q", role.Kind, role.Namespace)
		}
		for _, rule := range role.Rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, verb := range rule.Verbs {
				got[role.Namespace+" "+verb+" "+rule.APIGroups[0]+" "+rule.Resources[0]+" "+names[0]] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
