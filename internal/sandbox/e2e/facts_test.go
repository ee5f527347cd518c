//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox"
)

const repository = "joelhooks/system-bus-worker"

// facts are the commands that check the state of the registry, the cluster and
// Inngest. Each can be negated.
//
//	tagged TAG…       the registry has all of these tags, and they have one digest
//	runs TAG          every pod of the worker that is not being deleted is ready, runs the
//	                  digest of that tag, and is an arm64 process
//	registered ID…    Inngest has exactly these functions of the worker's app
func facts(s *sandbox.Sandbox) map[string]func(*testscript.TestScript, bool, []string) {
	wrap := func(check func(ctx context.Context, s *sandbox.Sandbox, args []string) error) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			err := check(ctx, s, args)
			switch {
			case neg && err == nil:
				ts.Fatalf("the statement is true")
			case !neg && err != nil:
				ts.Fatalf("%v", err)
			}
		}
	}
	return map[string]func(*testscript.TestScript, bool, []string){
		"tagged":     wrap(tagged),
		"runs":       wrap(runs),
		"registered": wrap(registered),
	}
}

// digestOf reads a digest from the registry directly, not through its front.
func digestOf(ctx context.Context, tag string) (string, error) {
	ref, err := name.ParseReference(sandbox.RegistryAddr+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		return "", err
	}
	d, err := remote.Head(ref, remote.WithContext(ctx))
	if err != nil {
		return "", err
	}
	return d.Digest.String(), nil
}

func tagged(ctx context.Context, _ *sandbox.Sandbox, tags []string) error {
	var digests []string
	for _, tag := range tags {
		d, err := digestOf(ctx, tag)
		if err != nil {
			return err
		}
		digests = append(digests, d)
	}
	if all := slices.Compact(slices.Clone(digests)); len(all) != 1 {
		return fmt.Errorf("the tags %v have the digests %v", tags, digests)
	}
	return nil
}

func runs(ctx context.Context, s *sandbox.Sandbox, args []string) error {
	digest, err := digestOf(ctx, args[0])
	if err != nil {
		return err
	}
	c, err := s.Cluster()
	if err != nil {
		return err
	}
	var d appsv1.Deployment
	if err := get(ctx, s, &d, "deployment/system-bus-worker"); err != nil {
		return err
	}
	if image := d.Spec.Template.Spec.Containers[0].Image; !strings.HasSuffix(image, ":"+args[0]+"@"+digest) {
		return fmt.Errorf("the Deployment names %s, not %s@%s", image, args[0], digest)
	}
	var pods corev1.PodList
	if err := get(ctx, s, &pods, "pods", "--selector=app=system-bus-worker"); err != nil {
		return err
	}
	// A pod that is being deleted may use up its grace period. Bun, as the
	// first process of a pod, always does.
	pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods.Items) != int(*d.Spec.Replicas) {
		return fmt.Errorf("there are %d pods, want %d", len(pods.Items), *d.Spec.Replicas)
	}
	for _, p := range pods.Items {
		st := p.Status.ContainerStatuses[0]
		if !st.Ready || !strings.HasSuffix(st.ImageID, "@"+digest) {
			return fmt.Errorf("pod %s: ready %v, image ID %s, want %s", p.Name, st.Ready, st.ImageID, digest)
		}
		machine, err := c.Kubectl(ctx, "", "--namespace=joelclaw", "exec", p.Name, "--", "busybox", "uname", "-m")
		if err != nil {
			return err
		}
		if strings.TrimSpace(machine) != "aarch64" {
			return fmt.Errorf("pod %s runs on %s", p.Name, machine)
		}
	}
	return nil
}

func registered(ctx context.Context, s *sandbox.Sandbox, want []string) error {
	var svc corev1.Service
	if err := get(ctx, s, &svc, "service/inngest-svc"); err != nil {
		return err
	}
	query := strings.NewReader(`{"query":"{apps{name url error functions{slug}}}"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+svc.Spec.ClusterIP+":8288/v0/gql", query)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Apps []struct {
				Name, URL string
				Error     *string
				Functions []struct{ Slug string }
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	const app = "system-bus-cluster"
	for _, a := range answer.Data.Apps {
		if a.Name != app {
			continue
		}
		if a.Error != nil || a.URL != "http://system-bus-worker:3111/api/inngest" {
			return fmt.Errorf("app %s: url %s, error %v", a.Name, a.URL, a.Error)
		}
		var have []string
		for _, f := range a.Functions {
			have = append(have, strings.TrimPrefix(f.Slug, app+"-"))
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			return fmt.Errorf("the registered functions are %v, want %v", have, want)
		}
		return nil
	}
	return fmt.Errorf("Inngest has no app %s: %+v", app, answer.Data.Apps)
}

// get reads an object or a list of objects from the worker's namespace.
func get(ctx context.Context, s *sandbox.Sandbox, into any, args ...string) error {
	c, err := s.Cluster()
	if err != nil {
		return err
	}
	out, err := c.Kubectl(ctx, "", append([]string{"--namespace=joelclaw", "get", "--output=json"}, args...)...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}
