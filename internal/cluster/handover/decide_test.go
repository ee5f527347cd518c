package handover_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

var origin = handover.Origin{Run: "run1", By: "ann@laptop pid 7", At: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Tag: "t2", Deployment: "worker", Old: "old"}

// heldState returns a hand-over whose new pods are Ready and serve nobody.
func heldState() *handover.State {
	live, next := worker("w:1"), worker("w:2")
	old, fresh := replicaSet(live, "old"), replicaSet(next, "new")
	all, none, deadline := intstr.FromString("100%"), intstr.FromInt32(0), int32(31536001)
	next.Spec.MinReadySeconds, next.Spec.ProgressDeadlineSeconds = 31536000, &deadline
	next.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &all, MaxUnavailable: &none}}
	return &handover.State{
		Ref: workload.Ref{Kind: workload.Deployment, Namespace: "ns", Name: "worker"}, Deployment: next,
		Mark:        &handover.Mark{Origin: origin, Services: []string{"admin", "worker"}, Images: map[string]string{"worker": "w:2"}},
		ReplicaSets: []*appsv1.ReplicaSet{old, fresh},
		Pods:        []*corev1.Pod{pod("a", old, true), pod("b", old, true), pod("c", fresh, true), pod("d", fresh, true)},
		Services:    []handover.HeldService{heldService("admin", "old"), heldService("worker", "old")},
	}
}

func heldService(name, hash string) handover.HeldService {
	h := handover.HeldService{Service: service(name, map[string]string{"app": "worker"}), Mark: &handover.ServiceMark{Origin: origin, Selector: map[string]string{"app": "worker"}}}
	lead(h, hash)
	return h
}

func lead(h handover.HeldService, hash string) {
	if hash == "" {
		delete(h.Spec.Selector, "pod-template-hash")
		return
	}
	h.Spec.Selector["pod-template-hash"] = hash
}

