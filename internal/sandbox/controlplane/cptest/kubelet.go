package cptest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Kubelet pretends to run the pods of a namespace until the test ends. The tag
// of a pod's first image decides what happens to the pod:
//
//	missing    its image cannot be pulled (ErrImagePull, not found)
//	crash      it has ended twice with exit code 1
//	slow       it runs and never becomes ready
//	pending    it stays pending
//	any other  it runs and is ready
//
// Pods get an address of this machine other than loopback, if it has one, so
// that the API server's proxy can reach a server of the test. A deleted pod
// disappears immediately.
func Kubelet(t testing.TB, kube kubernetes.Interface, namespace string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := play(ctx, kube, namespace); err != nil && ctx.Err() == nil {
				// The test may have stopped the API server on purpose.
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		}
	}()
}

func play(ctx context.Context, kube kubernetes.Interface, namespace string) error {
	pods := kube.CoreV1().Pods(namespace)
	list, err := pods.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		if err := act(ctx, kube, &list.Items[i]); err != nil {
			return err
		}
	}
	w, err := pods.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type == "DELETED" {
			continue
		}
		if err := act(ctx, kube, pod); err != nil {
			return err
		}
	}
	return nil
}

func act(ctx context.Context, kube kubernetes.Interface, pod *corev1.Pod) error {
	now := int64(0)
	pods := kube.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		if _, slow := pod.Annotations["cptest/slow-end"]; slow {
			return nil
		}
		return ignore(pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	}
	if len(pod.Status.ContainerStatuses) > 0 {
		return nil
	}
	status, ok := Status(pod)
	if !ok {
		return nil
	}
	if ip := hostIP(); ip != "" {
		status.PodIP, status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return ignore(err)
}

func ignore(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// Status returns the status that Kubelet gives a pod.
func Status(pod *corev1.Pod) (corev1.PodStatus, bool) {
	c := pod.Spec.Containers[0]
	name, digest, _ := strings.Cut(c.Image, "@")
	tag := name[strings.LastIndex(name, ":")+1:]
	if digest == "" {
		digest = "sha256:" + strings.Repeat("0", 64)
	}
	now := metav1.Now()
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image}
	status := corev1.PodStatus{
		Phase:      corev1.PodRunning,
		Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: now}
	switch tag {
	case "pending":
		return status, false
	case "missing":
		status.Phase = corev1.PodPending
		s.State.Waiting = &corev1.ContainerStateWaiting{
			Reason:  "ErrImagePull",
			Message: fmt.Sprintf("rpc error: code = NotFound desc = failed to pull and unpack image %q: %s: not found", c.Image, c.Image),
		}
	case "crash":
		end := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: now, FinishedAt: now}
		s.RestartCount = 2
		s.State.Terminated, s.LastTerminationState.Terminated = end, end
	case "slow":
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
	default:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(-time.Minute))}
		s.Ready, s.ImageID = true, "example.test/w@"+digest
		ready = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now}
	}
	status.Conditions = append(status.Conditions, ready)
	status.ContainerStatuses = []corev1.ContainerStatus{s}
	return status, true
}
