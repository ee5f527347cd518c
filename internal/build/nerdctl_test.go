package build

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// startContainerd starts a containerd for t only and returns its address.
func startContainerd(t *testing.T) string {
	t.Helper()
	require.Root(t)
	daemon := require.Tool(t, "containerd")
	dir, err := os.MkdirTemp("", "cd")
	if err != nil {
		t.Fatal(err)
	}
	address := filepath.Join(dir, "s")
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n",
		dir+"/root", dir+"/state", address, address+".ttrpc")
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	// Read its output to wait for the message that it is serving.
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon, "--config", file)
	cmd.Stderr, cmd.Stdout = pw, pw
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	served, ended := make(chan struct{}), make(chan string, 1)
	go func() {
		var log bytes.Buffer
		buf := make([]byte, 4096)
		booted := false
		for {
			n, err := pr.Read(buf)
			log.Write(buf[:n])
			if !booted && bytes.Contains(log.Bytes(), []byte("successfully booted")) {
				booted = true
				close(served)
			}
			if err != nil {
				ended <- log.String()
				return
			}
		}
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // ended by a signal
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-served:
	case log := <-ended:
		t.Fatalf("containerd ended:\n%s", log)
	case <-t.Context().Done():
		t.Fatal("containerd does not serve")
	}
	return address
}

func TestNerdctl(t *testing.T) {
	program := require.Tool(t, "nerdctl")
	containerd := startContainerd(t)
	host, _ := buildkitd.Start(t)
	dir := t.TempDir()
	toml := filepath.Join(dir, "nerdctl.toml")
	text := fmt.Sprintf("address = %q\nnamespace = \"sbw-test\"\ndata_root = %q\ncni_netconfpath = %q\n", containerd, dir+"/data", dir+"/cni")
	if err := os.WriteFile(toml, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// nerdctl finds buildctl on PATH.
	path := filepath.Dir(require.Tool(t, "buildctl")) + ":" + os.Getenv("PATH")
	b := &nerdctl{machine: testMachine("NERDCTL_TOML="+toml, "BUILDKIT_HOST="+host, "PATH="+path), program: program}
	found, err := b.Check(t.Context(), Request{})
	if err != nil || len(found) != 0 {
		t.Fatalf("findings = %v, %v", found, err)
	}
	engines(t, b, byBuildKit)
	steps(t, b, byBuildKit)
	out, err := b.env().output(t.Context(), program, "images", "--quiet")
	if err != nil || out != "" {
		t.Errorf("left in containerd: %q, %v", out, err)
	}

	down := &nerdctl{machine: testMachine("CONTAINERD_ADDRESS=" + filepath.Join(dir, "nowhere")), program: program}
	found, err = down.Check(t.Context(), Request{})
	if err != nil || len(found) != 1 || found[0].Code != "builder-down" {
		t.Errorf("findings = %v, %v", found, err)
	}
}
