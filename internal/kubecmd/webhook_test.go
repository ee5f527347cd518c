package kubecmd

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// webhook registers a mutating webhook of the world's namespace, whose server runs in this
// test. answer returns a JSON patch for an object, or a reason to refuse it.
func (w *world) webhook(group, resource string, answer func(object []byte) (patch, refusal string)) {
	w.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		patch, refusal := answer(review.Request.Object.Raw)
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: refusal == ""}
		if refusal != "" {
			review.Response.Result = &metav1.Status{Message: refusal}
		} else if patch != "" {
			kind := admissionv1.PatchTypeJSONPatch
			review.Response.Patch, review.Response.PatchType = []byte(patch), &kind
		}
		review.Request = nil
		_ = json.NewEncoder(rw).Encode(review) // the API server reports what is missing
	}))
	w.Cleanup(server.Close)
	fail, none := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	config := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Webhooks: []admissionregistrationv1.MutatingWebhook{{
		Name: "hook.example.com", FailurePolicy: &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.ns}},
		Rules: []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule: admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}}}},
	}}}
	api := w.kubes[0].AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := api.Create(w.Context(), config, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := api.Delete(w.T.Context(), w.ns, metav1.DeleteOptions{}); err != nil && w.T.Context().Err() == nil {
			w.Error(err)
		}
	})
}

