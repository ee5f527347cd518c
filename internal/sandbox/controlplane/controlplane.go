// Package controlplane runs a Kubernetes control plane without nodes: etcd,
// kube-apiserver and, if wanted, kube-controller-manager and kube-scheduler,
// on random ports of 127.0.0.1, ready in about three seconds.
//
// Tests use it for everything that the API server decides. There are no nodes:
// a test writes the status of its pods itself. The sandbox's whole cluster
// runs the same programs.
package controlplane

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/ports"
)

// Options say which programs to run, and how.
type Options struct {
	Etcd, APIServer, ControllerManager, Scheduler string // paths; the last two may be empty
	// Users maps user names to groups; each user gets a token. The user
	// "admin" of the group system:masters always exists.
	Users map[string][]string
	// APIServerArgs are appended to the API server's arguments.
	APIServerArgs []string
	// AuditLog, if set, is a file that gets one line of JSON per request.
	AuditLog string
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	// Server is the API server's URL.
	Server string
	// Dir holds its keys, data and logs.
	Dir string

	opts   Options
	tokens map[string]string
	ports  struct{ client, peer, api *ports.Port }
	procs  map[string]*process
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// controllers lists the controllers that matter without nodes. The ones that
// clean up after nodes are left out.
const controllers = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller," +
	"garbage-collector-controller,namespace-controller,resourcequota-controller,serviceaccount-controller"

// Start starts a control plane in dir, which must exist, and returns when the
// API server is ready. It runs until Stop.
func Start(ctx context.Context, dir string, o Options) (*ControlPlane, error) {
	c := &ControlPlane{Dir: dir, opts: o, tokens: map[string]string{}, procs: map[string]*process{}}
	err := c.start(ctx)
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context) error {
	for _, port := range []**ports.Port{&c.ports.client, &c.ports.peer, &c.ports.api} {
		var err error
		if *port, err = ports.Reserve(); err != nil {
			return err
		}
	}
	c.Server = fmt.Sprintf("https://127.0.0.1:%d", c.ports.api.Number)
	if err := c.writeFiles(); err != nil {
		return err
	}
	if err := c.startEtcd(); err != nil {
		return err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return err
	}
	kubeconfig, err := c.Kubeconfig("admin")
	if err != nil {
		return err
	}
	if c.opts.ControllerManager != "" {
		err = c.run("controller-manager", c.opts.ControllerManager, "--kubeconfig="+kubeconfig, "--leader-elect=false",
			"--use-service-account-credentials=false", "--secure-port=0", "--concurrent-deployment-syncs=5",
			"--service-account-private-key-file="+filepath.Join(c.Dir, "sa.key"), "--controllers="+controllers)
	}
	if err == nil && c.opts.Scheduler != "" {
		err = c.run("scheduler", c.opts.Scheduler, "--kubeconfig="+kubeconfig, "--leader-elect=false", "--secure-port=0")
	}
	return err
}

func (c *ControlPlane) startEtcd() error {
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", c.ports.client.Number), fmt.Sprintf("http://127.0.0.1:%d", c.ports.peer.Number)
	return c.run("etcd", c.opts.Etcd, "--data-dir="+filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+client, "--advertise-client-urls="+client, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
}

// StartAPIServer starts the API server, for example after StopAPIServer, and
// returns when it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	args := []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", c.ports.client.Number),
		"--cert-dir=" + filepath.Join(c.Dir, "certs"),
		fmt.Sprintf("--secure-port=%d", c.ports.api.Number), "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none", "--allow-privileged",
		"--service-account-key-file=" + filepath.Join(c.Dir, "sa.key"),
		"--service-account-signing-key-file=" + filepath.Join(c.Dir, "sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--token-auth-file=" + filepath.Join(c.Dir, "tokens.csv"), "--authorization-mode=RBAC", "--anonymous-auth=true",
		"--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
		"--shutdown-delay-duration=0s",
	}
	if c.opts.AuditLog != "" {
		args = append(args, "--audit-log-path="+c.opts.AuditLog, "--audit-log-mode=blocking",
			"--audit-policy-file="+filepath.Join(c.Dir, "audit.yaml"))
	}
	if err := c.run("apiserver", c.opts.APIServer, append(args, c.opts.APIServerArgs...)...); err != nil {
		return err
	}
	return c.ready(ctx)
}

// StopAPIServer stops the API server; etcd keeps running.
func (c *ControlPlane) StopAPIServer() { c.stop("apiserver") }

// KillAPIServer kills the API server, as a crash would.
func (c *ControlPlane) KillAPIServer() { c.kill("apiserver") }

// ready waits until the API server reports that it is ready. The limit is there against
// hanging: on a busy machine a start has taken more than a minute.
func (c *ControlPlane) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	client := &http.Client{Transport: insecure()}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Server+"/readyz", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+c.tokens["admin"])
		res, err := client.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body) // the body only repeats the status
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server did not become ready: %w\n%s", context.Cause(ctx), c.end("apiserver"))
		case <-c.procs["apiserver"].done:
			return fmt.Errorf("the API server ended:\n%s", c.end("apiserver"))
		case <-tick.C:
		}
	}
}

