package manifest

import (
	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/joelhooks/gh-sbw/internal/imageref"
)

// setting is a scalar in a file and its new value. The scalar is identified by
// its ordinal, so that it is found again after an earlier edit.
type setting struct {
	ordinal int
	value   string
}

// entries returns the ways to set the image with an entry of `images:`.
func (k *kustomized) entries(s *stream) [][]setting {
	ref := imageref.Split(k.options.Ref)
	repository, tag, digest := ref.Repository.String(), ref.Tag, ref.Digest
	var ways [][]setting
	for _, d := range s.docs {
		for _, root := range d.Content {
			list := follow(first(root, "images"))
			if list == nil || list.Kind != yaml.SequenceNode {
				continue
			}
			for _, entry := range list.Content {
				var way []setting
				set := func(key, value string) {
					n := follow(first(entry, key))
					if n != nil && n.Kind == yaml.ScalarNode && value != "" && n.Value != value {
						way = append(way, setting{s.ordinal(n), value})
					}
				}
				set("newName", repository)
				switch hasTag, hasDigest := first(entry, "newTag") != nil, first(entry, "digest") != nil; {
				case hasTag && hasDigest:
					set("newTag", tag)
					set("digest", digest)
				case hasTag && digest != "":
					set("newTag", tag+"@"+digest)
				case hasTag:
					set("newTag", tag)
				case hasDigest:
					set("digest", digest)
				default:
					continue
				}
				ways = append(ways, way)
			}
		}
	}
	return ways
}

// images returns the ways to set the image in an object or a patch. It considers
// all workloads of the kind, because kustomize may rename them.
func (k *kustomized) images(s *stream) [][]setting {
	var ways [][]setting
	for _, w := range s.workloads(k.workload.kind) {
		for _, c := range w.containers("containers") {
			if text(first(c, "name")) != k.options.Target.Container {
				continue
			}
			if n := follow(first(c, "image")); n != nil && n.Kind == yaml.ScalarNode && n.Value != k.options.Ref {
				ways = append(ways, []setting{{s.ordinal(n), k.options.Ref}})
			}
		}
	}
	return ways
}

// apply makes the edits in memory and runs kustomize on the result.
func (k *kustomized) apply(f read, way []setting) *Plan {
	p := &Plan{Kustomize: k.options.Kustomize, before: f.data, after: f.data, target: k.options.Target}
	p.File = f.path
	for _, set := range way {
		s, err := parse(p.after, f.path)
		if err != nil || !plainRef.MatchString(set.value) {
			return nil
		}
		e, err := s.replace(s.nth(set.ordinal), f.path, set.value)
		if err != nil {
			return nil
		}
		p.Line = e.Line
		p.changes = append(p.changes, e.changes(p.after)...)
		p.after = e.apply(p.after)
	}
	rendered, err := build(&recorder{FileSystem: filesys.MakeFsOnDisk(), instead: &read{f.path, p.after}}, k.options.Kustomize)
	if err != nil {
		return nil
	}
	after, err := parse(rendered, k.options.Kustomize)
	if err != nil {
		return nil
	}
	differ, ok := differingScalars(k.before, after)
	if !ok || differ[k.image] == nil || !sameImage(differ[k.image].Value, k.options.Ref) {
		return nil
	}
	p.Old, p.New, p.Rendered, p.Workload = k.old, differ[k.image].Value, rendered, k.workload.String()
	delete(differ, k.image)
	also := map[*yaml.Node]bool{}
	for _, u := range k.before.also(k.image, "", k.old, k.options.Ref) {
		also[u.node] = true
	}
	for _, o := range k.before.objects() {
		o.scalars(func(path []step, n *yaml.Node) {
			if u := (use{o.use("", path, n), n, path}); differ[n] != nil {
				moved := k.placed(o, u)
				moved.Image = differ[n].Value
				p.Together = append(p.Together, moved)
				delete(differ, n)
			} else if also[n] {
				p.Also = append(p.Also, k.placed(o, u))
				delete(also, n)
			}
		})
	}
	if len(differ) > 0 {
		return nil // the changes cannot be reported
	}
	return p
}

// sameImage reports whether got is the wanted reference, or that reference
// without its tag, which is the result of an entry that has only a digest.
func sameImage(got, want string) bool {
	w := imageref.Split(want)
	return got == want || w.Digest != "" && got == w.Repository.At(w.Digest).String()
}
