package cptest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// Node is a node that the API server can talk to: it serves logs, and forwards
// ports to servers of the test.
type Node struct {
	Name string
	// Log returns the log of a container and the HTTP status; an empty status
	// means 200.
	Log func(pod, container string, previous bool) (text string, status int)

	mu       sync.Mutex
	backends map[string]string // maps pod:port to an address
	links    map[string][]httpstream.Connection
}

// NewNode registers a node with a unique name.
func NewNode(t testing.TB, kube kubernetes.Interface) *Node {
	t.Helper()
	n := &Node{backends: map[string]string{}, links: map[string][]httpstream.Connection{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", n.logs)
	mux.HandleFunc("/portForward/{namespace}/{pod}", n.forward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", n.forward)
	server := httptest.NewTLSServer(mux)
	t.Cleanup(func() { n.CutAll(); server.Close() })
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var number int32
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	node, err := kube.CoreV1().
		Nodes().
		Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = number
	if _, err := kube.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	n.Name = node.Name
	return n
}

// Serve forwards a pod's port to the server at address. An empty address ends
// that.
func (n *Node) Serve(pod string, port int, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.backends[fmt.Sprintf("%s:%d", pod, port)] = address
}

// Cut ends every port-forward to a pod, as the end of the pod would.
func (n *Node) Cut(pod string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.links[pod] {
		_ = c.Close()
	}
	delete(n.links, pod)
}

// CutAll ends every port-forward.
func (n *Node) CutAll() {
	n.mu.Lock()
	pods := make([]string, 0, len(n.links))
	for pod := range n.links {
		pods = append(pods, pod)
	}
	n.mu.Unlock()
	for _, pod := range pods {
		n.Cut(pod)
	}
}

func (n *Node) logs(w http.ResponseWriter, r *http.Request) {
	if n.Log == nil {
		http.NotFound(w, r)
		return
	}
	text, status := n.Log(r.PathValue("pod"), r.PathValue("container"), r.URL.Query().Get("previous") == "true")
	if status != 0 {
		w.WriteHeader(status)
	}
	_, _ = io.WriteString(w, text) // the client reports what is missing
}

// forward implements the kubelet's side of a port-forward.
func (n *Node) forward(w http.ResponseWriter, r *http.Request) {
	pod := r.PathValue("pod")
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return // Handshake has already answered
	}
	complaints := map[string]httpstream.Stream{}
	var mu sync.Mutex
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		id := s.Headers().Get(corev1.PortForwardRequestIDHeader)
		if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
			mu.Lock()
			complaints[id] = s
			mu.Unlock()
			return nil
		}
		mu.Lock()
		complaint := complaints[id]
		mu.Unlock()
		go n.carry(pod, s, complaint)
		return nil
	})
	if conn == nil {
		return // UpgradeResponse has already answered
	}
	n.mu.Lock()
	n.links[pod] = append(n.links[pod], conn)
	n.mu.Unlock()
	<-conn.CloseChan()
}

func (n *Node) carry(pod string, data, complaint httpstream.Stream) {
	defer complaint.Close()
	defer data.Close()
	port := data.Headers().Get(corev1.PortHeader)
	n.mu.Lock()
	address := n.backends[pod+":"+port]
	n.mu.Unlock()
	if address == "" {
		fmt.Fprintf(
			complaint,
			"error forwarding port %s to pod %s: connect(5, AF=2 127.0.0.1:%s, 16) failed: Connection refused",
			port,
			pod,
			port,
		)
		return
	}
	backend, err := net.Dial("tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		fmt.Fprint(complaint, err)
		return
	}
	defer backend.Close()
	go func() {
		_, _ = io.Copy(backend, data) // it ends when either side ends
		_ = backend.Close()
	}()
	_, _ = io.Copy(data, backend)
}

// HostIP returns an address of this machine that a pod may have. The API
// server's proxy refuses loopback addresses.
func HostIP(t testing.TB) string {
	t.Helper()
	ip := hostIP()
	if ip == "" {
		t.Fatal("this machine has no address except loopback; add one with `ip address add 198.18.0.1/32 dev lo`")
	}
	return ip
}

// hostIP is empty if there is no such address. It is chosen only once: a
// sandbox that starts or stops in the meantime adds and removes addresses, and
// a server of the test must stay reachable for as long as the test runs.
var hostIP = sync.OnceValue(func() string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	var passing string
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			ip, ok := a.(*net.IPNet)
			if !ok || ip.IP.To4() == nil || !ip.IP.IsGlobalUnicast() {
				continue
			}
			if i.Flags&net.FlagLoopback == 0 && !sandboxes.Contains(ip.IP) {
				return ip.IP.String()
			}
			if passing == "" {
				passing = ip.IP.String()
			}
		}
	}
	return passing
})

// sandboxes is the range of addresses that a running sandbox's cluster uses.
var sandboxes = net.IPNet{IP: net.IPv4(198, 18, 0, 0), Mask: net.CIDRMask(15, 32)}
