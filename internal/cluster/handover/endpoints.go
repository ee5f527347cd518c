package handover

import (
	"context"
	"errors"
	"slices"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// endpointsLimit is how long reached waits. The controller that writes endpoints takes
// milliseconds, unless it is overloaded.
const endpointsLimit = 10 * time.Second

// errStillPublished ends a wait that took too long.
var errStillPublished = errors.New("after " + endpointsLimit.String() + ", they are still those before the switch")

// reached waits until the endpoints of a Service, whose selector has just been changed, no
// longer contain certain pods. Only then does the time count that kube-proxy needs to follow
// (Settle), because the controller that writes the endpoints may be late. If that cannot be
// seen, for example because nobody allows it, nothing but the time is left.
func (r *Run) reached(ctx context.Context, service string, pods map[types.UID]bool) {
	limited, cancel := context.WithTimeoutCause(ctx, endpointsLimit, errStillPublished)
	defer cancel()
	if err := r.leave(limited, service, pods); err != nil && ctx.Err() == nil {
		r.Reporter.Detailf("cannot see when the endpoints of service/%s change: %s", service, err)
	}
}

// leave waits until no EndpointSlice of a Service contains one of the pods as ready.
func (r *Run) leave(ctx context.Context, service string, pods map[types.UID]bool) error {
	all := r.kube.DiscoveryV1().EndpointSlices(r.Ref.Namespace)
	of := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service}
	for {
		list, err := all.List(ctx, of)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(list.Items, func(s discoveryv1.EndpointSlice) bool { return publishes(s.Endpoints, pods) }) {
			return nil
		}
		changes := of
		changes.ResourceVersion = list.ResourceVersion
		w, err := all.Watch(ctx, changes)
		if err != nil {
			return err
		}
		select {
		case <-w.ResultChan():
		case <-ctx.Done():
		}
		w.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// publishes reports whether one of the pods is a ready endpoint. An endpoint whose state is
// not known counts as ready, as it does for kube-proxy.
func publishes(endpoints []discoveryv1.Endpoint, pods map[types.UID]bool) bool {
	return slices.ContainsFunc(endpoints, func(e discoveryv1.Endpoint) bool {
		return e.TargetRef != nil && pods[e.TargetRef.UID] && (e.Conditions.Ready == nil || *e.Conditions.Ready)
	})
}
