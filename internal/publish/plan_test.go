package publish

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/push"
)

func TestPlanned(t *testing.T) {
	tags := []push.PlanTag{{Tag: "v2"}, {Tag: "latest", Now: "sha256:1"}, {Tag: "v1", Now: "sha256:2"}}
	p := &push.Plan{Repository: "ghcr.io/o/w", Digest: "sha256:2", Size: 3000, Bytes: 2500, Tags: tags, Blobs: []push.PlanBlob{
		{Name: "config", Size: 500}, {Name: "layer 1/2", Size: 500, Exists: true}, {Name: "layer 2/2", Size: 2000},
	}}
	want := []string{
		"would send 2.5 kB in 2 of 3 parts: config (500 B), layer 2/2 (2.0 kB)",
		"ghcr.io/o/w:v2 would be new",
		"ghcr.io/o/w:latest would be moved, from sha256:1",
		"ghcr.io/o/w:v1 already points to this image",
	}
	if d := cmp.Diff(want, planned(p)); d != "" {
		t.Error(d)
	}
	p.Tags, p.Blobs = nil, p.Blobs[1:2]
	if d := cmp.Diff([]string{"nothing would be sent: all parts exist already"}, planned(p)); d != "" {
		t.Error(d)
	}
	for i := range 20 {
		p.Blobs = append(p.Blobs, push.PlanBlob{Name: fmt.Sprintf("layer %d/20", i+1)})
	}
	if got := planned(p)[0]; !strings.HasSuffix(got, "layer 8/20 (0 B), and 12 more") {
		t.Error(got)
	}
}
