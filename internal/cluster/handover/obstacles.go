package handover

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// moot returns why no serving version is replaced, or "" if one is.
func moot(s Situation) string {
	switch {
	case s.Live == nil:
		return "this is the first rollout: no version is serving yet"
	case s.Live.DaemonSet == nil && s.Live.Replicas() == 0:
		return "it is scaled to 0: no version is serving now"
	case s.Next != nil && verdict.SameTemplate(s.Live.Template(), s.Next.Template()):
		return "the pod template stays as it is: no pod is replaced"
	}
	return ""
}

// ofKind checks the kind and its strategy: only a Deployment keeps both versions in
// separate sets of pods.
func ofKind(s Situation) string {
	if s.Live.Deployment == nil || s.next().Deployment == nil {
		return fmt.Sprintf("a %s replaces its pods one by one; only a Deployment can hold two versions next to each other", s.next().Ref().Kind)
	}
	for _, w := range []*workload.Workload{s.Live, s.next()} {
		if w.Deployment.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			return "its strategy is Recreate: the old pods have to end before new ones start"
		}
		if r := w.Deployment.Spec.Strategy.RollingUpdate; r != nil && r.MaxSurge != nil &&
			(r.MaxSurge.String() == "0" || r.MaxSurge.String() == "0%") {
			return "its strategy has maxSurge 0: no pod may be added to the old ones"
		}
	}
	return ""
}

// ofState checks that there is something that serves, and something to replace it.
func ofState(s Situation) string {
	switch {
	case s.next().Replicas() == 0:
		return "it is going to be scaled to 0: there is no pod to prove"
	case s.Live.Deployment.Spec.Paused || s.next().Deployment.Spec.Paused:
		return "it is paused: its controller makes no new pods"
	}
	return ""
}

// ofTemplate finds what only a single pod, or one pod per node, can have.
func ofTemplate(s Situation) string {
	for _, w := range []*workload.Workload{s.Live, s.next()} {
		spec := w.Template().Spec
		if spec.HostNetwork {
			return "its pods use the node's network: two versions would need the same ports"
		}
		for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
			for _, p := range c.Ports {
				if p.HostPort != 0 {
					return fmt.Sprintf("container %s uses host port %d, which only one pod on a node can hold", c.Name, p.HostPort)
				}
			}
		}
		if spec.NodeName == "" && apartOnNodes(w.Template()) {
			return "its pods refuse to share a node (podAntiAffinity): a second set may find no nodes"
		}
	}
	return ""
}

// apartOnNodes reports whether the pods' own anti-affinity keeps them apart.
func apartOnNodes(t *corev1.PodTemplateSpec) bool {
	a := t.Spec.Affinity
	if a == nil || a.PodAntiAffinity == nil {
		return false
	}
	for _, term := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		sel, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		// matchLabelKeys: [pod-template-hash] keeps only pods of one version apart.
		if err == nil && sel.Matches(labels.Set(t.Labels)) && !slices.Contains(term.MatchLabelKeys, hashLabel) {
			return true
		}
	}
	return false
}

// ofClaims finds volumes that only one pod, or the pods of one node, can mount.
func ofClaims(s Situation) string {
	for _, w := range []*workload.Workload{s.Live, s.next()} {
		for _, v := range w.Template().Spec.Volumes {
			if kind := singleHolderDisk(v.VolumeSource); kind != "" {
				return fmt.Sprintf("volume %s is of type %s, which only one node can mount", v.Name, kind)
			}
			if v.PersistentVolumeClaim == nil {
				continue
			}
			name := v.PersistentVolumeClaim.ClaimName
			if why, unread := s.Unread["claim/"+name]; unread {
				return fmt.Sprintf("claim %s cannot be read, and perhaps only one pod can mount it: %s", name, why)
			}
			claim := s.Claims[name]
			if claim == nil {
				continue // the preflight refuses: no pod could start
			}
			if mode := singleHolder(claim); mode != "" {
				return fmt.Sprintf("claim %s is %s: pods of two versions may be unable to mount it together", name, mode)
			}
		}
	}
	return ""
}

// singleHolder returns the access mode of a claim that no two pods can share; empty for
// a claim that can be shared.
func singleHolder(c *corev1.PersistentVolumeClaim) corev1.PersistentVolumeAccessMode {
	modes := c.Status.AccessModes
	if len(modes) == 0 {
		modes = c.Spec.AccessModes
	}
	for _, m := range modes {
		if m == corev1.ReadWriteMany || m == corev1.ReadOnlyMany {
			return ""
		}
	}
	if len(modes) == 0 {
		return corev1.ReadWriteOnce
	}
	return modes[0]
}

// singleHolderDisk returns the type of a volume that is attached to a single node.
func singleHolderDisk(v corev1.VolumeSource) string {
	switch {
	case v.GCEPersistentDisk != nil && !v.GCEPersistentDisk.ReadOnly:
		return "gcePersistentDisk"
	case v.AWSElasticBlockStore != nil:
		return "awsElasticBlockStore"
	case v.AzureDisk != nil:
		return "azureDisk"
	case v.Cinder != nil:
		return "cinder"
	case v.ISCSI != nil && !v.ISCSI.ReadOnly:
		return "iscsi"
	case v.FC != nil && !v.FC.ReadOnly:
		return "fc"
	case v.RBD != nil && !v.RBD.ReadOnly:
		return "rbd"
	case v.VsphereVolume != nil:
		return "vsphereVolume"
	}
	return ""
}

// gitOps lists the annotations and labels of tools that keep an object as it is in
// their repository. Such a tool would revert a hold.
var gitOps = []struct{ key, who string }{
	{"argocd.argoproj.io/tracking-id", "Argo CD"},
	{"argocd.argoproj.io/instance", "Argo CD"},
	{"kustomize.toolkit.fluxcd.io/name", "Flux"},
	{"helm.toolkit.fluxcd.io/name", "Flux"},
}

func ofGitOps(s Situation) string {
	objects := []metav1.Object{s.Live.Object()}
	for _, svc := range s.Services {
		if s.selects(svc) {
			objects = append(objects, svc)
		}
	}
	for _, o := range objects {
		for _, g := range gitOps {
			if o.GetAnnotations()[g.key] != "" || o.GetLabels()[g.key] != "" {
				return fmt.Sprintf("%s keeps %s as it is in its repository, and would undo a hold", g.who, o.GetName())
			}
		}
	}
	return ""
}
