package kubecmd

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// status returns what `status -o json` prints.
func (w *world) status(code int, args ...string) (s statusDocument, codes []string) {
	w.Helper()
	out, _ := w.run(code, append([]string{"status", "--no-inngest", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		w.Fatalf("%v\n%s", err, out)
	}
	for _, f := range s.Head.Findings {
		codes = append(codes, f.Severity.String()+" "+string(f.Code))
	}
	return s, codes
}

// mayOnlyGet lets a user read the workload and nothing else.
func (w *world) mayOnlyGet(cluster int, user string) {
	w.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get"}}}}
	if _, err := w.kubes[cluster].RbacV1().Roles(w.ns).Create(w.Context(), role, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: user, APIGroup: rbacv1.GroupName}}}
	if _, err := w.kubes[cluster].RbacV1().RoleBindings(w.ns).Create(w.Context(), binding, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

func TestStatusComparesWhatRunsWithWhatWasShipped(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	s, codes := w.status(0)
	if !s.Well || len(codes) > 0 || s.Shipped != s.Image || s.LastRun == nil || s.LastRun.End != "done" || s.Receipt == "" ||
		s.Manifest == nil || len(s.Manifest.Differs) > 0 || s.Manifest.Image != s.Image {
		t.Errorf("%q %+v", codes, s)
	}
	if out, _ := w.run(0, "status", "--no-inngest"); !strings.Contains(out, "k8s/worker.yaml is what the cluster has") || !strings.Contains(out, "all is well") {
		t.Error(out)
	}

	// Only the file is changed: that may be the next version.
	file := w.read("k8s/worker.yaml")
	w.write("k8s/worker.yaml", strings.Replace(file, "readinessProbe: {httpGet: {port: 3111}}", "readinessProbe: {httpGet: {port: 3112}}", 1))
	if s, codes = w.status(0); !s.Well || !slices.Equal(codes, []string{"warning drift-manifest"}) || !slices.Equal(s.Manifest.Differs, []string{"deployment.apps/worker"}) {
		t.Errorf("%q %+v", codes, s.Manifest)
	}
	w.write("k8s/worker.yaml", file)

	// A user with only the get permission sees what could be read, and what could not.
	w.mayOnlyGet(0, "looker")
	w.until(func() bool { // the authorizer learns about roles asynchronously
		w.out.Reset()
		w.errs.Reset()
		return w.try("status", "--no-inngest", "--as", "looker") == 0
	})
	out := w.out.String()
	for _, want := range []string{"complete, 1 of 1 ready", "well, as far as it can be read", "last run", "k8s/worker.yaml names "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s\n%s", want, out, w.errs)
		}
	}
	for _, want := range []string{"cannot check the pods", "cannot check what the manifest would change", "cannot check whether somebody is rolling out"} {
		if !strings.Contains(w.errs.String(), want) {
			t.Errorf("%q is not in\n%s", want, w.errs)
		}
	}
	if out, errs := w.run(0, "history", "--as", "looker"); !strings.Contains(out, "done") || !strings.Contains(errs, "warning: ") {
		t.Errorf("history with only the get permission: %s\n%s", out, errs)
	}

	// Somebody else changes the image.
	w.patch(0, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"`+w.registry+`/o/w:new"}]}}}}`)
	w.until(func() bool {
		return w.deployment(0).Status.UpdatedReplicas == 1 && w.deployment(0).Status.Replicas == 1
	})
	if s, codes = w.status(1); s.Well || !slices.Equal(codes, []string{"error drift-image", "warning drift-manifest"}) {
		t.Errorf("%q %+v", codes, s)
	}
}

// What somebody has changed beside the image is part of the state, too.
func TestStatusReportsWhatSomebodyElseSet(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	// Without a number in the manifest, nothing else would report that no pod runs.
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "  replicas: 1\n", "", 1))
	for _, c := range []struct{ patch, back, code, out string }{
		{`{"spec":{"paused":true}}`, `{"spec":{"paused":null}}`, "warning paused", "is what the cluster has"},
		{`{"spec":{"replicas":0}}`, `{"spec":{"replicas":1}}`, "warning no-replicas", "is what the cluster has"},
		{`{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"HOTFIX","value":"1"}]}]}}}}`,
			`{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"HOTFIX","$patch":"delete"}]}]}}}}`,
			"note template-leftover", "does not contain everything that the cluster has"},
	} {
		w.patch(0, c.patch)
		w.until(func() bool { // the old pod may still be ending
			w.out.Reset()
			return w.try("status", "--no-inngest") == 0
		})
		if s, codes := w.status(0); !s.Well || !slices.Equal(codes, []string{c.code}) {
			t.Errorf("%s: %q", c.patch, codes)
		}
		if out, _ := w.run(0, "status", "--no-inngest"); !strings.Contains(out, c.out) {
			t.Errorf("%s: %s", c.patch, out)
		}
		w.patch(0, c.back)
	}
}

func TestStatusOfSeveralClusters(t *testing.T) {
	w := newWorld(t, 2)
	w.run(0, "rollout", "--contexts", "*", "--tag", "old", "--no-inngest")
	out, _ := w.run(0, "status", "--contexts", "*", "--no-inngest")
	if strings.Count(out, "   w:old   1/1     well      -\n") != 2 {
		t.Errorf("\n%s", out)
	}
	if err := w.kubes[1].AppsV1().Deployments(w.ns).Delete(t.Context(), "worker", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	out, _ = w.run(1, "status", "--contexts", "*", "--no-inngest")
	if !strings.Contains(out, "us        -       -       unknown   workload-unknown") {
		t.Errorf("\n%s", out)
	}
	out, _ = w.run(1, "status", "--contexts", "*", "--no-inngest", "-o", "json")
	var all statusDocument
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	if all.Well || len(all.Contexts) != 2 || !all.Contexts[0].Well || all.Contexts[1].Failed[0].Code != "workload-unknown" {
		t.Errorf("%+v", all)
	}
}
