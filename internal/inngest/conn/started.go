package conn

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ServerStarted is when the Inngest server started: that of its pods which has run
// the longest, since the others may share its queue. Zero where the pods cannot be
// read, or the server is given by its URL.
func (c *Conn) ServerStarted(ctx context.Context) (oldest time.Time) {
	if c.server == nil {
		return oldest
	}
	kube, err := c.Cluster.Kube()
	if err != nil {
		return oldest
	}
	t := ServerTarget(c.Ref.Namespace, c.Worker.Inngest)
	service, err := kube.CoreV1().Services(t.Namespace).Get(ctx, t.Service, metav1.GetOptions{})
	if err != nil || len(service.Spec.Selector) == 0 {
		return oldest
	}
	ours := metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()}
	pods, err := kube.CoreV1().Pods(t.Namespace).List(ctx, ours)
	if err != nil {
		return oldest
	}
	for _, p := range pods.Items {
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
