// Package handover replaces one version of a Deployment by the next without sending a
// request to a version that has not been proven, and without terminating a pod that is
// still working: prove, then switch (blue-green).
//
// Choose decides whether that is possible. The new template is applied together with the
// fields that Overlay adds. Then Hold pins the Services to the present version, and Ready
// waits for the new pods. When the caller has proven them, Switch points the
// Services to the new version. When Drainer.Wait has seen the last old step end,
// Release releases everything. SwitchBack and GoBack return to the old version.
//
// # How the new version is kept from serving
//
// The Services' selectors get the old version's pod-template-hash. The
// Deployment gets its new template together with minReadySeconds of a year and
// a maxSurge of 100 %, in one patch: the new ReplicaSet comes up whole and its
// pods turn Ready, but never count as available, so the controller does not
// touch the old ReplicaSet. The Deployment is paused until the Services are pinned, so
// there is no moment between two patches in which a new pod could serve. In the opposite
// order, a run that is killed in between would leave Services that are pinned to pods which
// the next `kubectl apply` terminates.
//
// A hold lasts a year, because after a run was killed it has to last until somebody
// comes back. When minReadySeconds is over, the controller terminates the old pods, and
// the Services that are pinned to them would be left without endpoints.
//
// # Everything that is held is marked
//
// Annotations on the Deployment and on each Service record the original values and who
// holds them. Anybody who can read these objects can therefore recognize an interrupted
// hand-over (Read), decide what is right (Decide), and do it. The stage is not recorded
// but derived from the objects themselves: a Service that selects the new version has
// been switched.
//
// The Deployment controller copies a Deployment's annotations to its ReplicaSets and
// never removes them there. A mark that was copied back from a ReplicaSet (by `kubectl
// rollout undo`) therefore counts only for fields that still have the values of a hold.
//
// # Never by server-side apply on a Service
//
// spec.selector is atomic: two field managers cannot own different keys of it, and
// giving up ownership removes the whole selector. Each write is therefore a JSON patch
// that tests the values that were read. If somebody else has changed them in the
// meantime, the test fails, and the change is reported and left alone.
//
// # Order of the release
//
// If the new version is accepted, the Deployment is released first, and the Services
// when the last old pod is terminating and no controller counts it any more (allEnding).
// If it is rejected, the new pods are terminated first. In the opposite order the Services
// would select both versions for a moment.
//
// # A changed selector takes effect late
//
// The endpoints controller has to learn of it, and kube-proxy on each node after that. So
// Switch waits until the endpoints show it (reached), and nobody terminates the pods that
// the Services left before kube-proxy's period is over, too (Settle).
package handover

import (
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Annotation is the mark on every object that is held.
const Annotation = apply.OwnPrefix + "handover"

// hashLabel distinguishes the pods of one version from those of another.
const hashLabel = appsv1.DefaultDeploymentUniqueLabelKey

// heldFor is how long new pods may be Ready without counting as available.
const heldFor = 365 * 24 * time.Hour

// The codes of this package's findings.
const (
	// CodeForeign is the code of a write that was refused because somebody else
	// had changed the object.
	CodeForeign pipeline.Code = "handover-changed"
	// CodeNoReady is the code of a refusal to switch Services to a version that
	// has no Ready pod, or one that has ended since it was proven.
	CodeNoReady pipeline.Code = "handover-no-ready-pod"
	// CodeDrain is the code of a drain that timed out.
	CodeDrain pipeline.Code = "handover-drain-timeout"
)

// ErrForeign is wrapped by every finding which reports that somebody else has changed
// what was about to be written.
var ErrForeign = errors.New("somebody else has changed it")

// ErrNotReady is wrapped by every finding with CodeNoReady: no Service was switched.
var ErrNotReady = errors.New("the version has no pod that may serve")

// heldFields are the Deployment's fields while it is held.
func heldFields() Fields {
	all, none := intstr.FromString("100%"), intstr.FromInt32(0)
	ready := int32(heldFor / time.Second)
	deadline := ready + 1 // the API server requires it to be larger
	return Fields{
		MinReadySeconds: ready, ProgressDeadlineSeconds: &deadline,
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &all, MaxUnavailable: &none}},
	}
}
