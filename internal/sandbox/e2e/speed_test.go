//go:build linux

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// scriptTimeout is the timeout that the script passes to `kubectl rollout
// status`: 180s in the original. The script waits that long whenever a rollout
// fails, so a shorter timeout only flatters the script.
var scriptTimeout = flag.Duration("script-timeout", 20*time.Second, "the script's timeout for kubectl rollout status; 180s in the original")

// BenchmarkRollout compares `kubectl sbw rollout` with the commands of the
// script that it replaces, on the real cluster:
//
//	go test -run '^$' -bench 'Rollout|Help' -benchtime 5x -timeout 40m ./internal/sandbox/e2e [-args -script-timeout 180s]
//
// For a good tag, complete→watched-s is the time from the API server's report
// of a complete rollout to the end of the stage that waits for it. probe-s and
// settle-s (old pods gone) are stages that the script does not have. exit-s is
// the time from the end of the last stage to the end of the process. late-s is
// all of that without settle. script÷sbw is how many times later the script
// reports than sbw, with the medians of the same run. For a bad tag, verdict-s
// is the time from the first report of the API that proves the failure to the
// verdict, and whole-s includes the rollback and its proof.
func BenchmarkRollout(b *testing.B) {
	st := standin(b)
	names := []string{"speed", "script"}
	bad := []struct{ name, tag, proof string }{
		{"missing-tag", "never", "ErrImagePull|ImagePullBackOff"},
		{"crash", "crash", `"exitCode":3`},
		{"wrong-architecture", "foreign", `exec format error|"terminated"`},
	}
	for _, f := range bad {
		names = append(names, f.name, f.name+"-script")
	}
	places := st.places(b, names)
	eyes := st.look(b)
	sbw := metrics{}
	b.Run("good/sbw", func(b *testing.B) { sbw = benchGood(b, places["speed"]) })
	b.Run("good/script", func(b *testing.B) {
		m := benchScript(b, places["script"])
		beside(b, m["late-s"], sbw["late-s"])
	})
	for _, f := range bad {
		var sbw metrics
		b.Run(f.name+"/sbw", func(b *testing.B) {
			p := places[f.name]
			m := metrics{}
			for b.Loop() {
				eyes.watch(p.ns, f.proof)
				r, err := p.kubectl(b.Context(), moment{}, blind, "rollout", "--tag", f.tag, "--no-inngest")
				if err != nil || r.code != int(pipeline.Restored) {
					b.Fatal(err, r.stderr)
				}
				reported, _ := r.finished("watch")
				knew, ok := eyes.first(p.ns)
				if !ok {
					b.Fatal("the API reported nothing that proves the failure")
				}
				m.add("verdict-s", max(0, reported.Time.Sub(knew).Seconds()))
				m.add("whole-s", r.took.Seconds())
			}
			m.report(b)
			sbw = m
		})
		b.Run(f.name+"/script", func(b *testing.B) {
			p := places[f.name+"-script"]
			m := metrics{}
			for b.Loop() {
				eyes.watch(p.ns, f.proof)
				at, err := p.script(b.Context(), f.tag)
				if err == nil {
					b.Fatal("the script did not fail")
				}
				knew, ok := eyes.first(p.ns)
				if !ok {
					b.Fatal("the API reported nothing that proves the failure")
				}
				m.add("verdict-s", at.Sub(knew).Seconds())
				if _, err := p.script(b.Context(), "good"); err != nil { // for the next iteration
					b.Fatal(err)
				}
			}
			m.report(b)
			beside(b, m["verdict-s"], sbw["verdict-s"])
		})
	}
}

func benchGood(b *testing.B, p *place) metrics {
	m := metrics{}
	for n := 0; b.Loop(); n++ {
		tag := []string{"better", "good"}[n%2]
		completed := p.completion(b)
		r, err := p.kubectl(b.Context(), moment{}, nil, "rollout", "--tag", tag, "--no-inngest")
		if err != nil || r.code != 0 {
			b.Fatal(err, r.stderr)
		}
		complete := <-completed
		watched, _ := r.finished("watch")
		probed, _ := r.finished("probe")
		settled, _ := r.finished("settle")
		m.add("complete→watched-s", watched.Time.Sub(complete).Seconds())
		m.add("probe-s", probed.Time.Sub(watched.Time).Seconds())
		m.add("settle-s", settled.Time.Sub(probed.Time).Seconds())
		m.add("exit-s", r.ended.Sub(settled.Time).Seconds())
		m.add("late-s", r.ended.Sub(complete).Seconds()-settled.Time.Sub(probed.Time).Seconds())
		m.add("whole-s", r.took.Seconds())
	}
	m.report(b)
	return m
}

