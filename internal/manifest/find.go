package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// workload is an object with a pod template, with aliases and merges resolved.
type workload struct {
	kind, namespace, name string
	node                  *yaml.Node
}

func (w workload) String() string {
	if w.namespace == "" {
		return w.kind + " " + w.name
	}
	return w.kind + " " + w.namespace + "/" + w.name
}

// workloads returns every object of the given kind in the file, or of any of the
// three kinds if kind is empty. Lists are searched, too.
func (s *stream) workloads(kind string) []workload {
	var all []workload
	var visit func(n *yaml.Node, assumed string, depth int)
	visit = func(n *yaml.Node, assumed string, depth int) {
		n = follow(n)
		if n == nil || n.Kind != yaml.MappingNode || depth > 10 {
			return
		}
		k := text(first(n, "kind"))
		if k == "" {
			k = assumed
		}
		if items := follow(first(n, "items")); strings.HasSuffix(k, "List") && items != nil {
			for _, item := range items.Content {
				visit(item, strings.TrimSuffix(k, "List"), depth+1)
			}
			return
		}
		if k == kind || (kind == "" && (k == "Deployment" || k == "StatefulSet" || k == "DaemonSet")) {
			meta := first(n, "metadata")
			all = append(all, workload{k, text(first(meta, "namespace")), text(first(meta, "name")), n})
		}
	}
	for _, d := range s.docs {
		for _, n := range d.Content {
			visit(n, "", 0)
		}
	}
	return all
}

// matches reports whether w is the target. An object without a namespace matches
// any, because kubectl creates it in the namespace of its command line.
func (w workload) matches(t Target) bool {
	return w.name == t.Name && (w.namespace == t.Namespace || w.namespace == "" || t.Namespace == "")
}

// containers returns the mappings in one of the lists of a pod template.
func (w workload) containers(list string) []*yaml.Node {
	seq := follow(first(w.podSpec(), list))
	if seq == nil || seq.Kind != yaml.SequenceNode {
		return nil
	}
	return seq.Content
}

func (w workload) podSpec() *yaml.Node {
	return first(first(first(w.node, "spec"), "template"), "spec")
}

// follow returns the node that an alias refers to; nil stays nil.
func follow(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < 100; i++ {
		n = n.Alias
	}
	return n
}

// first returns the value of a key, or nil.
func first(n *yaml.Node, key string) *yaml.Node {
	if all := values(n, key); len(all) > 0 {
		return all[0]
	}
	return nil
}

// values returns the values that a mapping has for a key: several if the key is
// written more than once. Values that are merged in (<<) count only if the
// mapping has none of its own, as YAML's merge key requires.
func values(n *yaml.Node, key string) []*yaml.Node { return valuesDown(n, key, 0) }

func valuesDown(n *yaml.Node, key string, depth int) []*yaml.Node {
	n = follow(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > 20 {
		return nil
	}
	var own []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := follow(n.Content[i]); k != nil && k.Kind == yaml.ScalarNode && k.Value == key && !isMerge(k) {
			own = append(own, n.Content[i+1])
		}
	}
	if own != nil {
		return own
	}
	for _, m := range merged(n) {
		if vs := valuesDown(m, key, depth+1); vs != nil {
			return vs
		}
	}
	return nil
}

// merged returns the mappings that are merged into n, in order of precedence.
func merged(n *yaml.Node) []*yaml.Node {
	var all []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			continue
		}
		if v := follow(n.Content[i+1]); v != nil && v.Kind == yaml.SequenceNode {
			all = append(all, v.Content...)
		} else if v != nil {
			all = append(all, v)
		}
	}
	return all
}

func isMerge(k *yaml.Node) bool { return k.Kind == yaml.ScalarNode && k.Tag == "!!merge" }

// text returns the value of a scalar, or "".
func text(n *yaml.Node) string {
	if n = follow(n); n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// uses counts the places in the file's objects where the scalar takes effect: one
// where it is written, and one for each alias or merge that repeats it and is not
// overridden there. Top-level keys that only hold something to refer to (x-…, _…,
// …) do not count. It gives up after limit visits, which only a maliciously
// constructed file reaches.
func (s *stream) uses(scalar *yaml.Node) (count int, sure bool) {
	if !s.aliases {
		return 1, true
	}
	budget := 2_000_000
	var walk func(n *yaml.Node, depth int)
	walk = func(n *yaml.Node, depth int) {
		budget--
		n = follow(n)
		if n == nil || budget < 0 || depth > maxDepth {
			return
		}
		if n == scalar {
			count++
			return
		}
		if n.Kind != yaml.MappingNode {
			for _, c := range n.Content {
				walk(c, depth+1)
			}
			return
		}
		for _, key := range keys(n) {
			budget -= len(n.Content)
			for _, v := range values(n, key) {
				walk(v, depth+1)
			}
		}
	}
	for _, d := range s.docs {
		for _, root := range d.Content {
			if root.Kind != yaml.MappingNode {
				walk(root, 0)
				continue
			}
			for _, key := range keys(root) {
				if strings.HasPrefix(key, "x-") || strings.HasPrefix(key, "_") || strings.HasPrefix(key, ".") {
					continue
				}
				for _, v := range values(root, key) {
					walk(v, 0)
				}
			}
		}
	}
	return count, budget >= 0
}

// keys returns the names of n's keys, including merged ones, each once.
func keys(n *yaml.Node) []string {
	var all []string
	seen := map[string]bool{}
	var add func(n *yaml.Node, depth int)
	add = func(n *yaml.Node, depth int) {
		if n = follow(n); n == nil || n.Kind != yaml.MappingNode || depth > 20 {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := follow(n.Content[i])
			if k != nil && k.Kind == yaml.ScalarNode && !isMerge(k) && !seen[k.Value] {
				seen[k.Value] = true
				all = append(all, k.Value)
			}
		}
		for _, m := range merged(n) {
			add(m, depth+1)
		}
	}
	add(n, 0)
	return all
}
