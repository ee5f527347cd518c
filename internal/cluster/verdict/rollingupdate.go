package verdict

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/kubectl/pkg/util/deployment"
)

// Fenceposts returns how many pods a Deployment may have beyond the wanted ones during a
// rollout, and how many of the wanted ones may be missing. Recreate has neither limit,
// because all old pods end first.
func Fenceposts(d *appsv1.Deployment) (surge, unavailable int32) {
	replicas := int32(1)
	if d.Spec.Replicas != nil {
		replicas = *d.Spec.Replicas
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return 0, max(1, replicas)
	}
	quarter := intstr.FromString("25%") // the API server's default
	up, down := &quarter, &quarter
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		if r.MaxSurge != nil {
			up = r.MaxSurge
		}
		if r.MaxUnavailable != nil {
			down = r.MaxUnavailable
		}
	}
	surge, unavailable, err := deployment.ResolveFenceposts(up, down, replicas)
	if err != nil {
		return 0, 1 // not valid; the API server prevents this
	}
	return min(surge, replicas), unavailable
}
