package manifest

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file finds the places in a file that name an image: containers in any
// kind of object, and values that contain the reference.

// object is an object of any kind in a file.
type object struct {
	kind, namespace, name string
	node                  *yaml.Node
}

func (o object) String() string {
	return workload{kind: o.kind, namespace: o.namespace, name: o.name}.String()
}

// objects returns every object in the file, including those in Lists.
func (s *stream) objects() []object {
	var all []object
	for _, d := range s.docs {
		for _, n := range d.Content {
			all = append(all, objectsIn(n, "", 0)...)
		}
	}
	return all
}

func objectsIn(n *yaml.Node, assumed string, depth int) (all []object) {
	n = follow(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > 10 {
		return nil
	}
	k := text(first(n, "kind"))
	if k == "" {
		k = assumed
	}
	if items := follow(first(n, "items")); strings.HasSuffix(k, "List") && items != nil {
		for _, item := range items.Content {
			all = append(all, objectsIn(item, strings.TrimSuffix(k, "List"), depth+1)...)
		}
		return all
	}
	meta := first(n, "metadata")
	return []object{{k, text(first(meta, "namespace")), text(first(meta, "name")), n}}
}

// step is one part of the path from an object to a scalar: a key, or an element
// of a list, which is identified by its name if it has one.
type step struct {
	key, name string
	index     int
}

func (s step) String() string {
	switch {
	case s.key != "":
		return s.key
	case s.name != "":
		return "[name=" + s.name + "]"
	}
	return "[" + strconv.Itoa(s.index) + "]"
}

// scalars calls f for each scalar of the object, following aliases and merges. It
// gives up on a maliciously constructed file.
func (o object) scalars(f func(path []step, n *yaml.Node)) {
	budget := 500_000
	var walk func(n *yaml.Node, path []step)
	walk = func(n *yaml.Node, path []step) {
		budget--
		n = follow(n)
		if n == nil || budget < 0 || len(path) > maxDepth {
			return
		}
		switch n.Kind {
		case yaml.ScalarNode:
			f(path, n)
		case yaml.SequenceNode:
			for i, c := range n.Content {
				walk(c, append(path[:len(path):len(path)], step{name: text(first(c, "name")), index: i}))
			}
		case yaml.MappingNode:
			for _, key := range keys(n) {
				for _, v := range values(n, key) {
					walk(v, append(path[:len(path):len(path)], step{key: key}))
				}
			}
		}
	}
	walk(o.node, nil)
}

// at returns the scalar at a path, or nil.
func (o object) at(path []step) *yaml.Node {
	n := o.node
	for _, p := range path {
		if n = follow(n); n == nil {
			return nil
		}
		switch {
		case p.key != "":
			n = first(n, p.key)
		case n.Kind != yaml.SequenceNode:
			return nil
		default:
			n = element(n, p)
		}
	}
	if n = follow(n); n == nil || n.Kind != yaml.ScalarNode {
		return nil
	}
	return n
}

func element(list *yaml.Node, p step) *yaml.Node {
	if p.name == "" {
		if p.index < len(list.Content) {
			return list.Content[p.index]
		}
		return nil
	}
	for _, c := range list.Content {
		if text(first(c, "name")) == p.name {
			return c
		}
	}
	return nil
}

// use returns the description of the scalar at a path of the object.
func (o object) use(file string, path []step, n *yaml.Node) Use {
	u := Use{File: file, Line: n.Line, Workload: o.String(), Image: n.Value}
	from := 0
	for i := 0; i+1 < len(path); i++ {
		switch path[i].key {
		case "containers", "initContainers", "ephemeralContainers":
			u.Container, from = path[i+1].name, i+2
		}
	}
	rest := path[from:]
	switch {
	case u.Container != "" && len(rest) == 1 && rest[0].key == "image":
	case u.Container != "" && len(rest) == 3 && rest[0].key == "env":
		u.Field = "env " + rest[1].name
	default:
		for _, p := range rest {
			if p.key != "" && u.Field != "" {
				u.Field += "."
			}
			u.Field += p.String()
		}
	}
	return u
}

// String returns the description of the place: container migrate of Deployment
// joelclaw/w.
func (u Use) String() string {
	s := u.Workload
	if u.Container != "" {
		s = fmt.Sprintf("container %s of %s", u.Container, s)
	}
	if u.Field != "" {
		s = fmt.Sprintf("%s of %s", u.Field, s)
	}
	return s
}

// use is a Use and its scalar.
type use struct {
	Use
	node *yaml.Node
	path []step
}

// also returns the other places that name an image of the repository of the old
// or the new reference: as the value of the key "image", or as a full reference
// anywhere else.
func (s *stream) also(scalar *yaml.Node, file, old, ref string) []use {
	var all []use
	seen := map[*yaml.Node]bool{scalar: true}
	for _, o := range s.objects() {
		o.scalars(func(path []step, n *yaml.Node) {
			if seen[n] || !names(n.Value, len(path) > 0 && path[len(path)-1].key == "image", old, ref) {
				return
			}
			seen[n] = true
			all = append(all, use{o.use(file, path, n), n, path})
		})
	}
	return all
}

// names reports whether a value names an image in one of the repositories.
func names(value string, isImage bool, old, ref string) bool {
	r := Repository(value)
	if r == "" || r != Repository(old) && r != Repository(ref) {
		return false
	}
	// Outside of image:, "lamp" may be any name and "lamp:3111" an address.
	return isImage || value == old || value == ref || r != value && strings.Contains(r, "/")
}
