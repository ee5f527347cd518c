package preflight

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

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
		{[]string{"patch deployments"}, []string{"error rbac no right to apply"}},
		{[]string{"get pods/proxy"}, nil}, // port-forward does as well
		{[]string{"get pods/proxy", "create pods/portforward"}, []string{"error rbac no right to probe", "error rbac no right to reach Inngest"}},
		{[]string{"list nodes", "get secrets", "get pods/log"}, []string{"warning rbac no right to logs of failing pods", "warning rbac no right to pull secret and signing key", "warning rbac no right to compare the image's platform with the nodes"}},
		{[]string{"create leases", "update leases"}, []string{"error rbac no right to lock"}},
		{[]string{"patch services"}, []string{"error rbac no right to apply services/w"}},
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
			got = append(got, f.Severity.String()+" "+string(f.Code)+" "+f.What)
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
		t.Fatal("no answer is no permission")
	}
}
