package handover

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// Strategy is how a new version replaces the old one.
type Strategy string

// The strategies. StrategyAuto can be requested, but Choose never returns it.
const (
	StrategyAuto    Strategy = "auto"
	StrategySwitch  Strategy = "switch"
	StrategyRolling Strategy = "rolling"
)

// Situation is what Choose bases its decision on. Look reads it.
type Situation struct {
	Live *workload.Workload // nil on a first rollout
	// Next is the workload as it will be. If that is not known, it is nil, and
	// Live is used in its place.
	Next        *workload.Workload
	ReplicaSets []*appsv1.ReplicaSet // the Deployment's own
	Pods        []*corev1.Pod        // all in the namespace
	Services    []*corev1.Service    // all in the namespace
	Claims      map[string]*corev1.PersistentVolumeClaim
	// Route is the Service of this namespace that the Inngest server calls. It is
	// empty if it is not known or is in another namespace.
	Route string
	// Altered are the Services whose spec the manifest changes.
	Altered []string
	// Denied are the Services that this user may not patch.
	Denied []string
	Room   Room
	// Autoscalers are the names of HorizontalPodAutoscalers for the Deployment.
	Autoscalers []string
	// Unread maps the names of what could not be read to the reason. The names are
	// services, pods, replicasets, patch (the permission), autoscalers, and
	// claim/NAME.
	Unread map[string]string
}

// Room says whether a second set of pods fits.
type Room struct {
	// Lacks says what is missing; empty if nothing is known to be missing.
	Lacks string
	// Unknown lists what could not be determined: the quotas, the nodes.
	Unknown []string
}

// Choice is the strategy of the rollout, and the reason for it.
type Choice struct {
	Strategy Strategy `json:"strategy"`
	// Reason is one line: what is switched, or why a switch is not possible.
	Reason string `json:"reason"`
	// Old is the pod-template-hash of the version that is serving now.
	Old string `json:"old,omitempty"`
	// Services are the Services that are switched together, sorted.
	Services []string `json:"services,omitempty"`
	// Moot means that no serving version is replaced, so there is nothing to protect.
	Moot bool `json:"moot,omitempty"`
	// Notes are worth knowing but do not affect the choice, one line each.
	Notes []string `json:"notes,omitempty"`
}

func rolling(format string, args ...any) Choice {
	return Choice{Strategy: StrategyRolling, Reason: fmt.Sprintf(format, args...)}
}

// Choose chooses between a switch and a rolling update.
func Choose(s Situation) Choice {
	if why := moot(s); why != "" {
		return Choice{Strategy: StrategyRolling, Reason: why, Moot: true}
	}
	for _, reason := range []func(Situation) string{ofKind, ofState, ofTemplate, ofClaims, ofGitOps} {
		if why := reason(s); why != "" {
			return rolling("%s", why)
		}
	}
	for _, name := range []string{"services", "pods", "replicasets"} {
		if why, unread := s.Unread[name]; unread {
			return rolling("the %s cannot be listed: %s", name, why)
		}
	}
	old, why := s.serving()
	if why != "" {
		return rolling("%s", why)
	}
	selecting, why := s.selecting()
	if why != "" {
		return rolling("%s", why)
	}
	if s.Room.Lacks != "" {
		return rolling("there is no room for a second set of pods: %s", s.Room.Lacks)
	}
	c := Choice{Strategy: StrategySwitch, Old: old}
	for _, svc := range selecting {
		c.Services = append(c.Services, svc.Name)
		if svc.Spec.ClusterIP == corev1.ClusterIPNone {
			c.Notes = append(
				c.Notes,
				fmt.Sprintf("Service %s is headless: its clients notice the switch when they look up its name again", svc.Name),
			)
		}
	}
	slices.Sort(c.Services)
	c.Reason = fmt.Sprintf("%s will point to the new pods once they are proved", services(c.Services))
	for _, what := range s.Room.Unknown {
		c.Notes = append(c.Notes, "it is unknown whether there is room for a second set of pods: "+what)
	}
	if why, unread := s.Unread["patch"]; unread {
		c.Notes = append(c.Notes, "it is unknown whether we may patch the Services: "+why)
	}
	if why, unread := s.Unread["autoscalers"]; unread {
		c.Notes = append(c.Notes, "it is unknown whether an autoscaler changes the number of pods: "+why)
	}
	for _, name := range s.Autoscalers {
		c.Notes = append(
			c.Notes,
			fmt.Sprintf("HorizontalPodAutoscaler %s may change the number of pods in the meantime; it then scales both versions", name),
		)
	}
	return c
}

