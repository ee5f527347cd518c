package manifest

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// onlyChanged reports whether two files contain the same trees except for one
// scalar, which is ref in the second one.
func onlyChanged(before, after *stream, scalar *yaml.Node, ref string) bool {
	if len(before.docs) != len(after.docs) {
		return false
	}
	pairs := map[*yaml.Node]*yaml.Node{}
	changed := false
	var same func(a, b *yaml.Node) bool
	same = func(a, b *yaml.Node) bool {
		pairs[a] = b
		if a.Kind != b.Kind || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) ||
			a.HeadComment != b.HeadComment || a.LineComment != b.LineComment || a.FootComment != b.FootComment {
			return false
		}
		if a == scalar {
			changed = b.Value == ref && b.ShortTag() == "!!str"
			return changed
		}
		// An alias points backwards, so its node has already been paired.
		if a.Value != b.Value || a.Tag != b.Tag || a.Style != b.Style || (a.Alias != nil && pairs[a.Alias] != b.Alias) {
			return false
		}
		return slices.EqualFunc(a.Content, b.Content, same)
	}
	return slices.EqualFunc(before.docs, after.docs, same) && changed
}
