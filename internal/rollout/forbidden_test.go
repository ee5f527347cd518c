package rollout

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestJoinForbidden(t *testing.T) {
	forbidden := func(code pipeline.Code, severity pipeline.Severity, what, group, resource string) *pipeline.Finding {
		return &pipeline.Finding{Code: code, Severity: severity, What: what, Err: apierrors.NewForbidden(schema.GroupResource{Group: group, Resource: resource}, "x", nil)}
	}
	rbac := func(severity pipeline.Severity) *pipeline.Finding {
		return &pipeline.Finding{Code: preflight.CodeRBAC, Severity: severity, What: "rbac", Err: preflight.MissingRights{
			{Group: "apps", Resource: "deployments", Verb: "get"}, {Resource: "serviceaccounts", Verb: "get"}, {Resource: "resourcequotas", Verb: "list"}}}
	}
	read := forbidden(cluster.CodeForbidden, pipeline.Error, "read", "apps", "deployments")
	other := forbidden(cluster.CodeForbidden, pipeline.Error, "other", "apps", "statefulsets")
	accounts := forbidden(CodeNotChecked, pipeline.Note, "cannot check accounts", "", "serviceaccounts")
	quotas := forbidden(CodeNotChecked, pipeline.Note, "cannot check quotas", "", "resourcequotas")
	nodes := forbidden(CodeNotChecked, pipeline.Note, "cannot check nodes", "", "nodes")
	unrelated := &pipeline.Finding{Code: "x", Severity: pipeline.Error, What: "unrelated"}
	for name, tc := range map[string]struct {
		found []*pipeline.Finding
		want  string
	}{
		"what the Role grants":      {[]*pipeline.Finding{read, rbac(pipeline.Error)}, "rbac"},
		"what it does not grant":    {[]*pipeline.Finding{other, rbac(pipeline.Error)}, "other|rbac"},
		"one note":                  {[]*pipeline.Finding{accounts, rbac(pipeline.Error), quotas, nodes}, "cannot check accounts, quotas|rbac|cannot check nodes"},
		"a warning refuses nothing": {[]*pipeline.Finding{read, accounts, quotas, rbac(pipeline.Warning)}, "read|cannot check accounts|cannot check quotas|rbac"},
		"nobody knows of rights":    {[]*pipeline.Finding{read, accounts, unrelated}, "read|cannot check accounts|unrelated"},
		"unrelated":                 {[]*pipeline.Finding{unrelated, rbac(pipeline.Error)}, "unrelated|rbac"},
	} {
		var got []string
		for _, f := range joinForbidden(tc.found) {
			got = append(got, f.What)
		}
		if strings.Join(got, "|") != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if accounts.What != "cannot check accounts" {
		t.Error("joinForbidden changed a finding that it was given")
	}
}
