package handover

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Action is what to do about a hand-over that was found.
type Action string

// Actions.
const (
	// None: nothing is held.
	None Action = "none"
	// Wait: somebody is at work on it.
	Wait Action = "wait"
	// Resume: prove the new version where it has not been, switch, drain and
	// release.
	Resume Action = "resume"
	// GoBack: lead the Services to the old version, end the new one, release.
	GoBack Action = "go back"
	// Release: give back what is held, and leave the Deployment's pod template
	// as it is.
	Release Action = "release"
)

// Stage is how far a hand-over got.
type Stage string

// Stages, in their order; Disturbed comes from outside.
const (
	NotHeld   Stage = "not held"
	Pinned    Stage = "held"      // the Services are pinned to the old version
	Applied   Stage = "applied"   // the new pods are coming up
	Proving   Stage = "ready"     // they are Ready and serve nobody
	Switching Stage = "switching" // some Services lead to them
	Switched  Stage = "switched"  // all do; the old pods finish their work
	Released  Stage = "released"  // the Deployment is; Services still are not
	Disturbed Stage = "disturbed" // somebody else has changed what was held
)

// Plan is what to do about the state that was found, and why.
type Plan struct {
	Origin
	Stage Stage
	// Choices are the actions that are possible, the advised one first; one
	// alone may be taken without asking anybody.
	Choices []Action
	// What says in one sentence how things stand.
	What string
	// New is the version that replaces Old; empty while it is not known.
	New string
	// ServicesFirst: the Services are given back before the Deployment, as
	// they lead to a version that the Deployment is going to end.
	ServicesFirst bool
}

// Action is the advised one.
func (p Plan) Action() Action { return p.Choices[0] }

// Automatic reports whether there is only one right choice.
func (p Plan) Automatic() bool { return len(p.Choices) == 1 && p.Choices[0] != Wait }

// Decide says what to do about whatever state was found. It is a function of
// the state alone, so whoever comes by decides alike.
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
		p.Choices, p.What = []Action{Wait}, p.What+"; "+s.Busy+" is at work on it"
	}
	return p
}

func (p Plan) is(stage Stage, what string, choices ...Action) Plan {
	p.Stage, p.What, p.Choices = stage, what, choices
	return p
}

// pins are the versions that the held Services lead to.
func (s *State) pins() []string {
	all := map[string]bool{}
	for _, svc := range s.Services {
		all[svc.Pinned()] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// servicesOnly: the Deployment is not held, so there is one thing to do.
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

// held: the Deployment is held.
func (p Plan) held(s *State) Plan {
	if p.New == p.Old {
		return p.is(Applied, "the Deployment has the old version's template again but is still held", GoBack)
	}
	if theirs := s.theirs(); theirs != "" {
		p.ServicesFirst = true
		return p.is(Disturbed, theirs, Release)
	}
	pins := s.pins()
	gone := slices.DeleteFunc(pins, func(hash string) bool { return hash == p.Old || p.New != "" && hash == p.New })
	pins = s.pins()
	switch {
	case len(s.Services) == 0:
		return p.is(Disturbed, "the Deployment is held, but no Service is", GoBack, Release)
	case len(gone) > 0 && s.version(gone[0]) != nil:
		return p.is(
			Disturbed,
			"somebody has changed the pod template since the Services were switched: the pods that they point to are being terminated",
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
		return p.is(Proving, "the new version is Ready, has not served a request, and waits to be proved", Resume, GoBack)
	}
	return p.is(
		Applied,
		fmt.Sprintf("the new version is coming up: %d of %d pods Ready; it has not served a request", s.ready(p.New), s.replicas()),
		Resume,
		GoBack,
	)
}

// theirs says what somebody else has done to the Deployment while it was held;
// empty when nothing.
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
