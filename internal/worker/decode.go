package worker

import (
	"encoding"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/editdistance"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (r *reader) mapping(n *yaml.Node, what string) bool {
	if n.Kind == yaml.MappingNode {
		return true
	}
	r.fail(n, "write it as `key: value` lines", "%s must be a mapping, not %s", what, kindOf(n))
	return false
}

// pairs calls each for every known key of a mapping. If known is nil, every key is known.
func (r *reader) pairs(n *yaml.Node, known []string, at string, each func(string, *yaml.Node)) {
	seen := map[string]bool{}
	for key, val := range r.merged(n, 0) {
		full := strings.TrimPrefix(at+"."+key.Value, ".")
		switch {
		case seen[key.Value]:
			r.fail(key, "remove one of the two", "%s occurs twice", full)
		case known != nil && !slices.Contains(known, key.Value):
			fix := "known keys: " + strings.Join(known, ", ")
			if near := editdistance.Nearest(key.Value, known); near != "" {
				fix = "did you mean " + near + "?"
			}
			if at == "" && slices.Contains(keysOf(reflect.TypeFor[Worker]()), key.Value) {
				fix = "write it under a worker's name: workers.NAME." + key.Value
			}
			r.fail(key, fix, "unknown key %s", full)
		default:
			each(key.Value, resolve(val))
		}
		seen[key.Value] = true
	}
}

// maxMerges limits how deep merge keys may nest; an anchor may contain itself.
const maxMerges = 20

// merged returns the keys and values of a mapping, followed by those of its merge keys
// (<<) that it does not have itself (yaml.org/type/merge.html).
func (r *reader) merged(n *yaml.Node, depth int) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		own := map[string]bool{}
		var others []*yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i], n.Content[i+1]
			if key.Tag != "!!merge" {
				own[key.Value] = true
				if !yield(key, val) {
					return
				}
				continue
			}
			if list := resolve(val); list.Kind == yaml.SequenceNode {
				others = append(others, list.Content...)
			} else {
				others = append(others, list)
			}
		}
		for _, other := range others {
			other = resolve(other)
			if other.Kind != yaml.MappingNode || depth == maxMerges {
				r.fail(other, "write `<<: *NAME`, with the anchor &NAME at a mapping", "the merge key << does not refer to a mapping")
				return
			}
			for key, val := range r.merged(other, depth+1) {
				if own[key.Value] {
					continue
				}
				own[key.Value] = true
				if !yield(key, val) {
					return
				}
			}
		}
	}
}

// keysOf returns the keys that a mapping for a value of this type can have.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "-" {
			keys = append(keys, tag)
		}
	}
	return keys
}

// resolve follows a YAML alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// worded is a mapping that can also be written as one word.
type worded interface {
	setWord(word string) bool
	words() []string
}

var durationType = reflect.TypeFor[time.Duration]()

// into sets v from n. Values that are missing keep their defaults.
func (r *reader) into(n *yaml.Node, at string, v reflect.Value) {
	r.values[at] = n
	if isNull(n) {
		return
	}
	wrong := func(want, example string) {
		r.fail(n, "write "+example, "%s must be %s, not %s", at, want, kindOf(n))
	}
	scalar := n.Kind == yaml.ScalarNode
	if parsed, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if !scalar {
			wrong("a text", "a single value")
		} else if err := parsed.UnmarshalText([]byte(n.Value)); err != nil {
			f := pipeline.AsFindings(at, err)[0]
			r.fail(n, f.Fix, "%s: %s", at, f.What)
		}
		return
	}
	switch {
	case v.Type() == durationType:
		d, err := time.ParseDuration(n.Value)
		if !scalar || err != nil || d <= 0 {
			wrong("a duration above zero", "it as 90s or 3m")
			return
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.String:
		if !scalar {
			wrong("a text", "a single value")
			return
		}
		v.SetString(n.Value)
	case v.Kind() == reflect.Int:
		var i int
		if !scalar || n.Tag != "!!int" || n.Decode(&i) != nil {
			example := "digits alone"
			if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
				example = "it without quotes"
			}
			wrong("a whole number", example)
			return
		}
		v.SetInt(int64(i))
	case v.Kind() == reflect.Bool:
		var b bool
		if !scalar || n.Tag != "!!bool" || n.Decode(&b) != nil {
			wrong("true or false", "it without quotes")
			return
		}
		v.SetBool(b)
	default:
		r.nested(n, at, v)
	}
}

// nested is into for values that hold others.
func (r *reader) nested(n *yaml.Node, at string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "write [a, b], or one `- item` per line", "%s must be a list, not %s", at, kindOf(n))
			return
		}
		items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
		for i, item := range n.Content {
			r.into(resolve(item), fmt.Sprintf("%s[%d]", at, i), items.Index(i))
		}
		v.Set(items)
	case reflect.Map:
		if !r.mapping(n, at) {
			return
		}
		m := reflect.MakeMap(v.Type())
		r.pairs(n, nil, at, func(key string, val *yaml.Node) {
			elem := reflect.New(v.Type().Elem()).Elem()
			r.into(val, at+"."+key, elem)
			m.SetMapIndex(reflect.ValueOf(key), elem)
		})
		v.Set(m)
	case reflect.Struct:
		if w, ok := v.Addr().Interface().(worded); ok && n.Kind == yaml.ScalarNode {
			if !w.setWord(n.Value) {
				fix := "write one of " + strings.Join(w.words(), ", ") + ", or `key: value` lines"
				r.fail(n, fix, "%s must be a mapping or a word, not %q", at, n.Value)
			}
			return
		}
		if !r.mapping(n, at) {
			return
		}
		fields := map[string]reflect.Value{}
		for i := range v.NumField() {
			fields[v.Type().Field(i).Tag.Get("yaml")] = v.Field(i)
		}
		r.pairs(n, keysOf(v.Type()), at, func(key string, val *yaml.Node) { r.into(val, at+"."+key, fields[key]) })
	}
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}