// run starts a program whose output goes to a log in Dir.
func (c *ControlPlane) run(name, path string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(c.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = c.Dir
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the log shows how it ended
		close(p.done)
	}()
	c.procs[name] = p
	return nil
}

func (c *ControlPlane) stop(name string) {
	p := c.procs[name]
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		c.kill(name)
	}
	delete(c.procs, name)
}

func (c *ControlPlane) kill(name string) {
	if p := c.procs[name]; p != nil {
		_ = p.cmd.Process.Kill() // it may have ended already
		<-p.done
		delete(c.procs, name)
	}
}

// Stop stops everything. The files in Dir stay.
func (c *ControlPlane) Stop() {
	for _, name := range []string{"scheduler", "controller-manager"} {
		c.kill(name)
	}
	c.kill("apiserver")
	c.kill("etcd")
	for _, port := range []*ports.Port{c.ports.client, c.ports.peer, c.ports.api} {
		if port != nil {
			_ = port.Release() // it may have been released already
		}
	}
}

// Kubeconfig returns the path of a kubeconfig for one of the users.
func (c *ControlPlane) Kubeconfig(user string) (string, error) {
	if _, ok := c.tokens[user]; !ok {
		return "", fmt.Errorf("there is no user %q", user)
	}
	return filepath.Join(c.Dir, user+".kubeconfig"), nil
}

func (c *ControlPlane) writeKubeconfig(user string) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: %[1]s
contexts:
- name: %[1]s
  context: {cluster: local, user: %[1]s, namespace: default}
clusters:
- name: local
  cluster: {server: %[2]q, certificate-authority: %[3]q}
users:
- name: %[1]s
  user: {token: %[4]s}
`, user, c.Server, filepath.Join(c.Dir, "certs", "apiserver.crt"), c.tokens[user])
	return os.WriteFile(filepath.Join(c.Dir, user+".kubeconfig"), []byte(text), 0o600)
}

func (c *ControlPlane) writeFiles() error {
	key, err := serviceAccountKey()
	if err != nil {
		return err
	}
	users := map[string][]string{"admin": {"system:masters"}}
	for name, groups := range c.opts.Users {
		users[name] = groups
	}
	var tokens strings.Builder
	for name, groups := range users {
		random := make([]byte, 16)
		if _, err := rand.Read(random); err != nil {
			return err
		}
		c.tokens[name] = hex.EncodeToString(random)
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", c.tokens[name], name, name, strings.Join(groups, ","))
		if err := c.writeKubeconfig(name); err != nil {
			return err
		}
	}
	audit := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"
	return errors.Join(
		os.WriteFile(filepath.Join(c.Dir, "sa.key"), key, 0o600),
		os.WriteFile(filepath.Join(c.Dir, "tokens.csv"), []byte(tokens.String()), 0o600),
		os.WriteFile(filepath.Join(c.Dir, "audit.yaml"), []byte(audit), 0o600),
	)
}

// end returns the end of a program's log, which is deleted with the test's directory.
func (c *ControlPlane) end(name string) string {
	const most = 2000 // characters
	log, err := os.ReadFile(filepath.Join(c.Dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-most):])
}
