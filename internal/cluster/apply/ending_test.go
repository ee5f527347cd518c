package apply_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// end deletes an object that a finalizer keeps.
func (b *bench) end(name string) {
	b.Helper()
	b.kubectl("patch", name, "--type=merge", `-p={"metadata":{"finalizers":["example.test/hold"]}}`)
	b.kubectl("delete", name, "--wait=false", "--cascade=foreground")
}

// TestBeingDeleted: nothing is written to an object that is being deleted, and a rollback does
// not claim to have restored it.
func TestBeingDeleted(t *testing.T) {
	for _, name := range []string{"deployment/worker", "service/worker"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.image("example.test/w:1")
			b.apply(apply.Options{Container: "worker"})
			b.image("example.test/w:2")
			results := b.apply(apply.Options{Container: "worker"})
			b.end(name)
			b.image("example.test/w:3")
			b.write(strings.Replace(b.docs()[0]+"\n---\n"+b.docs()[1], "port: 3111, ", "port: 3112, ", 1))
			found := b.judge(apply.Options{})
			if target := strings.HasPrefix(name, "deployment"); target && len(found) > 0 { // the check of the workload reports it
				t.Errorf("%v", found)
			} else if !target && (len(found) != 1 || found[0].Code != verdict.CodeEnding || !strings.Contains(found[0].Why, "example.test/hold")) {
				t.Errorf("%v", found)
			}
			if _, err := b.try(apply.Options{Container: "worker"}); code(err) != string(verdict.CodeEnding) {
				t.Errorf("%v", err)
			}
			if name == "service/worker" {
				if p := b.service().Spec.Ports[0].Port; p != 3111 {
					t.Errorf("port %d was written", p)
				}
				return
			}
			if _, err := apply.Restore(t.Context(), b.conn, results, apply.Options{Target: b.ref}); !errors.Is(err, workload.ErrReplaced) {
				t.Errorf("restoring: %v", err)
			}
			if image := b.deployment().Spec.Template.Spec.Containers[0].Image; image != "example.test/w:2" {
				t.Errorf("%s was written", image)
			}
		})
	}
}

// TestAddedByOthers: the API server merges what the manifest contains with what somebody else
// has added, and refuses the result. The manifest is not what has to be corrected.
func TestAddedByOthers(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.apply(apply.Options{Container: "worker"})
	b.kubectl("patch", "service/worker", "--type=json", `-p=[{"op":"replace","path":"/spec/ports/0/port","value":83}]`, "--field-manager=dashboard")
	found := b.judge(apply.Options{})
	if len(found) != 1 || found[0].Code != apply.CodeRefused || !strings.Contains(found[0].Why, "port=83") || !strings.Contains(found[0].Why, "dashboard") ||
		!strings.Contains(found[0].Fix, "kubectl edit service/worker") {
		t.Fatalf("%+v", found)
	}
	// If the manifest itself has the name twice, it is to be corrected.
	b.kubectl("delete", "service/worker")
	text := b.docs()[0] + "\n---\n" + b.docs()[1]
	b.write(strings.Replace(text, "    - {name: http, port: 3111, targetPort: http}", "    - {name: http, port: 3111}\n    - {name: http, port: 3112}", 1))
	if found = b.judge(apply.Options{}); len(found) != 1 || !strings.Contains(found[0].Fix, "correct the manifest") {
		t.Fatalf("%+v", found)
	}
}