func TestDecide(t *testing.T) {
	type choices = []handover.Action
	free := func(s *handover.State, image string) { // no longer held
		s.Mark, s.Deployment = nil, worker(image)
	}
	for _, test := range []struct {
		name          string
		change        func(*handover.State)
		stage         handover.Stage
		choices       choices
		servicesFirst bool
	}{
		{"nothing held", func(s *handover.State) { free(s, "w:2"); s.Services = nil }, handover.NotHeld, choices{handover.None}, false},
		{"killed after pinning the Services", func(s *handover.State) { free(s, "w:1") }, handover.Pinned, choices{handover.Release}, false},
		{"killed after pinning one of two Services", func(s *handover.State) { free(s, "w:1"); s.Services = s.Services[:1] }, handover.Pinned, choices{handover.Release}, false},
		{"killed before the new ReplicaSet existed", func(s *handover.State) {
			s.ReplicaSets, s.Pods = s.ReplicaSets[:1], s.Pods[:2]
		}, handover.Applied, choices{handover.Resume, handover.GoBack}, false},
		{"killed before the Services were pinned", func(s *handover.State) {
			s.ReplicaSets, s.Pods, s.Services = s.ReplicaSets[:1], s.Pods[:2], nil
			s.Deployment.Spec.Paused, s.Mark.Paused = true, true
		}, handover.Applied, choices{handover.GoBack}, false},
		{"killed after one of two Services was pinned", func(s *handover.State) {
			s.ReplicaSets, s.Pods, s.Services = s.ReplicaSets[:1], s.Pods[:2], s.Services[:1]
			s.Deployment.Spec.Paused, s.Mark.Paused = true, true
		}, handover.Applied, choices{handover.GoBack}, false},
		{"killed while new pods come up", func(s *handover.State) { s.Pods = s.Pods[:3] }, handover.Applied, choices{handover.Resume, handover.GoBack}, false},
		{"killed before the switch", func(*handover.State) {}, handover.Proving, choices{handover.Resume, handover.GoBack}, false},
		{"killed during the switch", func(s *handover.State) { lead(s.Services[0], "new") }, handover.Switching, choices{handover.Resume, handover.GoBack}, false},
		{"killed after the switch", func(s *handover.State) { lead(s.Services[0], "new"); lead(s.Services[1], "new") },
			handover.Switched, choices{handover.Resume, handover.GoBack}, false},
		{"killed during the release", func(s *handover.State) { free(s, "w:2"); lead(s.Services[0], "new"); lead(s.Services[1], "new") },
			handover.Released, choices{handover.Release}, false},
		{"killed at the end of the release", func(s *handover.State) { free(s, "w:2"); s.Services = s.Services[1:]; lead(s.Services[0], "new") },
			handover.Released, choices{handover.Release}, false},
		{"killed while going back", func(s *handover.State) { s.Deployment.Spec.Template = *worker("w:1").Spec.Template.DeepCopy() },
			handover.Applied, choices{handover.GoBack}, false},
		{"somebody is working on it", func(s *handover.State) { s.Busy = "bob" }, handover.Proving, choices{handover.Wait}, false},
		{"another image was set", func(s *handover.State) { s.Deployment.Spec.Template.Spec.Containers[0].Image = "w:theirs" },
			handover.Disturbed, choices{handover.Release}, true},
		{"another revision was restored, and with it its annotations", func(s *handover.State) { s.Lost = true }, handover.Disturbed, choices{handover.Release}, true},
		{"the old revision was restored, and with it its annotations", func(s *handover.State) {
			s.Lost, s.Deployment.Spec.Template = true, *worker("w:1").Spec.Template.DeepCopy()
		}, handover.Applied, choices{handover.GoBack}, false},
		{"the template was changed while it is paused", func(s *handover.State) {
			lead(s.Services[0], "new")
			lead(s.Services[1], "new")
			s.Deployment.Spec.Paused, s.Mark.Paused = true, true
			s.Deployment.Spec.Template.Annotations = map[string]string{"restarted": "now"}
		}, handover.Disturbed, choices{handover.GoBack, handover.Release}, false},
		{"minReadySeconds was removed", func(s *handover.State) { s.Deployment.Spec.MinReadySeconds = 0 },
			handover.Disturbed, choices{handover.Release}, true},
		{"the strategy was removed", func(s *handover.State) { s.Deployment.Spec.Strategy = appsv1.DeploymentStrategy{} },
			handover.Disturbed, choices{handover.Release}, true},
		{"all held fields were removed", func(s *handover.State) { free(s, "w:2") }, handover.Disturbed, choices{handover.Release}, true},
		{"the Deployment is gone", func(s *handover.State) { s.Mark, s.Deployment = nil, nil }, handover.Disturbed, choices{handover.Release}, true},
		{"a pin was removed", func(s *handover.State) { lead(s.Services[0], "") }, handover.Disturbed, choices{handover.GoBack, handover.Release}, false},
		{"a Service points to a third version", func(s *handover.State) { lead(s.Services[0], "third") },
			handover.Disturbed, choices{handover.GoBack, handover.Release}, false},
		{"all pins and held fields were removed", func(s *handover.State) { free(s, "w:2"); lead(s.Services[0], ""); lead(s.Services[1], "") },
			handover.Disturbed, choices{handover.Release}, false},
		{"the Services are gone", func(s *handover.State) { s.Services = nil }, handover.Disturbed, choices{handover.GoBack, handover.Release}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := heldState()
			test.change(s)
			p := handover.Decide(s)
			if p.Stage != test.stage || !slices.Equal(p.Choices, test.choices) || p.ServicesFirst != test.servicesFirst || p.What == "" {
				t.Fatalf("%+v", p)
			}
			if test.stage != handover.NotHeld && p.By != origin.By {
				t.Errorf("the plan is %q's", p.By)
			}
		})
	}
}

// Scaling to 0 and up again brings up the new version alone.
func TestDecideSaysThatNothingServes(t *testing.T) {
	for name, pods := range map[string]int{"Ready": 2, "coming up": 1} {
		s := heldState()
		s.Pods = s.Pods[2 : 2+pods]
		if p := handover.Decide(s); !strings.Contains(p.What, "nothing serves") || !slices.Contains(p.Choices, handover.Resume) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if p := handover.Decide(heldState()); strings.Contains(p.What, "nothing serves") {
		t.Errorf("%+v", p)
	}
}

// A mark that was copied back from a ReplicaSet's annotations refers to nothing.
func TestMarkWithoutAHoldIsDead(t *testing.T) {
	d := worker("w:1")
	text, err := json.Marshal(handover.Mark{Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	d.Annotations = map[string]string{handover.Annotation: string(text)}
	if m, err := handover.MarkOf(d); m != nil || err != nil {
		t.Fatalf("%+v %v", m, err)
	}
	d.Spec.MinReadySeconds = 31536000
	if m, err := handover.MarkOf(d); err != nil || m == nil || m.Run != "run1" {
		t.Fatalf("%+v %v", m, err)
	}
	d.Annotations[handover.Annotation] = "{"
	if _, err := handover.MarkOf(d); err == nil {
		t.Fatal("a mark that cannot be read is unknown, not nothing")
	}
}
