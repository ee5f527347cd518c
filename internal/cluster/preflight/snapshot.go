package preflight

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// snapshot reads once what a watch would read continuously.
func snapshot(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) (verdict.Snapshot, error) {
	s := verdict.Snapshot{Workload: w, Now: time.Now()}
	ns := w.Ref().Namespace
	o := metav1.ListOptions{LabelSelector: w.Selector().String()}
	if w.Deployment != nil {
		list, err := kube.AppsV1().ReplicaSets(ns).List(ctx, o)
		if err != nil {
			return s, err
		}
		for i := range list.Items {
			s.ReplicaSets = append(s.ReplicaSets, &list.Items[i])
		}
	} else {
		list, err := kube.AppsV1().ControllerRevisions(ns).List(ctx, o)
		if err != nil {
			return s, err
		}
		for i := range list.Items {
			s.Revisions = append(s.Revisions, &list.Items[i])
		}
	}
	pods, err := kube.CoreV1().Pods(ns).List(ctx, o)
	if err != nil {
		return s, err
	}
	for i := range pods.Items {
		s.Pods = append(s.Pods, &pods.Items[i])
	}
	return s, nil
}
