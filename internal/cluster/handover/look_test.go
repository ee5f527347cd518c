package handover_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// grant gives a user permissions in the bench's namespace.
func (b *bench) grant(user string, rules ...rbacv1.PolicyRule) {
	b.Helper()
	rbac := b.kube.RbacV1()
	if _, err := rbac.Roles(b.ns).Create(b.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user}, Subjects: []rbacv1.Subject{{Kind: "User", Name: user, APIGroup: rbacv1.GroupName}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user}}
	if _, err := rbac.RoleBindings(b.ns).Create(b.Context(), binding, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	// The authorizer learns of the new role through a watch of its own.
	kube, err := cptest.Connect(b.T, cptest.Shared(b.T), user, b.ns).Kube()
	if err != nil {
		b.Fatal(err)
	}
	b.until(func() bool {
		_, err := kube.AppsV1().ReplicaSets(b.ns).List(b.Context(), metav1.ListOptions{})
		return err == nil
	})
}

// until waits for something that a controller or a cache of the API server does on its
// own and does not revert.
func (b *bench) until(done func() bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			b.Fatal("it did not happen in time")
		case <-tick.C:
		}
	}
}

func TestLook(t *testing.T) {
	b := newBench(t, "")
	live := &workload.Workload{Deployment: b.deployment()}
	next := &workload.Workload{Deployment: b.deployment()}
	next.Template().Spec.Containers[0].Image = "x/w:2"

	choose := func(user string) handover.Choice {
		t.Helper()
		kube, err := cptest.Connect(t, cptest.Shared(t), user, b.ns).Kube()
		if err != nil {
			t.Fatal(err)
		}
		s, err := handover.Look(t.Context(), kube, live, next)
		if err != nil {
			t.Fatal(err)
		}
		return handover.Choose(s)
	}
	if c := choose("admin"); c.Strategy != handover.StrategySwitch || c.Old != b.old || strings.Join(c.Services, " ") != "admin worker" || len(c.Notes) != 0 {
		t.Fatalf("%+v", c)
	}

	read := []string{"get", "list"}
	b.grant("alice", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services", "pods"}, Verbs: read},
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: read},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"patch"}, ResourceNames: []string{"admin"}})
	if c := choose("alice"); c.Strategy != handover.StrategyRolling || !strings.Contains(c.Reason, "patch Service worker") {
		t.Fatalf("%+v", c)
	}
	// What cannot be determined is reported, and never counts as absent.
	b.grant("bob", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services", "pods"}, Verbs: append(read, "patch")},
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: read})
	if c := choose("bob"); c.Strategy != handover.StrategySwitch || len(c.Notes) != 3 {
		t.Fatalf("%+v", c)
	}
	if c := choose("nobody"); c.Strategy != handover.StrategyRolling || !strings.Contains(c.Reason, "cannot be listed") {
		t.Fatalf("%+v", c)
	}

	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("3")}}}
	quota, err := b.kube.CoreV1().ResourceQuotas(b.ns).Create(t.Context(), quota, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.until(func() bool { // the controller has updated the counts
		q, err := b.kube.CoreV1().ResourceQuotas(b.ns).Get(t.Context(), quota.Name, metav1.GetOptions{})
		used := q.Status.Used["pods"]
		return err == nil && used.Value() == 2
	})
	if c := choose("admin"); c.Strategy != handover.StrategyRolling || !strings.Contains(c.Reason, "used 2 of 3") {
		t.Fatalf("%+v", c)
	}
}
