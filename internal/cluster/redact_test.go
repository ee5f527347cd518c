package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Whatever a server echoes of a request's credentials, and wherever these come from, no
// part of them appears in an error.
func TestNoCredentialComesBack(t *testing.T) {
	const needle = "n33dle-0f-a-t0ken.with-three.parts_of_it"
	long := strings.Repeat("x", 5000)
	echoes := map[string]http.HandlerFunc{
		"a Status": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure",
				Reason: metav1.StatusReasonForbidden, Code: 403, Message: long + r.Header.Get("Authorization") + " may not"})
		},
		"a proxy's page": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprintf(w, "<html>upstream refused %q</html>", r.Header)
		},
		"the beginning alone": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "bad header "+r.Header.Get("Authorization")[:min(24, len(r.Header.Get("Authorization")))]+"…", http.StatusUnauthorized)
		},
		"a challenge": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Www-Authenticate", "Bearer error="+r.Header.Get("Authorization"))
			w.Header().Set("Warning", `299 - "`+r.Header.Get("Authorization")+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	users := map[string]string{
		"token":      "token: " + needle,
		"token file": "tokenFile: " + write("token", needle+"\n", 0o600),
		"password":   "{username: u, password: " + needle + "}",
		"command": "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: " + write("login", `#!/bin/sh
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"`+needle+`"}}'
`, 0o700) + "}",
		"a command that fails": "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: " +
			write("fails", "#!/bin/sh\necho "+needle+"\nexit 3\n", 0o700) + ", args: [--token, " + needle + ", --client-secret=" + needle + "]}",
		"a command that prints something else": "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: " +
			write("other", "#!/bin/sh\necho token: "+needle+"\n", 0o700) + "}",
	}
	for echo, handler := range echoes {
		s := httptest.NewTLSServer(handler) // client-go sends no credentials otherwise
		t.Cleanup(s.Close)
		for kind, user := range users {
			t.Run(echo+" for "+kind, func(t *testing.T) {
				flags := genericclioptions.NewConfigFlags(true)
				*flags.CacheDir = t.TempDir()
				*flags.KubeConfig = filepath.Join(t.TempDir(), "kubeconfig")
				if err := os.WriteFile(*flags.KubeConfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c,
contexts: [{name: c, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}],
users: [{name: u, user: %s}]}`, s.URL, strings.Replace(bare(user), "\n", "", 1)), 0o600); err != nil {
					t.Fatal(err)
				}
				conn, err := Connect(flags, Options{Warn: func(m string) { clean(t, needle, m) }})
				if err != nil {
					t.Fatal(err)
				}
				kube, err := conn.Kube()
				if err != nil {
					t.Fatal(err)
				}
				_, get := kube.CoreV1().Pods("ns").Get(t.Context(), "p", metav1.GetOptions{})
				dyn, err := conn.Dynamic()
				if err != nil {
					t.Fatal(err)
				}
				_, list := dyn.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).List(t.Context(), metav1.ListOptions{})
				mapper, err := conn.Mapper()
				if err == nil {
					_, err = mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
				}
				for i, err := range []error{get, list, err, conn.Ping(t.Context())} {
					if err == nil {
						t.Fatalf("%d: no error", i)
					}
					for _, f := range pipeline.AsFindings("ask", Explain("ask", err)) {
						text, jerr := json.Marshal(f)
						if jerr != nil {
							t.Fatal(jerr)
						}
						clean(t, needle, string(text))
						clean(t, needle, fmt.Sprintf("%+v %v", f, f.Err))
					}
				}
			})
		}
	}
}

func bare(user string) string {
	if strings.HasPrefix(user, "{") {
		return user
	}
	return "{" + user + "}"
}

func clean(t *testing.T, needle, text string) {
	t.Helper()
	if strings.Contains(text, needle[:8]) {
		t.Errorf("a credential is in %.2000s", text)
	}
}

func TestMask(t *testing.T) {
	for _, tt := range []struct{ text, header, want string }{
		{"a Bearer abcdefghijkl b", "Bearer abcdefghijkl", "a Bearer ************ b"},
		{"abcdefghijkl abcdefghij… abcdefgh", "Bearer abcdefghijkl", "************ **********… ********"},
		{"abcdefg is another word", "Bearer abcdefghijkl", "abcdefg is another word"},
		{"dXNlcjpodW50ZXIyMjI= hunter222", "Basic dXNlcjpodW50ZXIyMjI=", "******************** *********"},
		{"short: ab", "Bearer ab", "short: **"},
		{"nothing", "", "nothing"}, {"", "Bearer x", ""},
	} {
		if got := string(mask([]byte(tt.text), secretsOf(tt.header))); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestPrintableArgs(t *testing.T) {
	got := printableArgs([]string{"get-token", "--cluster-name", "freight", "--client-secret=s", "--token", "t", "--api-key", "--v", "1", "-password", "p"})
	want := []string{"get-token", "--cluster-name", "freight", "--client-secret=…", "--token", "…", "--api-key", "--v", "1", "-password", "…"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := withoutPassword("https://u:hunter2@k8s.example:6443"); strings.Contains(got, "hunter2") {
		t.Error(got)
	}
}

func FuzzMask(f *testing.F) {
	f.Add([]byte("a Bearer abcdefghijkl"), "Bearer abcdefghijkl")
	f.Fuzz(func(t *testing.T, text []byte, header string) {
		secrets := secretsOf(header)
		out := mask(text, secrets)
		if len(out) != len(text) {
			t.Fatal("another length")
		}
		for _, s := range secrets {
			if len(s) >= recognisable && !strings.Contains(string(s), "*") && strings.Contains(string(out), string(s)) {
				t.Fatalf("%q is in %q", s, out)
			}
		}
	})
}
