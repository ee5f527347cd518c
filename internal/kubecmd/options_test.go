package kubecmd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cli/clitest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: other}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
`

// testEnv is a checkout with a kubeconfig that points to a closed port.
func testEnv(t *testing.T, config string) (env *cli.Env, out, errs *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{".git/HEAD": "", ".sbw.yaml": config, "kubeconfig": kubeconfig, "k8s/system-bus-worker.yaml": "kind: Deployment\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBECONFIG", filepath.Join(dir, "kubeconfig"))
	t.Setenv("HOME", dir)
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	return &cli.Env{Plugin: "kubectl sbw", In: strings.NewReader(""), Out: out, Err: errs, Dir: dir, Getenv: stateIn(filepath.Join(dir, "state"))}, out, errs
}

// stateIn is an environment with nothing but a directory for the state.
func stateIn(dir string) func(string) string {
	return func(name string) string {
		if name == "XDG_STATE_HOME" {
			return dir
		}
		return ""
	}
}

// parse returns the options that a rollout would run with.
func parse(t *testing.T, env *cli.Env, argv ...string) (*rolloutOptions, error) {
	t.Helper()
	var got *rolloutOptions
	c := newRollout(&factory{env: env, flags: genericclioptions.NewConfigFlags(true)}, func(_ context.Context, o *rolloutOptions) error {
		got = o
		return nil
	})
	c.SetArgs(argv)
	c.SetContext(t.Context())
	err := c.Execute()
	return got, err
}

func TestDefaultsAreTheSeeds(t *testing.T) {
	env, _, _ := testEnv(t, "")
	o, err := parse(t, env, "--tag", "t1")
	if err != nil {
		t.Fatal(err)
	}
	if o.Ref.String() != "deployment/system-bus-worker" || o.Ref.Namespace != "joelclaw" || o.Timeout != 180*time.Second ||
		o.Probe.Port != 3111 || o.Probe.Path != "/" || o.Manifest.Filenames[0] != filepath.Join(env.Dir, "k8s/system-bus-worker.yaml") || o.Manifest.ImageOnly {
		t.Errorf("%+v of %+v", o.Options, o.Target)
	}
}

// TestImageFlag: exactly the image that --image names is rolled out, with its digest.
func TestImageFlag(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for _, tc := range []struct {
		argv []string
		want string
		code pipeline.Code // of the refusal, if any
	}{
		{[]string{"--image", "ghcr.io/o/w:t1@" + digest}, "ghcr.io/o/w:t1@" + digest, ""},
		{[]string{"--image", "ghcr.io/o/w@" + digest}, "ghcr.io/o/w@" + digest, ""},
		{[]string{"--image", "ghcr.io/o/w@" + digest, "--tag", "t1"}, "ghcr.io/o/w:t1@" + digest, ""},
		{[]string{"--image", "ghcr.io/o/w:t1"}, "ghcr.io/o/w:t1", ""},
		{[]string{"--image", "ghcr.io/o/w", "--tag", "t1"}, "ghcr.io/o/w:t1", ""},
		{[]string{"--image", "ghcr.io/o/w:t1", "--tag", "t1"}, "ghcr.io/o/w:t1", ""},
		{[]string{"--image", "ghcr.io/o/w:t1", "--tag", "t2"}, "", "usage"},
		{[]string{"--image", "ghcr.io/o/w"}, "", "usage"},
		{[]string{"--image", "ghcr.io/o/w:t1@" + digest, "--no-pin"}, "", "usage"},
		{[]string{"--image", "ghcr.io/o/w:t1@sha256:abc"}, "", "image-name"},
		{[]string{"--image", "ghcr.io/o/w:"}, "", "tag-invalid"},
		{[]string{"--image", "ghcr.io/o/a..b:t1"}, "", "image-name"},
		{[]string{"--image", "w:t1"}, "", "image-name"},
	} {
		env, _, _ := testEnv(t, "")
		o, err := parse(t, env, tc.argv...)
		if tc.code != "" {
			if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != tc.code || f.End != pipeline.Usage {
				t.Errorf("%v: %v, want code %s", tc.argv, err, tc.code)
			}
			continue
		}
		if err != nil || o.Image.String() != tc.want {
			t.Errorf("%v: %v, want %s; %v", tc.argv, o.Image, tc.want, err)
		}
	}
}

func TestWithoutACheckoutTheImageAloneIsChanged(t *testing.T) {
	env, _, _ := testEnv(t, "")
	env.Dir = t.TempDir()
	o, err := parse(t, env, "--tag", "t1")
	if err != nil {
		t.Fatal(err)
	}
	if !o.Manifest.ImageOnly {
		t.Error("a manifest was looked for")
	}
}

func TestWaitIdleTakesADurationOrNone(t *testing.T) {
	for arg, want := range map[string]cli.OptionalDuration{"--wait-idle": {Given: true}, "--wait-idle=90s": {Given: true, Limit: 90 * time.Second}} {
		env, _, _ := testEnv(t, "")
		o, err := parse(t, env, "--tag", "t1", arg)
		if err != nil || o.waitIdle != want {
			t.Errorf("%s: %+v, %v", arg, o.waitIdle, err)
		}
	}
}

func TestWhatIsWrongIsOneClearErrorAndItsExitCode(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		argv   []string
		code   pipeline.End
		want   string
	}{
		"no tag":              {"", []string{"rollout"}, pipeline.Usage, "no tag to roll out"},
		"tag":                 {"", []string{"rollout", "--tag", "a b"}, pipeline.Usage, "is not a valid tag"},
		"two tags":            {"", []string{"rollout", "--tag", "a", "--image", "ghcr.io/o/w:b"}, pipeline.Usage, "give the tag once"},
		"upper case":          {"", []string{"rollout", "--tag", "a", "--image", "ghcr.io/O/w"}, pipeline.Usage, "upper case"},
		"no manifest":         {"", []string{"rollout", "--tag", "a", "-f", "gone.yaml"}, pipeline.Usage, "no manifest at gone.yaml"},
		"no such context":     {"", []string{"rollout", "--tag", "a", "--context", "nope"}, pipeline.Usage, `context "nope" does not exist`},
		"dry run":             {"", []string{"rollout", "--tag", "a", "--dry-run=some"}, pipeline.Usage, "--dry-run=some is not known"},
		"path":                {"", []string{"rollout", "--tag", "a", "--probe-path", "x"}, pipeline.Usage, "is not a path"},
		"unknown flag":        {"", []string{"rollout", "--tga", "a"}, pipeline.Usage, "unknown flag: --tga"},
		"exclusive":           {"", []string{"rollout", "--tag", "a", "-f", "x", "--image-only"}, pipeline.Usage, "--filename and --image-only exclude each other"},
		"configuration":       {"workers: {w: {deploy: {timeout: 3}}}", []string{"rollout", "--tag", "a"}, pipeline.Usage, ".sbw.yaml:1"},
		"dead cluster":        {"", []string{"rollout", "--tag", "a", "--image-only", "--image", "ghcr.io/o/w"}, pipeline.RefusedByPreflight, "connection refused"},
		"dead, status":        {"", []string{"status"}, pipeline.Unchanged, "connection refused"},
		"key":                 {"", []string{"refresh", "--signing-key-from", "signkey-prod-abcd"}, pipeline.Usage, "--signing-key-from does not say where"},
		"key, rollout":        {"", []string{"rollout", "--tag", "a", "--signing-key-from", "env:"}, pipeline.Usage, "name of a variable"},
		"event key":           {"", []string{"rollout", "--tag", "a", "--confirm-run", "e", "--event-key-from", "0123456789"}, pipeline.Usage, "--event-key-from does not say where"},
		"event key alone":     {"", []string{"rollout", "--tag", "a", "--event-key-from", "env:X"}, pipeline.Usage, "needs an event"},
		"key, configured":     {"workers: {system-bus-worker: {inngest: {signingKeyFrom: 'secret:x'}}}", []string{"status"}, pipeline.Usage, ".sbw.yaml: inngest.signingKeyFrom secret: needs"},
		"via":                 {"", []string{"status", "--inngest-via", "pigeon"}, pipeline.Usage, `"pigeon" is not a route`},
		"via, configured":     {"workers: {system-bus-worker: {inngest: {via: pigeon}}}", []string{"status"}, pipeline.Usage, ".sbw.yaml: inngest.via"},
		"via and url":         {"", []string{"status", "--inngest-via", "direct", "--inngest-url", "http://x:1"}, pipeline.Usage, "--inngest-url and --inngest-via exclude each other"},
		"state":               {"", []string{"runs", "--status", "done"}, pipeline.Usage, `--status "done" is not a status`},
		"since":               {"", []string{"runs", "--since", "-1h"}, pipeline.Usage, "--since -1h0m0s is below zero"},
		"confirm data":        {"", []string{"rollout", "--tag", "a", "--confirm-run", "e", "--confirm-data", "[1]"}, pipeline.Usage, "is not a JSON object"},
		"data of nothing":     {"", []string{"rollout", "--tag", "a", "--confirm-data", "{}"}, pipeline.Usage, "needs an event"},
		"count":               {"", []string{"runs", "--count", "0"}, pipeline.Usage, "--count 0"},
		"unknown command":     {"", []string{"rolout"}, pipeline.Usage, `has no command "rolout"`},
		"unknown revision":    {"", []string{"undo", "--to-revision", "x"}, pipeline.Usage, `invalid argument "x" for "--to-revision" flag`},
		"no revision":         {"", []string{"undo", "--to-revision", "0"}, pipeline.Usage, "--to-revision 0 is not a revision"},
		"lock wait":           {"", []string{"rollout", "--tag", "a", "--lock-wait", "-5s"}, pipeline.Usage, "--lock-wait -5s is below zero"},
		"step loss":           {"", []string{"undo", "--max-step-loss", "-5s"}, pipeline.Usage, "--max-step-loss -5s is below zero"},
		"probe port":          {"", []string{"rollout", "--tag", "a", "--probe-port", "99999"}, pipeline.Usage, "--probe-port 99999 is not a valid port"},
		"no Inngest":          {"", []string{"rollout", "--tag", "a", "--no-inngest", "--wait-idle"}, pipeline.Usage, "--wait-idle needs Inngest"},
		"diff of nothing":     {"", []string{"rollout", "--tag", "a", "--diff", "--dry-run=client"}, pipeline.Usage, "--dry-run=server shows what would change"},
		"url":                 {"", []string{"status", "--inngest-url", "localhost:8288"}, pipeline.Usage, `"localhost:8288" is not the URL of a server`},
		"url, configured":     {"workers: {system-bus-worker: {inngest: {url: here}}}", []string{"status"}, pipeline.Usage, ".sbw.yaml: inngest.url"},
		"no time at all":      {"", []string{"rollout", "--tag", "a", "--timeout=0"}, pipeline.Usage, "--timeout 0s is not above zero"},
		"negative time":       {"", []string{"undo", "--timeout=-1s"}, pipeline.Usage, "--timeout -1s is not above zero"},
		"no time to drain":    {"", []string{"restart", "--drain-timeout=0s"}, pipeline.Usage, "--drain-timeout 0s is not above zero"},
		"value after a space": {"", []string{"rollout", "--tag", "a", "--wait-idle", "10m"}, pipeline.Usage, "write --wait-idle=10m"},
		"dry run, space":      {"", []string{"restart", "--dry-run", "server"}, pipeline.Usage, "write --dry-run=server"},
		"bool, space":         {"", []string{"undo", "--force", "true"}, pipeline.Usage, "write --force=true"},
		"digest as a tag":     {"", []string{"rollout", "--tag", "a@sha256:" + strings.Repeat("0", 64)}, pipeline.Usage, "--image"},
		"namespace":           {"", []string{"status", "-n", "Bad_NS"}, pipeline.Usage, `--namespace: "Bad_NS" is not a valid name`},
		"namespace, config":   {"workers: {system-bus-worker: {deploy: {namespace: Bad_NS}}}", []string{"status"}, pipeline.Usage, "deploy.namespace"},
		"name, config":        {"workers: {system-bus-worker: {deploy: {deployment: 'a b'}}}", []string{"history"}, pipeline.Usage, "deploy.deployment"},
		"dead, reported once": {"", []string{"rollout", "--tag", "a"}, pipeline.RefusedByPreflight, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			env, out, errs := testEnv(t, tc.config)
			code := cli.Execute(t.Context(), env, NewRoot(env), tc.argv)
			if code != int(tc.code) || !strings.Contains(errs.String(), tc.want) || !strings.Contains(errs.String(), "fix:") {
				t.Errorf("exit %d, want %d, %q and a fix:\n%s", code, tc.code, tc.want, errs)
			}
			if n := strings.Count(errs.String(), "explain "); n != 1 {
				t.Errorf("it is reported %d times:\n%s", n, errs)
			}
			if out.Len() > 0 {
				t.Errorf("stdout is for results: %s", out)
			}
			manifest, err := os.ReadFile(filepath.Join(env.Dir, "k8s/system-bus-worker.yaml"))
			if err != nil || string(manifest) != "kind: Deployment\n" {
				t.Errorf("the manifest was changed: %q, %v", manifest, err)
			}
			if name == "unknown command" {
				return
			}
			if code := cli.Execute(t.Context(), env, NewRoot(env), append(tc.argv, "-o", "json")); code != int(tc.code) {
				t.Errorf("-o json: exit %d", code)
			}
			doc := clitest.Document(t, NewRoot, "kubectl sbw "+tc.argv[0], "json", out.Bytes())
			if doc["end"] != tc.code.Word() || doc["error"] == "" || len(doc["findings"].([]any)) != 1 {
				t.Errorf("-o json: %v", doc)
			}
		})
	}
}

// TestTheRestIsADocument covers mistakes that come up before a command is found, and
// commands that do not concern workers.
func TestTheRestIsADocument(t *testing.T) {
	for _, tc := range []struct {
		argv string
		code pipeline.End
		has  string
	}{
		{"completion bash", pipeline.Done, "script"},
		{"completion", pipeline.Usage, "exitCode"},
		{"completion tcsh", pipeline.Usage, "exitCode"},
		{"explain", pipeline.Done, "entries"},
		{"explain usage", pipeline.Done, "entries"},
		{"explain no-such-thing-at-all", pipeline.Usage, "entries"},
		{"runs --watch", pipeline.Usage, "runs"},
		{"--version", pipeline.Done, "version"},
		{"", pipeline.Usage, "exitCode"},
	} {
		for _, format := range []string{"json", "yaml"} {
			env, out, errs := testEnv(t, "")
			argv := append(strings.Fields(tc.argv), "-o", format)
			if code := cli.Execute(t.Context(), env, NewRoot(env), argv); code != int(tc.code) {
				t.Errorf("%q: exit %d\n%s", argv, code, errs)
			}
			command := "kubectl sbw"
			if !strings.HasPrefix(argv[0], "-") {
				command += " " + argv[0]
			}
			if doc := clitest.Document(t, NewRoot, command, format, out.Bytes()); doc[tc.has] == nil || doc["end"] != tc.code.Word() {
				t.Errorf("%q: %v", argv, doc)
			}
		}
	}
}

func TestStatesAreTakenInEitherCase(t *testing.T) {
	got, err := statuses([]string{"failed", "Running", "canceled"})
	if err != nil || strings.Join(got, " ") != "FAILED RUNNING CANCELLED" {
		t.Errorf("%v %v", got, err)
	}
}

// TestConflictingFlags: each pair in the table is refused before anything is read, and
// flags that do not conflict are accepted.
func TestConflictingFlags(t *testing.T) {
	values := map[string]string{
		"bake": "5m", "drain-timeout": "5m", "probe-port": "80", "inngest-url": "http://x:1", "inngest-via": "direct",
		"signing-key-from": "env:X", "event-key-from": "env:X", "contexts": "a,b", "context": "here", "kustomize": ".", "strategy": "rolling",
		"probe": "none", "dry-run": "client",
	}
	arg := func(name string) string {
		if v := values[name]; v != "" {
			return "--" + name + "=" + v
		}
		return "--" + name
	}
	for _, r := range flagRules.Conflicts {
		t.Run(r.Flag+" "+r.With, func(t *testing.T) {
			env, _, errs := testEnv(t, "")
			code := cli.Execute(t.Context(), env, NewRoot(env), []string{"rollout", "--tag", "a", arg(r.Flag), arg(r.With)})
			if code != int(pipeline.Usage) || !strings.Contains(errs.String(), r.Flag) || !strings.Contains(errs.String(), r.With) {
				t.Errorf("exit %d:\n%s", code, errs)
			}
		})
	}
	env, _, _ := testEnv(t, "")
	if _, err := parse(t, env, "--tag", "a", "--strategy", "switch", "--bake", "5m", "--resume=false"); err != nil {
		t.Error(err)
	}
}