// effective waits until the API server asks the webhook: a dry run shows its effect.
func (w *world) effective(changed func(*appsv1.Deployment, error) bool) {
	w.Helper()
	w.until(func() bool {
		d := w.deployment(0)
		d.ResourceVersion, d.Name, d.UID = "", "probe", ""
		d, err := w.kubes[0].AppsV1().Deployments(w.ns).Create(w.Context(), d, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return changed(d, err)
	})
}

const mesh = `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"mesh-proxy","image":"example.test/proxy:1"}}]`

// TestAnInjectedSidecar: a webhook adds a container to the Deployment itself. Rollouts
// succeed and fail as without it, and do not call it a leftover.
func TestAnInjectedSidecar(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.webhook("apps", "deployments", func(object []byte) (string, string) {
		if strings.Contains(string(object), "mesh-proxy") {
			return "", ""
		}
		return mesh, ""
	})
	w.effective(func(d *appsv1.Deployment, err error) bool {
		return err == nil && len(d.Spec.Template.Spec.Containers) == 2
	})
	for _, tag := range []string{"new", "newer"} {
		_, out := w.runInterrupted("", nil, "rollout", "--tag", tag, "--no-inngest")
		if out.End != pipeline.Done || w.tag(0) != tag || slices.Contains(codes(out), apply.CodeLeftover) || slices.Contains(codes(out), verdict.CodeContested) {
			t.Fatalf("%s: %s, runs %s: %v", tag, out.End.Word(), w.tag(0), out.All())
		}
		if n := len(w.deployment(0).Spec.Template.Spec.Containers); n != 2 {
			t.Fatalf("%d containers", n)
		}
	}
	_, out := w.runInterrupted("", nil, "rollout", "--tag", "crash", "--no-inngest")
	if out.End != pipeline.Restored || w.tag(0) != "newer" || len(w.deployment(0).Spec.Template.Spec.Containers) != 2 {
		t.Errorf("%s, runs %s: %v", out.End.Word(), w.tag(0), out.All())
	}
	w.run(0, "undo", "--no-inngest")
	w.clean()
}

// TestAWebhookThatRefuses: the preflight finds it, and nothing is changed.
func TestAWebhookThatRefuses(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	file, before := w.read("k8s/worker.yaml"), w.deployment(0).Generation
	w.webhook("apps", "deployments", func([]byte) (string, string) { return "", "images need a signature" })
	w.effective(func(_ *appsv1.Deployment, err error) bool { return err != nil })
	_, out := w.runInterrupted("", nil, "rollout", "--tag", "new", "--no-inngest")
	if out.End != pipeline.RefusedByPreflight || !slices.ContainsFunc(out.All(), func(f *pipeline.Finding) bool {
		return f.Code == apply.CodeRefused && strings.Contains(f.Why, "images need a signature")
	}) {
		t.Errorf("%s: %v", out.End.Word(), out.All())
	}
	if w.read("k8s/worker.yaml") != file || w.deployment(0).Generation != before {
		t.Error("something was changed")
	}
}

// TestAWebhookThatChangesTheImage: a mirror's webhook rewrites every image. What it made of
// ours is ours, and the rollout neither fights it nor calls it somebody else's version.
func TestAWebhookThatChangesTheImage(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.webhook("apps", "deployments", func(object []byte) (string, string) {
		var d appsv1.Deployment
		if err := json.Unmarshal(object, &d); err != nil {
			return "", err.Error()
		}
		image := d.Spec.Template.Spec.Containers[0].Image
		if strings.HasPrefix(image, "mirror.test/") {
			return "", ""
		}
		return `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"mirror.test/` + image + `"}]`, ""
	})
	w.effective(func(d *appsv1.Deployment, err error) bool {
		return err == nil && strings.HasPrefix(d.Spec.Template.Spec.Containers[0].Image, "mirror.test/")
	})
	_, out := w.runInterrupted("", nil, "rollout", "--tag", "new", "--no-inngest")
	if image := w.deployment(0).Spec.Template.Spec.Containers[0].Image; out.End != pipeline.Done || !strings.HasPrefix(image, "mirror.test/") || w.tag(0) != "new" {
		t.Fatalf("%s, runs %s: %v", out.End.Word(), image, out.All())
	}
	_, out = w.runInterrupted("", nil, "rollout", "--tag", "crash", "--no-inngest")
	if out.End != pipeline.Restored || w.tag(0) != "new" {
		t.Errorf("%s, runs %s: %v", out.End.Word(), w.tag(0), out.All())
	}
	w.clean()
}

// TestAMeshInjectsIntoPods: the pods have a container that no template has, as with Istio or
// Linkerd.
func TestAMeshInjectsIntoPods(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.webhook("", "pods", func(object []byte) (string, string) {
		if strings.Contains(string(object), "mesh-proxy") {
			return "", ""
		}
		return strings.Replace(mesh, "/spec/template", "", 1), ""
	})
	w.until(func() bool {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c"}}}}
		pod, err := w.kubes[0].CoreV1().Pods(w.ns).Create(w.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && len(pod.Spec.Containers) == 2
	})
	_, out := w.runInterrupted("", nil, "rollout", "--tag", "new", "--no-inngest")
	if out.End != pipeline.Done || w.tag(0) != "new" {
		t.Fatalf("%s, runs %s: %v", out.End.Word(), w.tag(0), out.All())
	}
}

// TestAnAutoscaler: a HorizontalPodAutoscaler exists, and the test writes to the scale
// subresource as its controller does. A manifest that sets replicas is refused, with force
// too, and one that does not leaves them alone.
func TestAnAutoscaler(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	least := int32(3)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "worker"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "worker"}, MinReplicas: &least, MaxReplicas: 5}}
	if _, err := w.kubes[0].AutoscalingV2().HorizontalPodAutoscalers(w.ns).Create(t.Context(), hpa, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// It is a patch, because the Deployment's controller may write its status at any moment.
	if _, err := w.kubes[0].AppsV1().Deployments(w.ns).Patch(t.Context(), "worker", types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, least), metav1.PatchOptions{FieldManager: "kube-controller-manager"}, "scale"); err != nil {
		t.Fatal(err)
	}
	w.until(func() bool {
		d := w.deployment(0)
		return *d.Spec.Replicas == least && d.Status.AvailableReplicas == least
	})
	for _, args := range [][]string{nil, {"--force-conflicts"}} {
		_, out := w.runInterrupted("", nil, append([]string{"rollout", "--tag", "new", "--no-inngest"}, args...)...)
		if out.End != pipeline.RefusedByPreflight || !slices.Contains(codes(out), apply.CodeReplicas) || *w.deployment(0).Spec.Replicas != least {
			t.Fatalf("%s: %v", out.End.Word(), out.All())
		}
	}
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "  replicas: 1\n", "", 1))
	for tag, end := range map[string]pipeline.End{"new": pipeline.Done, "crash": pipeline.Restored} {
		_, out := w.runInterrupted("", nil, "rollout", "--tag", tag, "--no-inngest")
		if out.End != end || *w.deployment(0).Spec.Replicas != least {
			t.Fatalf("%s: %s with %d: %v", tag, out.End.Word(), *w.deployment(0).Spec.Replicas, out.All())
		}
	}
}
