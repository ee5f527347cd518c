package handover

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

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
	// Nodes is how many nodes can run the pods; zero if that is not known.
	Nodes int
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
	for _, svc := range selecting {
		if svc.Spec.PublishNotReadyAddresses {
			c.Notes = append(c.Notes, fmt.Sprintf(
				"Service %s also sends requests to pods that are terminating (publishNotReadyAddresses): it is held until the old pods are gone",
				svc.Name,
			))
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
