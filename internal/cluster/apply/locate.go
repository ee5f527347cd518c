package apply

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// step is one part of a field's path: a key, an element by its key's value, or
// an element by its index.
type step struct {
	key     string
	by, is  string // [name="worker"]
	index   int
	indexed bool
}

var pathPart = regexp.MustCompile(`\[(\w+)="?([^"\]]*)"?(?:,[^\]]*)?\]|\[(\d+)\]|\.?([^.\[\]]+)`)

// parsePath reads a field's path in either of the API server's two forms:
// .spec.containers[name="worker"].image and spec.containers[0].image.
func parsePath(path string) []step {
	var steps []step
	for _, m := range pathPart.FindAllStringSubmatch(path, -1) {
		switch {
		case m[1] != "":
			steps = append(steps, step{by: m[1], is: m[2]})
		case m[3] != "":
			n, err := strconv.Atoi(m[3])
			if err != nil {
				return steps
			}
			steps = append(steps, step{index: n, indexed: true})
		default:
			steps = append(steps, step{key: m[4]})
		}
	}
	return steps
}

// Where returns FILE:LINE of a field in the object's source, or of the deepest part of its
// path that is in the file. Without a readable file it returns only the source.
func Where(o Object, path string) string {
	if o.Source == "" {
		return o.GetNamespace() + "/" + strings.ToLower(o.GetKind()) + "/" + o.GetName()
	}
	// Stamping does not move lines, so the unstamped file serves as well.
	text, err := os.ReadFile(o.Source)
	if err != nil {
		return o.Source // a URL, standard input, or what kustomize rendered
	}
	if line := lineOf(text, o, path); line > 0 {
		return fmt.Sprintf("%s:%d", o.Source, line)
	}
	return o.Source
}

// lineOf returns the line of a field of an object in a YAML text; 0 if the object is not in
// it.
func lineOf(text []byte, o Object, path string) int {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return 0
		}
		if len(doc.Content) == 0 {
			continue
		}
		roots := []*yaml.Node{doc.Content[0]}
		if items := child(doc.Content[0], step{key: "items"}); items != nil {
			roots = items.Content
		}
		for _, root := range roots {
			if is(root, o) {
				return lineIn(root, path)
			}
		}
	}
}

func is(n *yaml.Node, o Object) bool {
	text := func(n *yaml.Node, keys ...string) string {
		for _, k := range keys {
			if n = child(n, step{key: k}); n == nil {
				return ""
			}
		}
		return n.Value
	}
	ns := text(n, "metadata", "namespace")
	return text(n, "kind") == o.GetKind() && text(n, "metadata", "name") == o.GetName() && (ns == "" || ns == o.GetNamespace())
}

func lineIn(n *yaml.Node, path string) int {
	line := n.Line
	for _, s := range parsePath(path) {
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == s.key {
					line = n.Content[i].Line
				}
			}
		}
		if n = child(n, s); n == nil {
			return line
		}
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if s.key == "" {
			line = n.Line
		}
	}
	return line
}

// child goes one step down; it returns nil if there is nothing. Of several elements with
// the same key it returns the last one, which is the superfluous one.
func child(n *yaml.Node, s step) (found *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		return child(n.Alias, s)
	case n.Kind == yaml.MappingNode && s.key != "":
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == s.key {
				return n.Content[i+1]
			}
		}
	case n.Kind == yaml.SequenceNode && s.indexed && s.index < len(n.Content):
		return n.Content[s.index]
	case n.Kind == yaml.SequenceNode && s.by != "":
		for _, e := range n.Content {
			if v := child(e, step{key: s.by}); v != nil && v.Value == s.is {
				found = e
			}
		}
	}
	return found
}
