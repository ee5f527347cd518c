package watch_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// envChild makes this test binary the watcher only, so that its memory does not include a
// control plane or a simulated kubelet.
const envChild = "WATCH_BENCH_CHILD" // KUBECONFIG NAMESPACE

// maxPeakMB is how much memory a run may use, whatever it follows.
const maxPeakMB = 120

// figures is what the child measured.
type figures struct {
	Requests int64   `json:"requests"`
	PeakMB   float64 `json:"peakMB"`
	Seconds  float64 `json:"seconds"`
}

// TestWatchChild is a part of the benchmark, which runs it in a child process.
func TestWatchChild(t *testing.T) {
	kubeconfig, namespace, ok := strings.Cut(os.Getenv(envChild), " ")
	if !ok {
		return
	}
	w := &wire{}
	kube := childClient(t, w, kubeconfig, namespace)
	d, err := kube.AppsV1().Deployments(namespace).Get(t.Context(), "w", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.requests.Store(0)
	r, err := watch.Rollout(t.Context(), kube, watch.Options{Applied: &workload.Workload{Deployment: d}, Timeout: 8 * time.Minute})
	if err != nil || r.Verdict.State != verdict.Complete {
		t.Fatal(err)
	}
	out, err := json.Marshal(figures{Requests: w.requests.Load(), PeakMB: peakMB(t), Seconds: r.Took.Seconds()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nfigures %s\n", out)
}

// peakMB is this process's highest resident memory so far.
func peakMB(t *testing.T) float64 {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kb float64
		if n, err := fmt.Sscanf(s.Text(), "VmHWM: %f kB", &kb); n == 1 && err == nil {
			return kb / 1024
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// BenchmarkReplicas rolls out 10 and 1000 replicas on a control plane whose
// pods a pretended kubelet makes ready, and reports the requests and the peak
// memory of the process that follows it; it fails where requests grow with the
// replicas, or where the peak is above maxPeakMB. It takes minutes:
//
//	go test -run '^$' -bench Replicas -benchtime 1x ./internal/cluster/watch
func BenchmarkReplicas(b *testing.B) {
	few := int64(0) // requests of the smaller rollout
	for _, replicas := range []int32{10, 1000} {
		b.Run(fmt.Sprint(replicas), func(b *testing.B) {
			cp := cptest.Shared(b)
			kube := cptest.Kube(b, cp)
			kubeconfig, err := cp.Kubeconfig("admin")
			if err != nil {
				b.Fatal(err)
			}
			var last figures
			for b.Loop() {
				ns := cptest.Namespace(b, kube, nil)
				cptest.Kubelet(b, kube, ns)
				if _, err := kube.AppsV1().Deployments(ns).Create(b.Context(), benchDeployment(replicas), metav1.CreateOptions{}); err != nil {
					b.Fatal(err)
				}
				cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestWatchChild$")
				cmd.Env = append(os.Environ(), envChild+"="+kubeconfig+" "+ns)
				out, err := cmd.CombinedOutput()
				if err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				_, text, ok := strings.Cut(string(out), "figures ")
				if err := json.NewDecoder(strings.NewReader(text)).Decode(&last); !ok || err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			b.ReportMetric(float64(last.Requests), "requests")
			b.ReportMetric(last.PeakMB, "peak-MB")
			b.ReportMetric(last.Seconds, "s/rollout")
			if few == 0 {
				few = last.Requests
			}
			if last.Requests > few {
				b.Errorf("%d requests for %d replicas, and %d for few: they grow with the replicas", last.Requests, replicas, few)
			}
			if last.PeakMB > maxPeakMB {
				b.Errorf("%.0f MB of memory at the peak, more than %d", last.PeakMB, maxPeakMB)
			}
		})
	}
}

func benchDeployment(replicas int32) *appsv1.Deployment {
	d := deployment("x/w:1", replicas)
	d.Spec.Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}}}
	d.Spec.Template.Spec.Containers[0].ReadinessProbe.TCPSocket.Port.IntVal = 3111
	return d
}

// childClient is a counted client from a kubeconfig alone.
func childClient(t *testing.T, w *wire, kubeconfig, namespace string) kubernetes.Interface {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.Namespace = &kubeconfig, &namespace
	conn, err := cluster.Connect(flags, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn.Config.WrapTransport = func(rt http.RoundTripper) http.RoundTripper { w.RoundTripper = rt; return w }
	kube, err := conn.Kube()
	if err != nil {
		t.Fatal(err)
	}
	return kube
}
