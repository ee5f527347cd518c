package kubecmd

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// readyPod returns a pod of w that is ready and not about to end, the youngest
// one: after a rollout that is a new one.
func readyPod(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) (string, error) {
	ref := w.Ref()
	pods, err := kube.CoreV1().Pods(ref.Namespace).List(ctx, metav1.ListOptions{LabelSelector: w.Selector().String()})
	if err != nil {
		return "", cluster.Explain("list the pods of "+ref.String(), err)
	}
	var best *corev1.Pod
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp == nil && podutils.IsPodReady(p) && (best == nil || best.CreationTimestamp.Before(&p.CreationTimestamp)) {
			best = p
		}
	}
	if best == nil {
		return "", &pipeline.Finding{Code: "worker-not-ready", Severity: pipeline.Error, Where: ref.Namespace + "/" + ref.String(),
			What: "no pod of the worker is ready", Why: fmt.Sprintf("%d pods, none ready", len(pods.Items)),
			Fix: "`kubectl sbw status` says what is wrong with it"}
	}
	return best.Name, nil
}
