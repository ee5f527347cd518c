package manifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// differingScalars pairs the scalars of two streams of the same shape and
// returns those with different values; ok is false if the shapes differ.
func differingScalars(a, b *stream) (differ map[*yaml.Node]*yaml.Node, ok bool) {
	differ = map[*yaml.Node]*yaml.Node{}
	var same func(a, b *yaml.Node) bool
	same = func(a, b *yaml.Node) bool {
		if a.Kind != b.Kind || a.Tag != b.Tag || len(a.Content) != len(b.Content) {
			return false
		}
		if a.Value != b.Value {
			differ[a] = b
		}
		return slices.EqualFunc(a.Content, b.Content, same)
	}
	return differ, slices.EqualFunc(a.docs, b.docs, same)
}

// ordinal returns the number of nodes before n; nth is its inverse. Editing a
// scalar does not affect either.
func (s *stream) ordinal(n *yaml.Node) (i int) {
	s.visit(func(m *yaml.Node) bool {
		if m == n {
			return false
		}
		i++
		return true
	})
	return i
}

func (s *stream) nth(i int) (n *yaml.Node) {
	s.visit(func(m *yaml.Node) bool {
		n = m
		i--
		return i >= 0
	})
	return n
}

// visit calls f for each node in file order until f returns false.
func (s *stream) visit(f func(*yaml.Node) bool) {
	var walk func(n *yaml.Node) bool
	walk = func(n *yaml.Node) bool {
		if !f(n) {
			return false
		}
		return !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return !walk(c) })
	}
	for _, d := range s.docs {
		if !walk(d) {
			return
		}
	}
}
