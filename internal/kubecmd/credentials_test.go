package kubecmd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const credentialsManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: system-bus-worker, namespace: joelclaw}
spec:
  selector: {matchLabels: {app: w}}
  template:
    metadata: {labels: {app: w}}
    spec: {containers: [{name: system-bus-worker, image: "ghcr.io/o/w:none"}]}
`

// TestCredentialsAreOneFinding: whatever is wrong with the credentials, each command
// reports it once, and a credential command starts once.
func TestCredentialsAreOneFinding(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
	}))
	defer server.Close()
	const command = `{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, interactiveMode: Never}}`
	const printed = `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}'`
	for _, argv := range []string{
		"rollout --tag t1 --image 127.0.0.1:1/o/w --no-pin", "rollout --tag t1 --image 127.0.0.1:1/o/w --no-pin --image-only --no-inngest",
		"doctor --tag t1 --image 127.0.0.1:1/o/w", "undo", "status", "history", "functions", "runs", "refresh",
	} {
		for name, tc := range map[string]struct {
			user, plugin string
			code         pipeline.Code
			starts       int
		}{
			"a rejected token":     {"{token: abc}", "", cluster.CodeUnauthorized, 0},
			"a command's token":    {command, printed, cluster.CodeUnauthorized, 1},
			"a command that fails": {command, "exit 1", cluster.CodeCredentials, 1},
			"nothing":              {"{}", "", cluster.CodeUnauthorized, 0},
		} {
			t.Run(argv+", "+name, func(t *testing.T) {
				env, out, errs := testEnv(t, "")
				started := filepath.Join(env.Dir, "started")
				for name, text := range map[string]string{
					"kubeconfig":                 strings.NewReplacer(`"http://127.0.0.1:1"`, `"`+server.URL+`", insecure-skip-tls-verify: true`, "user: {}", "user: "+tc.user).Replace(kubeconfig),
					"plugin":                     "#!/bin/sh\necho start >> " + started + "\n" + tc.plugin + "\n",
					"k8s/system-bus-worker.yaml": credentialsManifest,
				} {
					if err := os.WriteFile(filepath.Join(env.Dir, name), []byte(text), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				code := cli.Execute(t.Context(), env, NewRoot(env), append(strings.Fields(argv), "--cache-dir", filepath.Join(env.Dir, "cache"), "-o", "json"))
				var d struct{ cli.Head }
				if err := json.Unmarshal(out.Bytes(), &d); err != nil || code == 0 {
					t.Fatalf("exit %d, %v\n%s", code, err, out)
				}
				var ours []string
				for _, f := range d.Findings {
					if f.Severity == pipeline.Error && f.Code != "registry-unreachable" {
						ours = append(ours, string(f.Code))
					}
				}
				if len(ours) != 1 || ours[0] != string(tc.code) {
					t.Errorf("%q, want one %s\n%s", ours, tc.code, errs)
				}
				if tc.code == cluster.CodeUnauthorized && !strings.Contains(errs.String(), "cluster c rejected the credentials of user u") {
					t.Errorf("neither the cluster nor the user is named:\n%s", errs)
				}
				text, _ := os.ReadFile(started) // the file does not exist if the command never started
				if n := strings.Count(string(text), "start"); n != tc.starts {
					t.Errorf("the command started %d times, want %d", n, tc.starts)
				}
			})
		}
	}
}
