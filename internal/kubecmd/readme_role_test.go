package kubecmd

import (
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// readmesRole returns the objects with which the README grants a team its permissions.
type readmesRole struct {
	role    rbacv1.Role
	binding rbacv1.RoleBinding
	nodes   rbacv1.ClusterRole
	bound   rbacv1.ClusterRoleBinding
}

func readRole(t *testing.T) (r readmesRole) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```yaml\napiVersion: rbac.authorization.k8s.io/v1\n")
	body, _, ok2 := strings.Cut(rest, "```")
	docs := strings.Split("apiVersion: rbac.authorization.k8s.io/v1\n"+body, "\n---\n")
	if !ok || !ok2 || len(docs) != 4 {
		t.Fatalf("the README should have four objects, a Role and a ClusterRole with their bindings, but has %d", len(docs))
	}
	for i, to := range []any{&r.role, &r.binding, &r.nodes, &r.bound} {
		if err := yaml.UnmarshalStrict([]byte(docs[i]), to); err != nil {
			t.Fatalf("document %d: %v", i+1, err)
		}
	}
	return r
}

// covers reports whether one of rules grants a permission.
func covers(rules []rbacv1.PolicyRule, r preflight.Right) bool {
	return slices.ContainsFunc(rules, func(p rbacv1.PolicyRule) bool {
		return slices.Contains(p.APIGroups, r.Group) && slices.Contains(p.Resources, r.Resource) && slices.Contains(p.Verbs, r.Verb)
	})
}

// TestTheReadmesRoleGivesWhatThePreflightAsksFor: the preflight refuses nobody who has
// the README's Role.
func TestTheReadmesRoleGivesWhatThePreflightAsksFor(t *testing.T) {
	r := readRole(t)
	asked := preflight.Rights(preflight.Needs{
		Workload: workload.Ref{Kind: workload.Deployment, Namespace: r.role.Namespace, Name: "w"},
		Objects:  preflight.ObjectRights("", "services", r.role.Namespace, "w"),
		Rollback: true, Probe: true, Service: "inngest-svc", Lock: true, ReadSecrets: true,
	})
	for _, right := range asked {
		rules := r.role.Rules
		if right.Namespace == "" {
			rules = r.nodes.Rules
		}
		if !covers(rules, right) {
			t.Errorf("the README's Role does not grant %s, to %s", right, right.For)
		}
	}
}

// TestTheReadmesRoleIsEnough: a user with no other permission can do everything.
func TestTheReadmesRoleIsEnough(t *testing.T) {
	w := newWorld(t, 1)
	r := readRole(t)
	r.role.Namespace, r.binding.Namespace = w.ns, w.ns
	r.nodes.Name, r.bound.Name, r.bound.RoleRef.Name = w.ns+"-nodes", w.ns+"-nodes", w.ns+"-nodes"
	user := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "alice"}}
	r.binding.Subjects, r.bound.Subjects = user, user
	rbac := w.kubes[0].RbacV1()
	_, err1 := rbac.Roles(w.ns).Create(t.Context(), &r.role, metav1.CreateOptions{})
	_, err2 := rbac.RoleBindings(w.ns).Create(t.Context(), &r.binding, metav1.CreateOptions{})
	_, err3 := rbac.ClusterRoles().Create(t.Context(), &r.nodes, metav1.CreateOptions{})
	_, err4 := rbac.ClusterRoleBindings().Create(t.Context(), &r.bound, metav1.CreateOptions{})
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// The preflight reads the secret with which the user's pods pull their image.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pull"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{}}`)}}
	if _, err := w.kubes[0].CoreV1().Secrets(w.ns).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "      terminationGrace", "      imagePullSecrets: [{name: pull}]\n      terminationGrace", 1))
	cp := cptest.Shared(t)
	path, err := cp.Kubeconfig("alice")
	if err != nil {
		t.Fatal(err)
	}
	w.kubeconfig = path
	// The authorizer learns about the Role through its own watch.
	alice, err := cptest.Connect(t, cp, "alice", w.ns).Kube()
	if err != nil {
		t.Fatal(err)
	}
	w.until(func() bool {
		_, err1 := alice.AppsV1().Deployments(w.ns).List(t.Context(), metav1.ListOptions{})
		_, err2 := alice.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		return err1 == nil && err2 == nil
	})
	if _, err := alice.CoreV1().ConfigMaps(w.ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{}); err == nil {
		t.Fatal("this user may do anything: the test proves nothing")
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"doctor", "--tag", "old", "--no-inngest"}},
		{0, []string{"rollout", "--tag", "old", "--no-inngest"}},
		{0, []string{"rollout", "--tag", "new", "--no-inngest", "--diff"}},
		{4, []string{"rollout", "--tag", "crash", "--no-inngest"}},
		{0, []string{"undo", "--no-inngest"}},
		{0, []string{"history"}},
		{0, []string{"rollout", "--tag", "newer", "--no-inngest", "--dry-run=server", "--diff"}},
	} {
		w.run(c.code, c.args...)
		for _, word := range []string{"no right to", "forbidden", "Forbidden"} {
			if strings.Contains(w.errs.String(), word) {
				t.Errorf("%v: %s", c.args, w.errs)
			}
		}
	}
}
