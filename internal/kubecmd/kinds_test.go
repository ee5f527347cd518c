package kubecmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTheLifeOfOtherKinds follows the life of a StatefulSet and of a DaemonSet, like
// TestTheLifeOfAWorker for a Deployment. It adds a node to the cluster, on which the pods
// of other tests would have no room, and therefore runs alone.
func TestTheLifeOfOtherKinds(t *testing.T) {
	for _, kind := range []string{"StatefulSet", "DaemonSet"} {
		t.Run(kind, func(t *testing.T) {
			alone(t)
			w := newWorld(t, 1)
			name := strings.ToLower(kind)
			w.write(".sbw.yaml", strings.Replace(w.read(".sbw.yaml"), "{manifest:", "{kind: "+kind+", manifest:", 1))
			file := strings.Replace(w.read("k8s/worker.yaml"), "kind: Deployment", "kind: "+kind, 1)
			if kind == "DaemonSet" {
				file = strings.Replace(file, "  replicas: 1\n", "", 1)
				node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: w.ns, Labels: map[string]string{"for": w.ns}},
					Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{Architecture: "arm64", OperatingSystem: "linux"}}}
				if _, err := w.kubes[0].CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := w.kubes[0].CoreV1().Nodes().Delete(context.Background(), node.Name, metav1.DeleteOptions{}); err != nil {
						t.Error(err)
					}
				})
				file = strings.Replace(file, "tolerations:", "nodeSelector: {for: "+w.ns+"}\n      tolerations:", 1)
			}
			w.write("k8s/worker.yaml", file)

			out, _ := w.run(0, "rollout", "--tag", "old", "--no-inngest")
			if !strings.HasPrefix(out, w.ns+"/"+name+"/worker "+w.registry+"/o/w:old@sha256:") {
				t.Errorf("stdout is %q", out)
			}
			old := w.read("k8s/worker.yaml")
			w.run(0, "rollout", "--tag", "new", "--no-inngest")
			now := w.read("k8s/worker.yaml")
			if s, codes := w.status(0); !s.Well || len(codes) > 0 || s.Workload != name+"/worker" || !strings.Contains(s.Image, ":new@") || s.Shipped != s.Image {
				t.Errorf("%q %+v", codes, s)
			}
			_, errs := w.run(4, "rollout", "--tag", "crash", "--no-inngest")
			if s, _ := w.status(0); !s.Well || !strings.Contains(s.Image, ":new@") || w.read("k8s/worker.yaml") != now || !strings.Contains(errs, "crash-loop") {
				t.Errorf("%+v\n%s", s, errs)
			}
			out, _ = w.run(0, "undo", "--no-inngest", "-o", "json")
			var undone rolloutDocument
			if err := json.Unmarshal([]byte(out), &undone); err != nil {
				t.Fatal(err)
			}
			if undone.Tag != "old" || w.read("k8s/worker.yaml") != old {
				t.Errorf("%+v\n%s", undone, w.read("k8s/worker.yaml"))
			}
			var got []string
			for _, p := range w.history() {
				if p.Command != "" {
					got = append(got, fmt.Sprintf("%s %s %s %v", p.Command, p.Tag, p.End, p.Current))
				}
			}
			if want := "undo old done true, rollout crash restored false, rollout new done false, rollout old done false"; strings.Join(got, ", ") != want {
				t.Errorf("history: %s", strings.Join(got, ", "))
			}
			w.run(3, "rollout", "--tag", "none", "--no-inngest")
		})
	}
}
