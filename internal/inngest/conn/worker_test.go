package conn

import "testing"

func TestServiceOf(t *testing.T) {
	for host, want := range map[string]string{
		"worker": "own/worker", "worker.ns": "ns/worker", "worker.ns.svc": "ns/worker", "worker.ns.svc.cluster.local": "ns/worker",
		"localhost": "", "10.0.0.1": "", "host.docker.internal": "", "a.b.example.com": "",
	} {
		namespace, name, ok := ServiceOf(host, "own")
		if got := namespace + "/" + name; ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s, %v; want %q", host, got, ok, want)
		}
	}
}
