// Package handover replaces one version of a Deployment by the next without a
// request to a version that has not proven itself, and without ending a pod
// that still works on something: prove, then switch (blue-green).
//
// Choose decides whether that is possible. Then Hold pins the Services to the
// present version; the new template is applied together with the fields that
// Overlay adds; Ready waits for the new pods; after the caller has proven
// them, Switch pins the Services to the new version; and when Drain has seen
// the last old step end, Release gives everything back. SwitchBack and GoBack
// lead the other way.
//
// # How the new version is kept from serving
//
// The Services' selectors get the old version's pod-template-hash. The
// Deployment gets its new template together with minReadySeconds of a year and
// a maxSurge of 100 %, in one patch: the new ReplicaSet comes up whole and its
// pods turn Ready, but never count as available, so the controller does not
// touch the old ReplicaSet. Nothing is paused, and there is no moment between
// two patches in which a new pod could serve.
//
// A year, because the hold of a run that was killed has to last until somebody
// comes back: when minReadySeconds is over, the controller ends the old pods,
// and the Services that are pinned to them would be left with no endpoint.
//
// # Everything that is held is marked
//
// Annotations on the Deployment and on each Service hold the values that are
// given back, and whose they are. So anybody who can read these objects can
// see a hand-over that was interrupted (Read), decide what is right (Decide),
// and do it. How far it got is not written down but read from the objects
// themselves: a Service that selects the new version has been switched.
//
// The Deployment controller copies a Deployment's annotations to its
// ReplicaSets and does not take them back. A mark that comes from there (by
// `kubectl rollout undo`) is therefore believed only as far as the fields that
// it is about still have the values of a hold.
//
// # Never by server-side apply on a Service
//
// spec.selector is atomic: two field managers cannot own different keys of it,
// and giving it back removes the whole selector. Each write is a JSON patch
// that tests the values that were read. What somebody else has changed in the
// meantime fails the test, and is then reported and left alone.
//
// # In this order
//
// When the new version is accepted, the Deployment is released first and the
// Services after the last old pod has been asked to end; when it is not, the
// new pods go first. The other way round, the Services would select both
// versions for a moment.
package handover

import (
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Annotation is the mark on everything that is held.
const Annotation = apply.OwnPrefix + "handover"

// hashLabel distinguishes the pods of one version from those of another.
const hashLabel = appsv1.DefaultDeploymentUniqueLabelKey

// heldFor is how long new pods may be Ready without counting as available.
const heldFor = 365 * 24 * time.Hour

// Codes of this package's findings.
const (
	// CodeForeign is the code of a write that was not made because somebody
	// else had changed the object.
	CodeForeign pipeline.Code = "handover-changed"
	// CodeNoReady is the code of a refusal to switch Services to a version that
	// has no Ready pod, or one that has ended since it was proven.
	CodeNoReady pipeline.Code = "handover-no-ready-pod"
	// CodeDrain is the code of a drain that ran into its timeout.
	CodeDrain pipeline.Code = "handover-drain-timeout"
)

// ErrForeign is behind every finding that says that somebody else has changed
// what was to be written.
var ErrForeign = errors.New("somebody else has changed it")

// ErrNotReady is behind every finding with CodeNoReady: no Service was switched.
var ErrNotReady = errors.New("the version has no pod that may serve")

// heldFields are the Deployment's fields while it is held.
func heldFields() Fields {
	all, none := intstr.FromString("100%"), intstr.FromInt32(0)
	ready := int32(heldFor / time.Second)
	deadline := ready + 1 // the API server wants it larger
	return Fields{
		MinReadySeconds: ready, ProgressDeadlineSeconds: &deadline,
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &all, MaxUnavailable: &none}},
	}
}