func benchScript(b *testing.B, p *place) metrics {
	m := metrics{}
	for n := 0; b.Loop(); n++ {
		completed := p.completion(b)
		begin := time.Now()
		if _, err := p.script(b.Context(), []string{"better", "good"}[n%2]); err != nil {
			b.Fatal(err)
		}
		m.add("late-s", time.Since(<-completed).Seconds())
		m.add("whole-s", time.Since(begin).Seconds())
	}
	m.report(b)
	return m
}

// script runs the commands of the original script: sed, apply, rollout status,
// and reading a page of any pod. It returns when the wait has ended.
func (p *place) script(ctx context.Context, tag string) (at time.Time, err error) {
	text := strings.Replace(string(p.original), standinImage+":good", standinImage+":"+tag, 1)
	c, err := p.Cluster()
	if err != nil {
		return at, err
	}
	if _, err := c.Kubectl(ctx, text, "apply", "-f", "-"); err != nil {
		return at, err
	}
	_, err = c.Kubectl(ctx, "", "--namespace="+p.ns, "rollout", "status", "deployment/worker", "--timeout="+scriptTimeout.String())
	at = time.Now()
	if err != nil {
		return at, err
	}
	pod, err := c.Kubectl(ctx, "", "--namespace="+p.ns, "get", "pods", "--selector=app=worker", "--field-selector=status.phase=Running", "--output=jsonpath={.items[0].metadata.name}")
	if err != nil {
		return at, err
	}
	// The script has `
	//
	// true` here.
	_, _ = c.Kubectl(ctx, "", "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:3111/proxy/", p.ns, pod))
	return at, nil
}

// completion returns when the API server reports that the next rollout is
// complete, by kubectl's own rule (rollout_status.go).
func (p *place) completion(b *testing.B) <-chan time.Time {
	b.Helper()
	d, err := p.deployment(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	w, err := p.kube.AppsV1().Deployments(p.ns).Watch(b.Context(), metav1.ListOptions{FieldSelector: "metadata.name=worker", ResourceVersion: d.ResourceVersion})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan time.Time, 1)
	was := d.Spec.Template
	go func() {
		defer w.Stop()
		for e := range w.ResultChan() {
			d, ok := e.Object.(*appsv1.Deployment)
			if !ok || verdict.SameTemplate(workload.Of(d).Template(), &was) {
				continue
			}
			s := d.Status
			if s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == *d.Spec.Replicas && s.Replicas == s.UpdatedReplicas && s.AvailableReplicas == s.UpdatedReplicas {
				done <- time.Now()
				return
			}
		}
	}()
	return done
}

// BenchmarkHelp compares how long the plugin's help takes with the help of
// each kubectl on this machine, in turns.
func BenchmarkHelp(b *testing.B) {
	st := standin(b)
	plugin, err := lookPath(st.env["PATH"], "kubectl-sbw")
	if err != nil {
		b.Fatal(err)
	}
	kubectls := []string{filepath.Join(st.Bin(), "kubectl")}
	if other, err := lookPath(os.Getenv("PATH"), "kubectl"); err == nil && other != kubectls[0] {
		kubectls = append(kubectls, other)
	}
	took := func(program string) float64 {
		begin := time.Now()
		if out, err := exec.CommandContext(b.Context(), program, "--help").CombinedOutput(); err != nil {
			b.Fatalf("%s: %v\n%s", program, err, out)
		}
		return time.Since(begin).Seconds() * 1000
	}
	for _, kubectl := range kubectls {
		b.Run(strings.ReplaceAll(kubectl, "/", "_"), func(b *testing.B) {
			m := metrics{}
			for b.Loop() {
				m.add("sbw-ms", took(plugin))
				m.add("kubectl-ms", took(kubectl))
			}
			m.report(b)
			b.ReportMetric(median(m["sbw-ms"])/median(m["kubectl-ms"]), "ratio")
		})
	}
}

// metrics collects figures of several runs and reports their medians.
type metrics map[string][]float64

func (m metrics) add(name string, v float64) { m[name] = append(m[name], v) }

func (m metrics) report(b *testing.B) {
	for name, all := range m {
		b.ReportMetric(median(all), name)
	}
	b.ReportMetric(0, "ns/op") // it does not apply here
}

// beside reports how many times longer the script takes, unless -bench
// excluded sbw's own runs.
func beside(b *testing.B, script, sbw []float64) {
	if len(sbw) > 0 {
		b.ReportMetric(median(script)/median(sbw), "script÷sbw")
	}
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
