package handover_test

import (
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestSwitchWaitsForEndpoints: the controller that writes endpoints is late, and a switch is
// over only when the old pods are no longer published. The test is that controller: its
// control plane runs none.
func TestSwitchWaitsForEndpoints(t *testing.T) {
	b := newBench(t, "")
	old := b.slice(b.old)
	b.ready(b.held("x/w:2"))
	pinned := make(chan string, len(names))
	b.run.Reporter = pipeline.NewReporter("handover", pipeline.SinkFunc(func(e pipeline.Event) {
		if strings.Contains(e.Text, "points to") {
			pinned <- e.Text
		}
	}))
	var changed atomic.Bool
	switched := make(chan error, 1)
	go func() {
		err := b.run.Switch(t.Context(), b.version(), nil)
		if err == nil && !changed.Load() {
			t.Error("the switch ended while the old pods were published")
		}
		switched <- err
	}()
	for range names {
		<-pinned
	}
	// One of the two pods leaves first, which is not enough.
	b.unready(old, 0)
	changed.Store(true)
	b.unready(old, 1)
	if err := <-switched; err != nil {
		t.Fatal(err)
	}
}

// slice publishes the pods of a version under the Service worker.
func (b *bench) slice(version string) *discoveryv1.EndpointSlice {
	b.Helper()
	pods, err := b.kube.CoreV1().Pods(b.ns).List(b.Context(), metav1.ListOptions{LabelSelector: "pod-template-hash=" + version})
	if err != nil {
		b.Fatal(err)
	}
	yes := true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "worker-1", Labels: map[string]string{discoveryv1.LabelServiceName: "worker"}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for i, pod := range pods.Items {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{[]string{"10.1.0.1", "10.1.0.2"}[i]},
			Conditions: discoveryv1.EndpointConditions{Ready: &yes},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: pod.Name, UID: pod.UID},
		})
	}
	slice, err = b.kube.DiscoveryV1().EndpointSlices(b.ns).Create(b.Context(), slice, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return slice
}

// unready publishes an endpoint of a slice as not ready.
func (b *bench) unready(slice *discoveryv1.EndpointSlice, i int) {
	b.Helper()
	patch := []byte(`[{"op":"replace","path":"/endpoints/` + []string{"0", "1"}[i] + `/conditions/ready","value":false}]`)
	if _, err := b.kube.DiscoveryV1().EndpointSlices(b.ns).Patch(b.Context(), slice.Name, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		b.Fatal(err)
	}
}
