package worker

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestMergeKeys(t *testing.T) {
	c, err := Parse(ConfigName, []byte(`workers:
  a: &a
    deploy: &deploy {namespace: prod, deployment: a, timeout: 5m}
    probe: {port: 8080}
  b:
    <<: *a
    deploy: {<<: *deploy, deployment: b}
  c:
    <<: [*a, {image: ghcr.io/o/c, probe: {port: 1}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	b, errB := c.Worker("b")
	w, errC := c.Worker("c")
	if errB != nil || errC != nil {
		t.Fatal(errB, errC)
	}
	if b.Deploy.Namespace != "prod" || b.Deploy.Deployment != "b" || b.Deploy.Timeout.String() != "5m0s" || b.Probe.Port != 8080 {
		t.Errorf("b is %+v", b)
	}
	if w.Deploy.Deployment != "a" || w.Image.String() != "ghcr.io/o/c" || w.Probe.Port != 8080 {
		t.Errorf("c is %+v", w)
	}
}

// TestOneFinding: each mistake is one finding with its line.
func TestOneFinding(t *testing.T) {
	utf16text := func(order binary.ByteOrder) string {
		var b []byte
		for _, u := range utf16.Encode([]rune("workers: {w: {}}\n")) {
			b = append(b, 0, 0)
			order.PutUint16(b[len(b)-2:], u)
		}
		return string(b)
	}
	for name, c := range map[string]struct{ src, where, what string }{
		"Latin-1":             {"workers:\n  w: {}\n# caf\xe9\n", ".sbw.yaml:3", "Latin-1"},
		"UTF-16":              {utf16text(binary.LittleEndian), ".sbw.yaml:1", "UTF-16"},
		"UTF-16, big endian":  {utf16text(binary.BigEndian), ".sbw.yaml:1", "UTF-16"},
		"no manifest":         {"workers:\n  w:\n    deploy:\n      manifest: \"\"\n", ".sbw.yaml:4", "deploy.manifest is empty"},
		"merge of a text":     {"workers:\n  w:\n    <<: text\n", ".sbw.yaml:3", "<<"},
		"merge of a list":     {"workers:\n  w:\n    <<: [text]\n", ".sbw.yaml:3", "<<"},
		"unknown key, merged": {"workers:\n  w:\n    <<: {nope: 1}\n", ".sbw.yaml:3", "nope"},
		"a merge into itself": {"workers:\n  w: &w\n    <<: *w\n", ".sbw.yaml:2", "<<"},
		"an unknown anchor":   {"workers:\n  w: *nobody\n", ".sbw.yaml:2", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(ConfigName, []byte(c.src))
			found := pipeline.AsFindings("config", err)
			if len(found) != 1 {
				t.Fatalf("%d findings: %v", len(found), err)
			}
			if f := found[0]; f.Code != "config" || f.Where != c.where || !strings.Contains(f.What+f.Why, c.what) || f.Fix == "" {
				t.Errorf("got %+v", f)
			}
		})
	}
	bom := "\ufeff" + "workers: {w: {}}\n"
	if _, err := Parse(ConfigName, []byte(bom)); err != nil {
		t.Errorf("UTF-8 with a byte order mark: %v", err)
	}
	marked := append([]byte{0xff, 0xfe}, utf16text(binary.LittleEndian)...)
	if _, err := Parse(ConfigName, marked); err != nil {
		t.Errorf("UTF-16 with a byte order mark: %v", err)
	}
}