func services(names []string) string {
	if len(names) == 1 {
		return "Service " + names[0]
	}
	return "Services " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// next returns the workload as it will be.
func (s *Situation) next() *workload.Workload {
	if s.Next != nil {
		return s.Next
	}
	return s.Live
}

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

// serving returns the only version that has Ready pods.
func (s *Situation) serving() (hash, why string) {
	ready := map[string]int{}
	for _, pod := range s.Pods {
		if rs := s.replicaSet(pod); rs != nil && pod.DeletionTimestamp == nil && podutils.IsPodReady(pod) {
			ready[rs.Labels[hashLabel]]++
		}
	}
	versions := slices.Sorted(maps.Keys(ready))
	switch {
	case len(versions) == 0:
		return "", "no pod of the current version is Ready: there is nothing to keep serving"
	case len(versions) > 1:
		return "", fmt.Sprintf("pods of %d versions are Ready: there is no single version to keep serving", len(versions))
	case versions[0] == "":
		return "", "its ReplicaSet has no pod-template-hash label"
	}
	return versions[0], ""
}

// replicaSet returns the Deployment's own ReplicaSet that a pod belongs to; nil for pods
// of other owners.
func (s *Situation) replicaSet(pod *corev1.Pod) *appsv1.ReplicaSet {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return nil
	}
	for _, rs := range s.ReplicaSets {
		if rs.UID == owner.UID && metav1.IsControlledBy(rs, s.Live.Deployment) {
			return rs
		}
	}
	return nil
}

// selects reports whether a Service selects the workload's pods, old or new.
func (s *Situation) selects(svc *corev1.Service) bool {
	if len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return false
	}
	want := maps.Clone(svc.Spec.Selector)
	delete(want, hashLabel)
	if len(want) == 0 {
		return false // it selects by the hash alone, and therefore a single version
	}
	sel := labels.SelectorFromSet(want)
	return sel.Matches(labels.Set(s.Live.Template().Labels)) || sel.Matches(labels.Set(s.next().Template().Labels))
}

// selecting returns the Services to switch, or why they cannot be switched.
func (s *Situation) selecting() (all []*corev1.Service, why string) {
	for _, svc := range s.Services {
		if len(svc.Spec.Selector) == 0 && svc.Name == s.Route {
			return nil, fmt.Sprintf("Service %s, which Inngest calls, has no selector: labels do not decide which pods serve", svc.Name)
		}
		if pinned, why := s.pinned(svc); pinned {
			return nil, why
		}
		if s.selects(svc) {
			all = append(all, svc)
		}
	}
	if len(all) == 0 {
		return nil, "no Service selects its pods: there is nothing to switch"
	}
	if s.Route != "" && !slices.ContainsFunc(all, func(svc *corev1.Service) bool { return svc.Name == s.Route }) {
		return nil, fmt.Sprintf("Service %s, which Inngest calls, does not select its pods", s.Route)
	}
	for _, svc := range all {
		if why := s.unswitchable(svc); why != "" {
			return nil, why
		}
	}
	return all, ""
}

// pinned reports whether something else switches a Service between versions.
func (s *Situation) pinned(svc *corev1.Service) (bool, string) {
	hash, has := svc.Spec.Selector[hashLabel]
	if !has || svc.Annotations[Annotation] != "" {
		return false, "" // nothing switches it, or a hand-over does, which Decide deals with
	}
	ours := s.selects(svc)
	for _, rs := range s.ReplicaSets {
		ours = ours || rs.Labels[hashLabel] == hash
	}
	return ours, fmt.Sprintf(
		"Service %s already selects pod-template-hash %s: something else decides which version it points to",
		svc.Name,
		hash,
	)
}

func (s *Situation) unswitchable(svc *corev1.Service) string {
	if !labels.SelectorFromSet(without(svc.Spec.Selector)).Matches(labels.Set(s.next().Template().Labels)) {
		return fmt.Sprintf("Service %s selects the current pods but not the new ones, whose labels differ", svc.Name)
	}
	if !labels.SelectorFromSet(without(svc.Spec.Selector)).Matches(labels.Set(s.Live.Template().Labels)) {
		return fmt.Sprintf("Service %s selects the new pods but not the current ones, whose labels differ", svc.Name)
	}
	sel := labels.SelectorFromSet(without(svc.Spec.Selector))
	for _, pod := range s.Pods {
		if s.replicaSet(pod) == nil && pod.DeletionTimestamp == nil && sel.Matches(labels.Set(pod.Labels)) &&
			pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			return fmt.Sprintf(
				"Service %s also selects pod %s, which does not belong to this Deployment: a switch would cut it off",
				svc.Name,
				pod.Name,
			)
		}
	}
	switch {
	case slices.Contains(s.Altered, svc.Name):
		return fmt.Sprintf("the manifest changes Service %s itself: one patch cannot switch it and change it", svc.Name)
	case slices.Contains(s.Denied, svc.Name):
		return fmt.Sprintf("you may not patch Service %s", svc.Name)
	}
	return ""
}

// without returns a selector without the key that a hold adds.
func without(selector map[string]string) map[string]string {
	plain := maps.Clone(selector)
	delete(plain, hashLabel)
	return plain
}
