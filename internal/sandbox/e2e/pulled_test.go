//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/modules"
)

// BenchmarkPulled is the node's side of a publish after which one 40-byte file of a tree
// of 1 GB differs, on the real cluster: gh-sbw publishes, kubectl-sbw rolls out. s is the
// time from the end of the stage "apply" to the moment at which the API reports that the
// new container runs, s-first the same for an image of which the node has nothing but the
// worker's program. kB-pulled is what the node does not have. Without layer reuse, the
// image consists of the layers as the builder made them, which is what every other tool
// pushes. The registry has no limit here.
//
//	go test -run '^$' -bench Pulled -benchtime 3x -timeout 40m ./internal/sandbox/e2e
func BenchmarkPulled(b *testing.B) {
	variants := []struct {
		name string
		more []string
	}{
		{"no-layer-reuse", []string{"--no-layer-reuse"}},
		{"sbw", nil},
	}
	st := standin(b)
	var names []string
	for _, v := range variants {
		names = append(names, v.name)
	}
	places := st.places(b, names)
	var plain []float64
	for i, v := range variants {
		b.Run(v.name, func(b *testing.B) {
			s := &shipped{place: places[v.name], more: v.more, has: map[v1.Hash]bool{}}
			// Its own seed, or the node would have the tree of the variant before.
			if err := s.write(uint64(100 + i)); err != nil {
				b.Fatal(err)
			}
			m := metrics{}
			ship := func(suffix string) {
				took, pulled, err := s.next(b.Context(), v.name)
				if err != nil {
					b.Fatal(err)
				}
				m.add("s"+suffix, took.Seconds())
				m.add("kB-pulled"+suffix, float64(pulled)/1e3)
			}
			ship("-first")
			for b.Loop() {
				ship("")
			}
			m.report(b)
			if v.more != nil {
				plain = m["s"]
			} else if plain != nil {
				b.ReportMetric(median(m["s"])/median(plain), "x-no-layer-reuse")
			}
		})
	}
}

// shipped is a worker whose image is published and rolled out again and again.
type shipped struct {
	*place
	more  []string // flags for publish
	round int
	has   map[v1.Hash]bool // layers that the node has
}

func (s *shipped) image() string { return filepath.Join(s.dir, "image") }

// write writes the image's checkout.
func (s *shipped) write(seed uint64) error {
	if err := modules.Write(filepath.Join(s.image(), "node_modules"), seed); err != nil {
		return err
	}
	return errors.Join(
		s.compile(filepath.Join(s.image(), "program"), "arm64"), // gh-sbw refuses a program for another platform
		os.WriteFile(filepath.Join(s.image(), "Dockerfile"), []byte("FROM scratch\nCOPY program /\nCOPY node_modules /node_modules\nENTRYPOINT [\"/program\"]\n"), 0o644))
}

// next changes one file, publishes the image and rolls it out. It returns the time from
// the end of the stage "apply" until the new container runs, and the bytes of the layers
// that the node did not have.
func (s *shipped) next(ctx context.Context, variant string) (took time.Duration, pulled int64, err error) {
	s.round++
	tag := fmt.Sprintf("%s-%d", variant, s.round)
	if err := modules.Change(filepath.Join(s.image(), "node_modules"), s.round); err != nil {
		return 0, 0, err
	}
	publish, err := s.program(ctx, nil, "gh", append([]string{"sbw", "publish", tag, "--file", "image/Dockerfile", "--context", "image",
		"--platform", "linux/arm64", "--image", standinImage}, s.more...)...)
	if err != nil {
		return 0, 0, err
	}
	if out, err := publish.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("publish: %w\n%s", err, out)
	}
	if pulled, err = s.missing(tag); err != nil {
		return 0, 0, err
	}
	runs, err := s.runs(ctx, tag)
	if err != nil {
		return 0, 0, err
	}
	r, err := s.kubectl(ctx, moment{}, nil, "rollout", "--tag", tag, "--no-inngest", "--timeout", "5m")
	if err != nil || r.code != 0 {
		return 0, 0, fmt.Errorf("the rollout ended with %d: %w\n%s", r.code, err, r.stderr)
	}
	applied, ok := r.finished("apply")
	if !ok {
		return 0, 0, errors.New("the rollout has no stage \"apply\"")
	}
	at, ok := <-runs
	if !ok {
		return 0, 0, errors.New("the watch of the pods ended early")
	}
	return at.Sub(applied.Time), pulled, nil
}

// runs returns when the API server reports that a container with this tag runs.
func (s *shipped) runs(ctx context.Context, tag string) (<-chan time.Time, error) {
	api, o := s.kube.CoreV1().Pods(s.ns), metav1.ListOptions{LabelSelector: "app=worker"}
	list, err := api.List(ctx, o)
	if err != nil {
		return nil, err
	}
	o.ResourceVersion = list.ResourceVersion
	w, err := api.Watch(ctx, o)
	if err != nil {
		return nil, err
	}
	at := make(chan time.Time, 1)
	go func() {
		defer w.Stop()
		defer close(at)
		for e := range w.ResultChan() {
			pod, ok := e.Object.(*corev1.Pod)
			if ok && strings.Contains(pod.Spec.Containers[0].Image, ":"+tag+"@") && started(pod) {
				at <- time.Now()
				return
			}
		}
	}()
	return at, nil
}

func started(pod *corev1.Pod) bool {
	return len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Running != nil
}

// missing returns the bytes of the layers that the node does not have yet, and remembers
// them as pulled.
func (s *shipped) missing(tag string) (n int64, err error) {
	ref, err := name.ParseReference(sandbox.RegistryAddr+"/joelhooks/standin:"+tag, name.Insecure)
	if err != nil {
		return 0, err
	}
	img, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))
	if err != nil {
		return 0, err
	}
	m, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	for _, l := range m.Layers {
		if !s.has[l.Digest] {
			n += l.Size
		}
		s.has[l.Digest] = true
	}
	return n, nil
}
