//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/cluster"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// TestInngest runs the stories about registrations and about runs that a
// rollout meets. They run in parallel, each with its own worker and app.
func TestInngest(t *testing.T) {
	s := up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shared.turn.Lock()
	defer shared.turn.Unlock()
	img := newStoryImages(ctx, t, s, npmworkers.SDK3, npmworkers.SDK4)
	t.Run("stories", func(t *testing.T) {
		for name, story := range map[string]func(context.Context, *testing.T, *sandbox.Sandbox, map[string]*storyImages){
			"a step is killed and runs again":                      stepRunsAgain,
			"a step is not killed for good":                        stepIsNotKilled,
			"host and cluster stay side by side":                   sideBySide,
			"a user with few permissions is shown how to continue": fewRights,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				story(ctx, t, s, img)
			})
		}
	})
}

// stepRunsAgain: a rolling update kills a worker in the middle of a step.
// With 2 retries the run completes on the new pod, and the step that had completed is
// not executed again.
func stepRunsAgain(ctx context.Context, t *testing.T, s *sandbox.Sandbox, img map[string]*storyImages) {
	const functions = "FUNCTIONS=approval-request"
	img[npmworkers.SDK3].publish(ctx, t, "slow", functions, "SLOW_MS=600000", "APPROVAL_EVENT=story/again")
	img[npmworkers.SDK3].publish(ctx, t, "quick", functions, "SLOW_MS=1", "APPROVAL_EVENT=story/again")
	w := newStory(ctx, t, s, "story-again")
	w.must(0, nil, "rollout", "--tag", "slow")
	w.send("story/again")
	w.await("the slow step", func(r run) bool { return r.Step == "step after first" })
	w.must(0, []string{"approval-request has been running", "a restart delays it"}, "rollout", "--tag", "quick", "--strategy", "rolling")
	w.registers("approval-request")
	r := w.await("the end of the run", func(r run) bool { return r.Status != "RUNNING" })
	if r.Status != "COMPLETED" || r.EndedAt.IsZero() {
		t.Errorf("the run did not complete as expected: %+v", r)
	}
	log := w.log()
	if !strings.Contains(log, `"step":"slow","state":"ended","run":"`+r.ID+`","attempt":1`) || strings.Contains(log, `"step":"first"`) {
		t.Errorf("the new pod did not execute exactly the slow step, as attempt 1:\n%s", log)
	}
}

