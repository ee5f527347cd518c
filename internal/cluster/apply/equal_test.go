package apply_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
)

// TestEqualIsNoConflict: somebody has made the object from the same manifest with a tool that
// owns its fields. Values that only look different are not a reason to refuse the apply.
func TestEqualIsNoConflict(t *testing.T) {
	container := func(more string) string {
		return strings.Replace(fmt.Sprintf(manifest, "example.test/w:1"), "          ports:", more+"          ports:", 1)
	}
	sets := "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: store}\nspec:\n  serviceName: worker\n  selector: {matchLabels: {app: store}}\n" +
		"  template:\n    metadata: {labels: {app: store}}\n    spec: {containers: [{name: c, image: example.test/s}]}\n" +
		"  volumeClaimTemplates:\n    - metadata: {name: data}\n      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}\n"
	for _, tt := range []struct {
		name, doc string
		edit      [2]string // what is changed before the apply
		conflicts string    // the only field that is reported
	}{
		{"quantities", container("          resources: {limits: {cpu: '.5', memory: 1024Mi}, requests: {cpu: 0.1}}\n"), [2]string{}, ""},
		{"a reference without its default", container("          envFrom: [{configMapRef: {name: c, optional: true}}]\n"), [2]string{}, ""},
		{"a field reference", strings.Replace(container(""), `{name: OLD, value: "1"}`, "{name: OLD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}", 1), [2]string{}, ""},
		{"claims", sets, [2]string{}, ""},
		{"one that differs", container("          resources: {limits: {cpu: '.5', memory: 1024Mi}}\n"), [2]string{"memory: 1024Mi", "memory: 2048Mi"}, "limits.memory"},
		{"one that differs and is written differently", container("          resources: {limits: {cpu: '.5', memory: 1024Mi}}\n"), [2]string{"cpu: '.5'", "cpu: '.6'"}, "limits.cpu"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.stdin(tt.doc, "create")
			b.write(tt.doc)
			if tt.edit[0] != "" {
				b.write(strings.Replace(tt.doc, tt.edit[0], tt.edit[1], 1))
			}
			found := b.judge(apply.Options{})
			if tt.conflicts != "" {
				if len(found) != 1 || found[0].Code != apply.CodeConflict || !strings.Contains(found[0].What, tt.conflicts) {
					t.Errorf("%v", found)
				}
				if _, err := b.try(apply.Options{Container: "worker"}); code(err) != string(apply.CodeConflict) {
					t.Errorf("%v", err)
				}
				return
			}
			if len(found) > 0 {
				t.Fatalf("%v", found)
			}
			results := b.apply(apply.Options{Container: "worker"})
			if slices.ContainsFunc(results, func(r apply.Result) bool { return r.Action != apply.Unchanged }) {
				t.Errorf("%v", actions(results))
			}
			if found := b.judge(apply.Options{}); len(found) > 0 {
				t.Errorf("the next time: %v", found)
			}
		})
	}
}
