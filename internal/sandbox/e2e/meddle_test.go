//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// other is the image that somebody else sets.
const other = standinImage + ":otherpage"

// setOther sets another image, as `kubectl set image` does.
func setOther(ctx context.Context, p *place) error {
	return p.patch(ctx, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"`+other+`"}]}}}}`)
}

// otherRuns checks that the other user's image is in the cluster, and in the
// manifest, which must name the image that runs.
func otherRuns(ctx context.Context, p *place) error {
	d, err := p.deployment(ctx)
	if err != nil {
		return err
	}
	if image := d.Spec.Template.Spec.Containers[0].Image; image != other {
		return fmt.Errorf("the other user's image is gone: %s", image)
	}
	text, err := p.manifest()
	if err == nil && !strings.Contains(string(text), `"`+other+`"`) {
		err = fmt.Errorf("the manifest names another image:\n%s", text)
	}
	return err
}

// overtake acts as a colleague with another checkout, who waits until the lock
// of the suspended run has expired and then rolls out another tag.
func overtake(ctx context.Context, p *place) error {
	colleague := *p
	colleague.dir = p.dir + "-colleague"
	for file, text := range map[string][]byte{".git/HEAD": nil, "worker.yaml": p.original} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(colleague.dir, file)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(colleague.dir, file), text, 0o644); err != nil {
			return err
		}
	}
	config, err := os.ReadFile(filepath.Join(p.dir, ".sbw.yaml"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(colleague.dir, ".sbw.yaml"), config, 0o644); err != nil {
		return err
	}
	r, err := colleague.kubectl(ctx, moment{}, nil, "rollout", "--tag", "better", "--no-inngest", "--lock-wait=90s")
	if err == nil && r.code != 0 {
		err = fmt.Errorf("the colleague's run ended with %d:\n%s", r.code, r.stderr)
	}
	return err
}

// preparations maps names to the objects that are applied to a namespace, whose name replaces
// NAMESPACE.
var preparations = map[string]string{
	"quota":         `{apiVersion: v1, kind: ResourceQuota, metadata: {name: full}, spec: {hard: {pods: "1"}}}`,
	"later":         `{apiVersion: v1, kind: Secret, metadata: {name: later}, stringData: {A: b}}`,
	"later-claim":   `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: later}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}`,
	"later-account": `{apiVersion: v1, kind: ServiceAccount, metadata: {name: later}}`,
	"policy": `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: standin}, spec: {
		matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]},
		validations: [{expression: "!object.spec.containers.exists(c, c.image.contains(':better'))", message: "nothing better"}]}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {name: standin}, spec: {
		policyName: standin, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}}}`,
}

func (p *place) prepare(ctx context.Context, what string) error {
	switch what {
	case "imagePullSecrets":
		p.original = []byte(strings.Replace(string(p.original), "      imagePullSecrets: [{name: ghcr-pull}]\n", "", 1))
		return nil
	case "pause":
		p.original = []byte(strings.Replace(string(p.original), "# spec\n", "paused: true\n", 1))
		return p.patch(ctx, `{"spec":{"paused":true}}`)
	case "host-port":
		const port = `ports: [{containerPort: 3111, hostPort: 18080}]`
		p.original = []byte(strings.Replace(string(p.original), "# container\n", port+"\n", 1))
		if err := p.patch(ctx, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","ports":[{"containerPort":3111,"hostPort":18080,"protocol":"TCP"}]}]}}}}`); err != nil {
			return err
		}
		p.replaced = true
		c, err := p.Cluster()
		if err == nil {
			_, err = c.Kubectl(ctx, "", "--namespace="+p.ns, "rollout", "status", "deployment/worker", "--timeout=60s")
		}
		return err
	case "restricted":
		_, err := p.kube.CoreV1().Namespaces().Patch(ctx, p.ns, types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{})
		return err
	}
	c, err := p.Cluster()
	if err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, strings.ReplaceAll(preparations[what], "NAMESPACE", p.ns), "--namespace="+p.ns, "apply", "-f", "-")
	if err != nil || what != "policy" {
		return err
	}
	return p.enforced(ctx)
}

// enforced waits until the API server enforces the policy. That takes a
// moment, and there is nothing to watch for it.
func (p *place) enforced(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "refused"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x:better"}}},
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := p.kube.CoreV1().Pods(p.ns).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), "nothing better") {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the policy is not enforced: %w (%w)", ctx.Err(), err)
		}
	}
}

// deleteLater deletes the objects that "later" created.
func deleteLater(ctx context.Context, p *place) error {
	now := int64(0)
	o := metav1.DeleteOptions{GracePeriodSeconds: &now}
	var errs []error
	for _, err := range []error{
		p.kube.CoreV1().Secrets(p.ns).Delete(ctx, "later", o),
		p.kube.CoreV1().ServiceAccounts(p.ns).Delete(ctx, "later", o),
		p.kube.CoreV1().PersistentVolumeClaims(p.ns).Delete(ctx, "later", o),
	} {
		if !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
