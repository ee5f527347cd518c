//go:build linux

package cluster

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
)

//go:embed config
var config embed.FS

// user is a user that the API server recognises by a token.
type user struct{ name, groups, file string }

// users are the administrator and the components of the cluster, with the names to
// which Kubernetes' bootstrap roles are bound.
var users = []user{
	{"admin", "system:masters", "kubeconfig"},
	{"system:kube-controller-manager", "", "kube-controller-manager.kubeconfig"},
	{"system:kube-scheduler", "", "kube-scheduler.kubeconfig"},
	{"system:kube-proxy", "", "kube-proxy.kubeconfig"},
	{"system:node:" + NodeName, "system:nodes", "kubelet.kubeconfig"},
	{"system:coredns", "", "coredns.kubeconfig"},
}

// writeConfig writes what the daemons read. Keys and tokens are created once and
// kept for as long as the directory exists. The rest is written each time.
func (c *Cluster) writeConfig() error {
	for _, dir := range []string{"pki", "cni", "kubelet"} {
		if err := os.MkdirAll(c.path(dir), 0o755); err != nil {
			return err
		}
	}
	if err := c.writeIdentities(); err != nil {
		return err
	}
	data := map[string]any{
		"Dir": c.Dir, "NodeName": NodeName, "NodeIP": NodeIP, "PodCIDR": PodCIDR, "ServiceCIDR": ServiceCIDR,
		"Domain": DNSDomain, "Arch": Arch, "Socket": c.socket(), "Pause": PauseImage,
		"KubeletPort": kubeletPort, "KubeletHealth": kubeletHealthPort, "DNSHealth": dnsHealthPort,
	}
	for from, to := range map[string]string{
		"containerd.toml": "containerd.toml",
		"kubelet.yaml":    "kubelet.yaml",
		"cni.conflist":    "cni/10-sbw.conflist",
		"Corefile":        "Corefile",
		"resolv.conf":     "resolv.conf",
	} {
		t, err := template.ParseFS(config, "config/"+from)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, data); err != nil {
			return err
		}
		if err := os.WriteFile(c.path(to), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeIdentities writes the API server's certificate, the key of service
// account tokens, and a token and kubeconfig for every user.
func (c *Cluster) writeIdentities() error {
	tokens := c.path("tokens.csv")
	if _, err := os.Stat(tokens); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cert, key, err := c.CA.Issue("127.0.0.1", "localhost", NodeIP)
	if err != nil {
		return err
	}
	accounts, err := pki.NewKey()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"pki/apiserver.crt": cert,
		"pki/apiserver.key": key,
		"pki/accounts.key":  accounts,
	}
	ca, err := os.ReadFile(c.CA.File())
	if err != nil {
		return err
	}
	var csv strings.Builder
	for _, u := range users {
		token := make([]byte, 16)
		_, _ = rand.Read(token) // never fails: crypto/rand ends the program instead
		fmt.Fprintf(&csv, "%x,%s,%s,%q\n", token, u.name, u.name, u.groups)
		files[u.file] = kubeconfig(hex.EncodeToString(token), ca)
	}
	for name, b := range files {
		if err := os.WriteFile(c.path(filepath.FromSlash(name)), b, 0o600); err != nil {
			return err
		}
	}
	// Written last: if it exists, everything else does too.
	return os.WriteFile(tokens, []byte(csv.String()), 0o600)
}

func kubeconfig(token string, ca []byte) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- {name: sbw, cluster: {server: "https://127.0.0.1:%d", certificate-authority-data: %s}}
users:
- {name: sbw, user: {token: %s}}
contexts:
- {name: sbw, context: {cluster: sbw, user: sbw}}
current-context: sbw
`, apiPort, base64.StdEncoding.EncodeToString(ca), token)
}
