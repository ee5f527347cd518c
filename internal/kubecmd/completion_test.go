package kubecmd

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// asPlugin makes this test's own program the plugin, so that real shells and a
// real kubectl can run it without another build.
const asPlugin = "SBW_TEST_AS_PLUGIN"

func init() {
	if os.Getenv(asPlugin) != "" {
		os.Exit(Main())
	}
}

// complete returns what a shell is offered after these words, without descriptions.
func complete(t *testing.T, env *cli.Env, words ...string) []string {
	t.Helper()
	var out, errs bytes.Buffer
	env.Out, env.Err = &out, &errs
	if code := cli.Execute(t.Context(), env, NewRoot(env), append([]string{"__complete"}, words...)); code != 0 {
		t.Errorf("%v: exit code %d", words, code)
	}
	_, prefix, ok := strings.Cut(words[len(words)-1], "=")
	if !ok {
		prefix = words[len(words)-1]
	}
	return offered(out.String(), prefix)
}

// offered returns the words that a shell shows: the ones with the prefix that was typed.
func offered(out, prefix string) []string {
	var all []string
	for line := range strings.Lines(out) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if word != "" && !strings.HasPrefix(word, ":") && strings.HasPrefix(word, prefix) {
			all = append(all, word)
		}
	}
	return all
}

// leadTo makes the kubeconfig of testEnv point to another server.
func leadTo(t *testing.T, server string) {
	t.Helper()
	text := strings.Replace(kubeconfig, "http://127.0.0.1:1", server, 1)
	text = strings.Replace(text, "contexts: [", "contexts: [{name: staging, context: {cluster: c, user: u}}, ", 1)
	if err := os.WriteFile(os.Getenv("KUBECONFIG"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCompletionWithoutACluster(t *testing.T) {
	env, _, _ := testEnv(t, "workers:\n  beta: {}\n  alpha: {inngest: {app: alpha-app}}\n")
	leadTo(t, "http://127.0.0.1:1")
	store, err := receipt.Open(env.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*receipt.Receipt{
		{Command: "publish", Worker: "alpha", Image: receipt.Image{Tag: "t1"}, Started: time.Now().Add(-time.Hour)},
		{Command: "publish", Worker: "alpha", Image: receipt.Image{Tag: "t2"}, Started: time.Now().Add(-time.Minute)},
		{Command: "publish", Worker: "alpha", Image: receipt.Image{Tag: "failed"}, Code: 1, Started: time.Now()},
		{Command: "rollout", Worker: "alpha", Image: receipt.Image{Tag: "t0"}, Functions: []string{"alpha-app-one", "alpha-app-two"}, Started: time.Now()},
	} {
		if err := store.Save(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		words string
		want  []string
	}{
		{"rollout --context ", []string{"here", "staging"}},
		{"rollout --context st", []string{"staging"}},
		{"rollout --cluster ", []string{"c"}},
		{"status --worker ", []string{"alpha", "beta"}},
		{"rollout --worker alpha --tag ", []string{"t2", "t1"}},
		{"rollout --worker alpha --tag t1", []string{"t1"}},
		{"rollout --dry-run=", []string{"none", "client", "server"}},
		{"rollout -o ", []string{"name", "json", "yaml"}},
		{"functions --worker alpha ", []string{"one", "two"}},
		{"functions --worker alpha one ", nil},
		{"runs --status fa", []string{"failed"}},
		{"rollout -f ", []string{"yaml", "yml", "json"}},
		{"undo --to-revision ", nil},
		{"rollout --namespace ", nil},
		{"explain exec-f", []string{"exec-format"}},
		{"completion ", []string{"bash", "zsh", "fish", "powershell"}},
		{"rollo", []string{"rollout"}},
		{"status ", nil},
	} {
		got := complete(t, env, strings.Split(c.words, " ")...)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.words, got, c.want)
		}
	}
}

func TestCompletionOfNamespaces(t *testing.T) {
	env, _, _ := testEnv(t, "")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces" {
			http.NotFound(w, r)
			return
		}
		item := func(name string) any { return map[string]any{"metadata": map[string]any{"name": name}} }
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "NamespaceList", "apiVersion": "v1", "items": []any{item("joelclaw"), item("default"), item("jobs")}})
	}))
	defer server.Close()
	leadTo(t, server.URL)
	if got := complete(t, env, "rollout", "-n", "jo"); !slices.Equal(got, []string{"jobs", "joelclaw"}) {
		t.Errorf("%v", got)
	}
}

// TestCompletionDoesNotHang: neither a server that never answers nor a credential
// helper that never ends blocks a shell.
func TestCompletionDoesNotHang(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	env, _, errs := testEnv(t, "")
	leadTo(t, "http://"+listener.Addr().String())
	if got := complete(t, env, "rollout", "-n", ""); len(got) > 0 || errs.Len() > 0 {
		t.Errorf("%v, %s", got, errs)
	}
	if err := os.WriteFile(os.Getenv("KUBECONFIG"), []byte(strings.Replace(kubeconfig, "user: {}",
		"user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ['60'], interactiveMode: IfAvailable}}", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := complete(t, env, "rollout", "-n", ""); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// TestShellsComplete has the real bash and the real kubectl complete a line, through
// kubectl's own mechanism and with the plugin's script.
func TestShellsComplete(t *testing.T) {
	kubectl, bash := require.Tool(t, "kubectl"), require.Tool(t, "bash")
	env, _, _ := testEnv(t, "workers:\n  beta: {}\n  alpha: {}\n")
	leadTo(t, "http://127.0.0.1:1")
	bin := filepath.Join(env.Dir, "bin")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"kubectl": kubectl, "kubectl-sbw": self} {
		if err := os.Symlink(to, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = env.Dir
		cmd.Env = append(os.Environ(), asPlugin+"=1", "PATH="+bin+":/usr/bin:/bin")
		cmd.Stderr = io.Discard // as the shells' scripts do it
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s %v: %v", name, args, err)
		}
		return string(out)
	}
	if got, want := run(kubectl, "sbw", "completion", "--install"), filepath.Join(bin, "kubectl_complete-sbw"); got != want+"\n" {
		t.Errorf("the completer was put at %q, not %q", got, want)
	}
	if got := offered(run(kubectl, "__complete", "sbw", "rollout", "--context", ""), ""); !slices.Equal(got, []string{"here", "staging"}) {
		t.Errorf("kubectl's own completion: %v", got)
	}
	script := `
. /usr/share/bash-completion/bash_completion
. <(kubectl sbw completion bash)
line() {
	COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9
	COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
	__kubectl_with_sbw kubectl "${@: -1}"
	echo "${COMPREPLY[@]}"
}
line kubectl sbw rollout --context ""
line kubectl sbw status --worker be
line kubectl sbw rollo
line kubectl cluster-in
complete -p kubectl
`
	want := "here staging\nbeta\nrollout\ncluster-info\ncomplete -o default -F __kubectl_with_sbw kubectl\n"
	if got := strings.ReplaceAll(run(bash, "--norc", "-c", script), " \n", "\n"); got != want {
		t.Errorf("bash: %q, want %q", got, want)
	}
}
