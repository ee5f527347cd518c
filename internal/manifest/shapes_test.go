package manifest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// shape returns a manifest of random but valid shape, with the image marked as in
// stamped. Quoting, anchors, tags, comments, the order of keys, neighbours, other
// documents, Lists, flow style, line ends and the byte order mark vary.
func shape(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	image := func(s string) string {
		switch r.IntN(8) {
		case 0:
			return "'" + s + "'"
		case 1:
			return `"` + s + `"`
		case 2:
			return pick("&i ", "!!str ", "! ", "&i !!str ", "!!str &i ") + pick(s, "'"+s+"'", `"`+s+`"`)
		}
		return s
	}
	comment := func() string {
		return pick("", "", "", " # ghcr.io/o/w:1", "\t# über 🙂 image: x", "   #")
	}
	words := []string{"tty: true", "workingDir: /日本語", `args: ["image: x", '#', "\u00e9"]`, "env: [{name: image, value: ghcr.io/o/w:1}]",
		"imagePullPolicy: Always", "terminationMessagePath: 'it''s'", "stdin: !!bool true"}
	container := func(indent, name, img string) string {
		keys := []string{"name: " + pick(name, "'"+name+"'", `"`+name+`"`), "image: " + img}
		for _, i := range r.Perm(len(words))[:r.IntN(4)] {
			keys = append(keys, words[i])
		}
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		if r.IntN(4) == 0 {
			return indent + "- {" + strings.Join(keys, pick(", ", " , ", ",  ")) + "}" + comment() + "\n"
		}
		var b strings.Builder
		for i, k := range keys {
			b.WriteString(indent + map[bool]string{true: "- ", false: "  "}[i == 0] + k + comment() + "\n")
			if r.IntN(5) == 0 {
				b.WriteString(pick("\n", indent+"  # image: ghcr.io/o/w:1\n", "# x\n"))
			}
		}
		return b.String()
	}
	object := func(name, img, in string) string {
		head := []string{"apiVersion: apps/v1", "kind: Deployment" + comment(), "metadata:\n" + in + "  name: " + name + pick("", "\n"+in+"  namespace: ns", "\n"+in+"  annotations: {image: 'ghcr.io/o/w:1'}")}
		lists := []string{in + "      containers:\n"}
		c := []string{container(in+"      ", "w", img)}
		for i := range r.IntN(3) {
			c = append(c, container(in+"      ", fmt.Sprintf("side%d", i), pick("redis:7", "ghcr.io/o/w:1", "'a'")))
		}
		r.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
		lists[0] += strings.Join(c, "")
		if r.IntN(3) == 0 {
			lists = append(lists, in+"      initContainers:\n"+container(in+"      ", "w", "ghcr.io/o/w:1"))
		}
		r.Shuffle(len(lists), func(i, j int) { lists[i], lists[j] = lists[j], lists[i] })
		spec := "spec:\n" + in + "  template:\n" + in + "    spec:\n" + strings.TrimSuffix(strings.Join(lists, ""), "\n")
		head = append(head, spec)
		r.Shuffle(len(head), func(i, j int) { head[i], head[j] = head[j], head[i] })
		return strings.Join(head, "\n"+in) + "\n"
	}
	docs := []string{object("w", image("⟦ghcr.io/o/w:1⟧"), "")}
	if r.IntN(4) == 0 {
		docs[0] = "kind: List\nitems:\n- " + object("v", "a", "  ") + "- " + object("w", image("⟦ghcr.io/o/w:1⟧"), "  ")
	}
	for range r.IntN(3) {
		docs = append(docs, pick("kind: ConfigMap\ndata:\n  x: |\n    image: ghcr.io/o/w:1\n    ---x\n", "# nothing\n", "", object("v", "ghcr.io/o/w:1", ""),
			"kind: Service\nmetadata: {name: w}\n"))
	}
	r.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	all := strings.Join(docs, pick("---\n", "--- # next\n", "---\n\n# head\n"))
	all = pick("", "---\n", "# "+strings.Repeat("é", r.IntN(5))+"\n") + all
	if r.IntN(3) == 0 {
		all = strings.TrimSuffix(all, "\n")
	}
	all = strings.ReplaceAll(all, "\n", pick("\n", "\n", "\r\n"))
	return pick("", "", "\ufeff") + all
}

func checkShape(t *testing.T, seed uint64) {
	t.Helper()
	src, want := split(shape(rand.New(rand.NewPCG(seed, 0))))
	out, e, err := Stamp([]byte(src), target, newRef)
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, src)
	}
	if string(out) != want {
		t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, out, want)
	}
	checkOnlyImage(t, []byte(src), out, e)
}

func TestStampShapes(t *testing.T) {
	for seed := range uint64(500) {
		checkShape(t, seed)
	}
}

func FuzzStampShapes(f *testing.F) {
	f.Add(uint64(0))
	f.Fuzz(checkShape)
}
