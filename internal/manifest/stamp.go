package manifest

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Stamp returns src with the image of the target's container set to ref. The
// bytes outside the image scalar are not changed. If the image is already ref,
// out is src itself. An error is a *pipeline.Finding.
func Stamp(src []byte, t Target, ref string) (out []byte, e Edit, err error) {
	if err := checkRef(ref); err != nil {
		return nil, Edit{}, err
	}
	s, err := parse(src, t.File)
	if err != nil {
		return nil, Edit{}, err
	}
	scalar, w, err := s.locate(t)
	if err != nil {
		return nil, Edit{}, err
	}
	e, err = s.replace(scalar, t.File, ref)
	if err != nil {
		return nil, Edit{}, err
	}
	e.Workload = w.String()
	for _, u := range s.also(scalar, t.File, e.Old, ref) {
		e.Also = append(e.Also, u.Use)
	}
	return e.apply(src), e, nil
}

// plainRef matches references that can be written into a file with or without
// quotes of any kind.
var plainRef = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9._:/@+-]*[A-Za-z0-9])?$`)

func checkRef(ref string) error {
	if !plainRef.MatchString(ref) {
		return pipeline.UsageErrorf(codeManifestImageRef, "write it as REPOSITORY:TAG, or REPOSITORY:TAG@sha256:…",
			"%q is not an image reference that can be written into a manifest", ref)
	}
	return nil
}

// locate returns the image scalar of the target.
func (s *stream) locate(t Target) (*yaml.Node, workload, error) {
	var found []workload
	all := s.workloads(t.Kind)
	for _, w := range all {
		if w.matches(t) {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 0:
		f := noWorkload(t, all)
		if len(s.objects()) == 0 {
			f.Why = "it contains no objects: it is empty, or has only comments"
		}
		return nil, workload{}, f
	case 1:
	default:
		var lines []string
		for _, w := range found {
			lines = append(lines, fmt.Sprintf("%s: %s", place(t.File, w.node.Line), w))
		}
		return nil, workload{}, &pipeline.Finding{
			Code: codeManifestAmbiguous, Severity: pipeline.Error, Where: place(t.File, found[1].node.Line),
			What:     fmt.Sprintf("the manifest contains the %[2]s %[1]d times", len(found), t),
			Why:      "it is not clear which of them to change",
			Fix:      "remove one, or give each its metadata.namespace and name it with --namespace",
			Evidence: lines,
		}
	}
	scalar, err := found[0].image(t)
	return scalar, found[0], err
}

func (t Target) String() string {
	return workload{kind: orElse(t.Kind, "workload"), namespace: t.Namespace, name: t.Name}.String()
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func noWorkload(t Target, all []workload) *pipeline.Finding {
	f := &pipeline.Finding{
		Code: codeNoWorkload, Severity: pipeline.Error, Where: place(t.File, 0),
		What: fmt.Sprintf("the manifest does not contain the %s", t),
		Why:  "it contains no object of that kind",
		Fix:  "name the file with -f, or the workload in .sbw.yaml under deploy",
	}
	var has []string
	for _, w := range all {
		has = append(has, w.String())
	}
	if len(has) > 0 {
		f.Why = "it has " + units.List(has)
	}
	return f
}

// image returns the image scalar of the target's container.
func (w workload) image(t Target) (*yaml.Node, error) {
	if err := w.checkKeys(t); err != nil {
		return nil, err
	}
	var found []*yaml.Node
	var names []string
	for _, c := range w.containers("containers") {
		name := text(first(c, "name"))
		names = append(names, name)
		if name == t.Container {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 0:
		f := &pipeline.Finding{
			Code: codeManifestNoContainer, Severity: pipeline.Error, Where: place(t.File, w.node.Line),
			What: fmt.Sprintf("%s has no container %q", w, t.Container),
			Why:  "it has no containers at all",
			Fix:  "name the container in .sbw.yaml under deploy.container",
		}
		if len(names) > 0 {
			f.Why = "it has " + units.List(names)
		}
		return nil, f
	case len(found) > 1:
		return nil, duplicate(t, "name: "+t.Container, found)
	case len(values(found[0], "name")) > 1:
		return nil, duplicate(t, "name", values(found[0], "name"))
	}
	images := values(found[0], "image")
	if len(images) > 1 {
		return nil, duplicate(t, "image", images)
	}
	if len(images) == 0 {
		return nil, noImage(t, follow(found[0]).Line, "it has no image")
	}
	n := follow(images[0])
	if n != nil && n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 {
		// image: {{ .Values.image }} is valid YAML: a mapping within a mapping.
		return nil, isTemplate(t.File, images[0].Line, "a template expression")
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return nil, noImage(t, images[0].Line, "its image is not a text")
	}
	if n.Tag == "!!null" {
		return nil, noImage(t, n.Line, "its image is empty")
	}
	return n, nil
}

// checkKeys refuses duplicate keys on the path to the image.
func (w workload) checkKeys(t Target) error {
	for _, path := range [][]string{{"kind"}, {"metadata", "name"}, {"metadata", "namespace"}, {"spec", "template", "spec", "containers"}} {
		n := w.node
		for _, key := range path {
			vs := values(n, key)
			if len(vs) > 1 {
				return duplicate(t, key, vs)
			}
			if len(vs) == 0 {
				break
			}
			n = vs[0]
		}
	}
	return nil
}

func noImage(t Target, line int, why string) *pipeline.Finding {
	return &pipeline.Finding{
		Code: codeManifestNoImage, Severity: pipeline.Error, Where: place(t.File, line),
		What: fmt.Sprintf("container %q has no image that can be stamped", t.Container), Why: why,
		Fix: "write any image there once (`image: REPOSITORY:TAG`); later runs change it",
	}
}

func isTemplate(file string, line int, what string) *pipeline.Finding {
	return &pipeline.Finding{
		Code: codeManifestTemplate, Severity: pipeline.Error, Where: place(file, line),
		What: "the image is " + what, Why: "stamping would overwrite a value that a template engine fills in",
		Fix: "give the rendered file with -f, or use --image-only, which changes only the live object's image",
	}
}

func duplicate(t Target, key string, nodes []*yaml.Node) error {
	var lines []string
	for _, n := range nodes {
		lines = append(lines, place(t.File, n.Line))
	}
	return &pipeline.Finding{
		Code: codeManifestDuplicateKey, Severity: pipeline.Error, Where: lines[len(lines)-1],
		What: fmt.Sprintf("%q occurs %d times in the same mapping", key, len(nodes)),
		Why:  "different programs use different ones: " + strings.Join(lines, ", "),
		Fix:  "remove all but one",
	}
}

// replace returns the edit of one scalar, after verifying that it changes nothing
// else.
func (s *stream) replace(scalar *yaml.Node, file, ref string) (Edit, error) {
	e := Edit{File: file, Line: scalar.Line, Old: scalar.Value, New: ref, with: ref}
	if template.MatchString(scalar.Value) {
		return Edit{}, isTemplate(file, scalar.Line, fmt.Sprintf("a placeholder, %s", scalar.Value))
	}
	at, ok := s.scalar(scalar)
	e.start, e.end = at.start, at.end
	if !e.Changed() {
		return e, nil
	}
	if n, sure := s.uses(scalar); n > 1 || !sure {
		return Edit{}, shared(s, scalar, file, n)
	}
	if ok && s.json == nil && scalar.Style&^yaml.TaggedStyle == 0 && !isText(ref) {
		e.with = `"` + ref + `"`
	}
	if ok {
		after, err := parse(e.apply(s.src), file)
		ok = err == nil && onlyChanged(s, after, scalar, ref)
	}
	if !ok {
		return Edit{}, &pipeline.Finding{
			Code: codeManifestImageForm, Severity: pipeline.Error, Where: place(file, scalar.Line),
			What: "the image is written in a form that cannot be replaced on its own",
			Why:  "it is not one word on one line, or something around it depends on it",
			Fix:  "write it as `image: REPOSITORY:TAG` on one line",
		}
	}
	return e, nil
}

func shared(s *stream, scalar *yaml.Node, file string, n int) error {
	f := &pipeline.Finding{
		Code: codeManifestSharedImage, Severity: pipeline.Error, Where: place(file, scalar.Line),
		What: "the image is shared with other places of the manifest",
		Why:  fmt.Sprintf("through an anchor and aliases it takes effect in %d places, and changing it would change them all", n),
		Fix:  "give this container an image of its own instead of an alias",
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.AliasNode && contains(n.Alias, scalar, 0) && len(f.Evidence) < 10 {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s: *%s", place(file, n.Line), n.Value))
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	for _, d := range s.docs {
		walk(d)
	}
	return f
}

func contains(n, what *yaml.Node, depth int) bool {
	if n == what {
		return true
	}
	return n != nil && depth < maxDepth &&
		slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return contains(c, what, depth+1) })
}

// sexagesimal matches numbers to the base of 60 in YAML 1.1: 1:20 is eighty.
var sexagesimal = lazyregexp.New(`^[0-9][0-9_]*(:[0-5]?[0-9])+$`)

// isText reports whether a plain scalar is text in both versions of YAML. kubectl
// reads YAML 1.1, in which more words are not text.
func isText(ref string) bool {
	var v2, v3 any
	if kubeyaml.Unmarshal([]byte(ref), &v2) != nil || yaml.Unmarshal([]byte(ref), &v3) != nil {
		return false
	}
	_, two := v2.(string)
	_, three := v3.(string)
	return two && three && !sexagesimal.MatchString(ref)
}

// apply returns src with the edit made.
func (e Edit) apply(src []byte) []byte {
	if !e.Changed() {
		return src
	}
	out := make([]byte, 0, len(src)+len(e.with))
	out = append(out, src[:e.start]...)
	out = append(out, e.with...)
	return append(out, src[e.end:]...)
}

// Repository returns a reference without its tag and digest.
func Repository(ref string) string {
	return imageref.Split(ref).Repository.String()
}
