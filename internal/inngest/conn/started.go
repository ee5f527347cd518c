package conn

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ServerStarted returns when the Inngest server started, by its own clock. If it has
// several pods, the one that has run the longest counts, because the others may share
// its queue. The time is zero if the pods cannot be read, or the server is given by its
// URL.
func (c *Conn) ServerStarted(ctx context.Context) time.Time {
	if c.server == nil {
		return time.Time{}
	}
	kube, err := c.Cluster.Kube()
	if err != nil {
		return time.Time{}
	}
	t := ServerTarget(c.Ref.Namespace, c.Worker.Inngest)
	service, err := kube.CoreV1().Services(t.Namespace).Get(ctx, t.Service, metav1.GetOptions{})
	if err != nil || len(service.Spec.Selector) == 0 {
		return time.Time{}
	}
	ours := metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()}
	pods, err := kube.CoreV1().Pods(t.Namespace).List(ctx, ours)
	if err != nil {
		return time.Time{}
	}
	return c.OnServer(ctx, oldestStart(pods.Items))
}

// oldestStart is when the containers of the pod that has run the longest had all
// started.
func oldestStart(pods []corev1.Pod) (oldest time.Time) {
	for _, p := range pods {
		var began time.Time
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Running != nil && s.State.Running.StartedAt.After(began) {
				began = s.State.Running.StartedAt.Time
			}
		}
		if !began.IsZero() && (oldest.IsZero() || began.Before(oldest)) {
			oldest = began
		}
	}
	return oldest
}
