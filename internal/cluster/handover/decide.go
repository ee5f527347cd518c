package handover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Action is what to do about a hand-over that was found.
type Action string

// The actions.
const (
	// None: nothing is held.
	None Action = "none"
	// Wait: somebody else is working on it.
	Wait Action = "wait"
	// Resume proves the new version unless that has been done, switches, drains
	// and releases.
	Resume Action = "resume"
	// GoBack points the Services to the old version, terminates the new one and releases.
	GoBack Action = "go back"
	// Release releases what is held, and leaves the Deployment's pod template as
	// it is.
	Release Action = "release"
)

// Stage is how far a hand-over has got.
type Stage string

// The stages, in order. Disturbed is caused by somebody else.
const (
	NotHeld   Stage = "not held"
	Pinned    Stage = "held"      // the Services are pinned to the old version
	Applied   Stage = "applied"   // the new pods are coming up
	Proving   Stage = "ready"     // the new pods are Ready and serve nobody
	Switching Stage = "switching" // some Services point to them
	Switched  Stage = "switched"  // all Services do; the old pods finish their work
	Released  Stage = "released"  // the Deployment is released, but some Services are not
	Disturbed Stage = "disturbed" // somebody else has changed what was held
)

// Plan is what to do about the state that was found, and why.
type Plan struct {
	Origin
	Stage Stage
	// Choices are the possible actions, the recommended one first. If there is only
	// one, it may be taken without asking anybody.
	Choices []Action
	// What describes the state in one sentence.
	What string
	// New is the version that replaces Old; empty as long as it is not known.
	New string
	// ServicesFirst means that the Services are released before the Deployment,
	// because they point to a version that the Deployment will terminate.
	ServicesFirst bool
}

// Action returns the recommended action.
func (p Plan) Action() Action { return p.Choices[0] }

// Automatic reports whether there is only one right choice.
func (p Plan) Automatic() bool { return len(p.Choices) == 1 && p.Choices[0] != Wait }

// Decide decides what to do about the state that was found. It depends on the state
// alone, so everybody who finds that state comes to the same decision.
func Decide(s *State) Plan {
	p := Plan{Origin: s.Origin(), Stage: NotHeld, Choices: []Action{None}, What: "nothing is held"}
	if s.Mark == nil && len(s.Services) == 0 {
		return p
	}
	p.New = s.current()
	switch {
	case s.Mark == nil:
		p = p.servicesOnly(s)
	default:
		p = p.held(s)
	}
	if s.Busy != "" {
		p.Choices, p.What = []Action{Wait}, p.What+"; "+s.Busy+" is working on it"
	}
	return p
}

func (p Plan) is(stage Stage, what string, choices ...Action) Plan {
	p.Stage, p.What, p.Choices = stage, what, choices
	return p
}

// pins returns the versions that the held Services point to.
func (s *State) pins() []string {
	all := map[string]bool{}
	for _, svc := range s.Services {
		all[svc.Pinned()] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// servicesOnly decides for a Deployment that is not held, which leaves one possible action.
func (p Plan) servicesOnly(s *State) Plan {
	names := make([]string, 0, len(s.Services))
	for _, svc := range s.Services {
		names = append(names, svc.Name)
	}
	which := services(names) + " is"
	if len(names) > 1 {
		which = services(names) + " are"
	}
	pins := s.pins()
	switch {
	case s.Deployment == nil:
		p.ServicesFirst = true
		return p.is(Disturbed, which+" still held for a Deployment that no longer exists", Release)
	case len(pins) == 1 && pins[0] == p.New && p.New == p.Old:
		return p.is(Pinned, which+" held; nothing was applied", Release)
	case len(pins) == 1 && pins[0] == p.New && p.New != "":
		return p.is(Released, "the new version serves and the Deployment is released; "+which+" still held", Release)
	case len(pins) == 1 && pins[0] == "":
		return p.is(Disturbed, which+" marked as held, but no longer held", Release)
	}
	p.ServicesFirst = true
	return p.is(Disturbed, which+" held to a version that the Deployment is not at", Release)
}

// held decides for a Deployment that is held.
func (p Plan) held(s *State) Plan {
	if p.New == p.Old {
		return p.is(Applied, "the Deployment has the old version's template again but is still held", GoBack)
	}
	theirs := s.theirs()
	if s.Lost && theirs == "" { // only the template is left to say what was applied
		theirs = "somebody has gone back to another revision with kubectl rollout undo while the Deployment was held"
	}
	if theirs != "" {
		p.ServicesFirst = true
		return p.is(Disturbed, theirs, Release)
	}
	pins := s.pins()
	gone := slices.DeleteFunc(pins, func(hash string) bool { return hash == p.Old || p.New != "" && hash == p.New })
	pins = s.pins()
	switch {
	case p.New == "" && s.Mark.Paused && len(s.Services) < len(s.Mark.Services):
		return p.is(Applied, "the new version's template is in the cluster, but paused: no pod of it was created", GoBack)
	case len(s.Services) == 0:
		return p.is(Disturbed, "the Deployment is held, but no Service is", GoBack, Release)
	case len(gone) > 0 && s.version(gone[0]) != nil:
		return p.is(
			Disturbed,
			"somebody has changed the pod template since the Services were switched: the pods that they point to are of another one",
			GoBack,
			Release,
		)
	case len(gone) > 0:
		return p.is(Disturbed, "the Deployment is held, but somebody has changed which version a Service points to", GoBack, Release)
	case len(pins) > 1:
		return p.is(Switching, "some Services point to the new version and some to the old one", Resume, GoBack)
	case pins[0] == p.New:
		return p.is(Switched, "the new version is serving, and the old one is kept until it has finished its work", Resume, GoBack)
	case s.ready(p.New) >= s.replicas():
		return p.is(Proving, "the new version is Ready, has not served a request, and waits to be proved"+s.silent(), Resume, GoBack)
	}
	return p.is(
		Applied,
		fmt.Sprintf("the new version is coming up: %d of %d pods Ready; it has not served a request%s", s.ready(p.New), s.replicas(), s.silent()),
		Resume,
		GoBack,
	)
}

// silent is added to the description of a state in which the Services select the old
// version, if that has no pod to serve. Scaling to 0 and up again leads to it, because the
// Deployment's controller then brings up the new version alone.
func (s *State) silent() string {
	if s.ready(s.Mark.Old) > 0 {
		return ""
	}
	return "; nothing serves, because the Services still select the old version, which has no Ready pod"
}

// theirs describes what somebody else has done to the Deployment while it was held;
// empty if nothing.
func (s *State) theirs() string {
	for _, c := range slices.Concat(s.Deployment.Spec.Template.Spec.InitContainers, s.Deployment.Spec.Template.Spec.Containers) {
		if is, known := s.Mark.Images[c.Name]; known && is != c.Image {
			return fmt.Sprintf("somebody else has set the image of container %s to %s while the Deployment was held", c.Name, c.Image)
		}
	}
	if Held(s.Deployment) {
		return ""
	}
	ready, deadline, strategy := fieldsOf(s.Deployment).held()
	var changed []string
	for _, f := range []struct {
		name string
		held bool
	}{{"minReadySeconds", ready}, {"progressDeadlineSeconds", deadline}, {"strategy", strategy}} {
		if !f.held {
			changed = append(changed, f.name)
		}
	}
	return "somebody else has changed " + strings.Join(changed, " and ") + " while the Deployment was held"
}