// stepIsNotKilled: a function without retries is refused before anything is
// changed. If it is allowed by name, its running step still stops a rolling
// update, which can wait for the step.
func stepIsNotKilled(ctx context.Context, t *testing.T, s *sandbox.Sandbox, img map[string]*storyImages) {
	for _, tag := range []string{"zero1", "zero2"} {
		img[npmworkers.SDK4].publish(ctx, t, tag, "FUNCTIONS=zero", "SLOW_MS=600000", "TAG="+tag)
	}
	w := newStory(ctx, t, s, "story-zero")
	w.must(0, []string{"zero has retries 0"}, "rollout", "--tag", "zero1")
	w.must(3, []string{"story-zero-zero has retries 0", "allow.zeroRetries.zero"}, "rollout", "--tag", "zero2", "--strategy", "rolling")
	config := filepath.Join(w.dir, ".sbw.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "    allow: {zeroRetries: {zero: losing one is its signal}}\n"...)
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	w.send("v4/zero")
	w.await("the step", func(r run) bool { return r.Status == "RUNNING" && r.Step != "" })
	w.must(3, []string{"would kill its run for good", "has retries 0, as allowed", "losing one is its signal"},
		"rollout", "--tag", "zero2", "--strategy", "rolling")
	w.mustAfter(moment{pipeline.Tabled, "wait idle", w.finishSteps}, "story-zero-zero", "rollout", "--tag", "zero2", "--strategy", "rolling", "--wait-idle=5m")
	if r := w.await("the end of the run", func(r run) bool { return r.Status != "RUNNING" }); r.Status != "COMPLETED" {
		t.Errorf("the run did not complete as expected: %+v", r)
	}
}

// rollouts is how often sideBySide replaces workers in the cluster. Every
// second time it replaces two at once.
const rollouts = 20

// sideBySide: a worker on this machine and two in the cluster are registered
// at the same time. However often the workers in the cluster are rolled out,
// their functions are those of their image, and the registration of the worker
// on this machine is not touched. Every third image registers its functions
// once more while its pod ends and the new pod has already registered.
// its way out and the new one has registered.
func sideBySide(ctx context.Context, t *testing.T, s *sandbox.Sandbox, img map[string]*storyImages) {
	const hostApp = "story-host"
	w := newStory(ctx, t, s, hostApp)
	accounts, err := s.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	host, err := npmworkers.Start(ctx, npmworkers.Options{Dir: filepath.Join(s.Dir, "npm"), Name: npmworkers.SDK3, Env: map[string]string{
		"HOST": cluster.NodeIP, "INNGEST_APP_ID": hostApp, "INNGEST_DEV": "0", "INNGEST_BASE_URL": w.url, "INNGEST_SIGNING_KEY": accounts.SigningKey,
		"INNGEST_EVENT_KEY": accounts.EventKey, "FUNCTIONS": "hourly,napper",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Kill)
	put(ctx, t, "http://"+net.JoinHostPort(cluster.NodeIP, fmt.Sprint(host.Port))+"/api/inngest")
	before := hostRegistration(w, hostApp)
	for i, set := range sets {
		env := []string{"FUNCTIONS=" + strings.Join(set, ",")}
		if i == 1 {
			env = append(env, "REGISTER_AT_END=1")
		}
		img[npmworkers.SDK4].publish(ctx, t, fmt.Sprintf("set%d", i), env...)
	}
	t.Run("at once", func(t *testing.T) {
		for _, name := range []string{"story-cluster", "story-second"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				rollOften(newStory(ctx, t, s, name), hostApp, before)
			})
		}
	})
}

// sets lists the functions that the images of sideBySide serve.
var sets = [][]string{{"approval-request", "napper"}, {"approval-request", "napper", "parallel"}, {"approval-request", "parallel"}}

func rollOften(w *story, hostApp string, before registeredApp) {
	for i := range rollouts / 2 {
		set := i % len(sets)
		r := w.must(0, nil, "rollout", "--tag", fmt.Sprintf("set%d", set), "--strategy", "rolling", "--allow-removal", "--prune-stale")
		if set == 2 && !strings.Contains(r.err, "registering again") {
			w.Fatalf("rollout %d did not correct what the old pod had registered late:\n%s", i, r.err)
		}
		w.registers(sets[set]...)
		if now := hostRegistration(w, hostApp); !reflect.DeepEqual(now, before) {
			w.Fatalf("rollout %d touched the host's registration:\n%+v\n%+v", i, before, now)
		}
	}
	w.must(0, []string{hostApp}, "status")
}

func hostRegistration(w *story, app string) registeredApp {
	w.Helper()
	apps, err := w.apps(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	if _, ok := apps[app]; !ok {
		w.Fatalf("the host's worker is not registered: %+v", apps)
	}
	return apps[app]
}

// limited may read workloads, but may neither read Secrets nor forward a port.
const limited = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: story-limited, namespace: joelclaw}
rules:
- {apiGroups: [apps], resources: [deployments, replicasets], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [pods, services, events], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: story-limited, namespace: joelclaw}
roleRef: {kind: Role, name: story-limited, apiGroup: rbac.authorization.k8s.io}
subjects: [{kind: User, name: limited, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: v1
kind: Service
metadata: {name: story-inngest, namespace: joelclaw}
spec: {type: NodePort, selector: {app: inngest}, ports: [{name: api, port: 8288, targetPort: 8288}]}
`

// fewRights: where RBAC refuses the port-forward, Inngest is reached through
// its NodePort. Where RBAC refuses the Secret, the finding names the flag that
// helps, and everything that needs no signature still works.
func fewRights(ctx context.Context, t *testing.T, s *sandbox.Sandbox, img map[string]*storyImages) {
	c, err := s.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(ctx, limited, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := c.Kubectl(context.WithoutCancel(ctx), limited, "delete", "-f", "-"); err != nil {
			t.Error(err)
		}
	})
	img[npmworkers.SDK3].publish(ctx, t, "rights", "FUNCTIONS=parallel")
	w := newStory(ctx, t, s, "story-rights")
	w.must(0, []string{"Inngest is reached through a port-forward to service/inngest-svc:8288"}, "rollout", "--tag", "rights")

	w.must(1, []string{"portforward", "does not have an address outside the cluster"}, "functions", "--as", "limited")
	config := filepath.Join(w.dir, ".sbw.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "inngest: {", "inngest: {service: story-inngest, ", 1))
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	w.must(0, []string{"parallel", "the NodePort http://", "port-forwarding is not allowed"}, "functions", "--as", "limited")
	w.must(0, []string{"the NodePort http://"}, "functions", "--inngest-via", "direct")
	w.must(1, []string{"portforward"}, "functions", "--as", "limited", "--inngest-via", "port-forward")
	w.must(0, []string{"which you may not read", "--signing-key-from", "1 kept"}, "refresh", "--as", "limited")

	accounts, err := s.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(w.dir, "key")
	if err := os.WriteFile(key, []byte(accounts.SigningKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	signed := w.must(0, []string{"1 kept"}, "refresh", "--as", "limited", "--signing-key-from", "file:key", "--verbose")
	if strings.Contains(signed.err, "unsigned") || strings.Contains(signed.err+signed.out, accounts.SigningKey) {
		t.Errorf("not signed, or the key is printed:\n%s", signed.err)
	}
	w.must(0, nil, "refresh", "--signing-key-from", "secret:system-bus-env/INNGEST_SIGNING_KEY")
	w.must(1, []string{"no such Secret"}, "refresh", "--signing-key-from", "secret:none/KEY")
	w.must(1, []string{"is not set here"}, "status", "--signing-key-from", "env:STORY_NO_KEY")
}

// mustAfter runs `kubectl sbw`, executes m at its moment, and expects exit
// code 0 and an output that contains says.
func (w *story) mustAfter(m moment, says string, args ...string) {
	w.Helper()
	r := w.events(m, args...)
	if r.code != 0 || !strings.Contains(r.stdout+r.stderr, says) {
		w.Fatalf("kubectl sbw %s: exit %d, want 0 and %q\n%s%s", strings.Join(args, " "), r.code, says, r.stdout, r.stderr)
	}
}

// finishSteps lets the worker's slow steps end immediately.
func (w *story) finishSteps(*os.Process) error {
	answer, err := w.post("/finish")
	if err != nil {
		return err
	}
	if answer != `{"finished":1}` {
		return fmt.Errorf("want one step to be finished, but the worker answered %s", answer)
	}
	return nil
}

func put(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %s", url, resp.Status)
	}
}
