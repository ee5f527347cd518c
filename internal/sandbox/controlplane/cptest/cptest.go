// Package cptest gives tests a control plane, connections to it, and a kubelet
// that only pretends to run pods.
package cptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// Options finds the programs. On a machine without them the test is skipped,
// and the message says how to install them, as in package require.
func Options(t testing.TB) controlplane.Options {
	t.Helper()
	return controlplane.Options{
		APIServer: require.Tool(
			t,
			"kube-apiserver",
		),
		ControllerManager: require.Tool(t, "kube-controller-manager"),
		Etcd:              require.Tool(t, "etcd"),
		Users:             map[string][]string{"alice": {"devs"}, "bob": {"devs"}, "nobody": {"strangers"}},
	}
}

// Start starts a control plane for a single test, for example because the test
// would disturb others.
func Start(t testing.TB, o controlplane.Options) *controlplane.ControlPlane {
	t.Helper()
	cp, err := controlplane.Start(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cp.Stop)
	return cp
}

// shared is the control plane that all tests of a package use. It runs until
// Main returns.
var shared struct {
	once sync.Once
	cp   *controlplane.ControlPlane
	dir  string
	err  error
}

// Shared returns the package's control plane and starts it on first use. The
// package's TestMain must call Main.
func Shared(t testing.TB) *controlplane.ControlPlane {
	t.Helper()
	o := Options(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "controlplane"); shared.err == nil {
			shared.cp, shared.err = controlplane.Start(context.Background(), shared.dir, o)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cp
}

// Main runs a package's tests and then stops the shared control plane.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.cp != nil {
		shared.cp.Stop()
	}
	if shared.dir != "" {
		if err := os.RemoveAll(shared.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return code
}

// Flags returns kubectl's flags as the given user would set them.
func Flags(t testing.TB, cp *controlplane.ControlPlane, user, namespace string) *genericclioptions.ConfigFlags {
	t.Helper()
	kubeconfig, err := cp.Kubeconfig(user)
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &kubeconfig, &namespace, &cache
	return flags
}

// Connect connects as the given user.
func Connect(t testing.TB, cp *controlplane.ControlPlane, user, namespace string) *cluster.Conn {
	t.Helper()
	conn, err := cluster.Connect(Flags(t, cp, user, namespace), cluster.Options{UserAgent: "cptest/" + user})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Kube returns a client with the rights of an administrator.
func Kube(t testing.TB, cp *controlplane.ControlPlane) kubernetes.Interface {
	t.Helper()
	kube, err := Connect(t, cp, "admin", "default").Kube()
	if err != nil {
		t.Fatal(err)
	}
	return kube
}

// Namespace creates a namespace for one test.
func Namespace(t testing.TB, kube kubernetes.Interface, labels map[string]string) string {
	t.Helper()
	name := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, t.Name()), "-")
	meta := metav1.ObjectMeta{GenerateName: name[:min(len(name), 40)] + "-", Labels: labels}
	ns, err := kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// NamedNamespace creates a namespace with the given name, for tests of two
// clusters.
func NamedNamespace(t testing.TB, kube kubernetes.Interface, name string) {
	t.Helper()
	if _, err := kube.CoreV1().
		Namespaces().
		Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
