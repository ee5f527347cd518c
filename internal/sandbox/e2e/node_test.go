//go:build linux

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/images"
)

// TestNodeIsArm64 checks that the sandbox's node behaves like the arm64 node
// that it claims to be: it chooses linux/arm64 from an index, and cannot run
// an index without it.
func TestNodeIsArm64(t *testing.T) {
	s := up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shared.turn.Lock()
	defer shared.turn.Unlock()
	var node corev1.Node
	if err := get(ctx, s, &node, "node/sbw"); err != nil {
		t.Fatal(err)
	}
	if a := node.Status.NodeInfo.Architecture; a != "arm64" {
		t.Errorf("the node's status says %s", a)
	}
	if a := node.Labels[corev1.LabelArchStable]; a != "arm64" {
		t.Errorf("the node's label says %s", a)
	}
	arm := program(t, s, "arm64")
	amd := program(t, s, "amd64")
	both := index(arm, amd)
	digest, err := both.Digest()
	if err != nil {
		t.Fatal(err)
	}
	push(t, "both", both)
	push(t, "amd64only", index(amd))

	c, err := s.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"both", "amd64only"} {
		pod := fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: node-%[1]s, namespace: joelclaw}, spec: {
			imagePullSecrets: [{name: ghcr-pull}], terminationGracePeriodSeconds: 0,
			containers: [{name: main, image: "ghcr.io/joelhooks/node:%[1]s"}]}}`, tag)
		if _, err := c.Kubectl(ctx, pod, "apply", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := c.Kubectl(context.WithoutCancel(ctx), "", "--namespace=joelclaw", "delete", "pod/node-"+tag, "--ignore-not-found"); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := c.Kubectl(ctx, "", "--namespace=joelclaw", "wait", "--for=condition=Ready", "pod/node-both", "--timeout=60s"); err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := get(ctx, s, &pod, "pod/node-both"); err != nil {
		t.Fatal(err)
	}
	if id := pod.Status.ContainerStatuses[0].ImageID; !strings.HasSuffix(id, "@"+digest.String()) {
		t.Errorf("image ID %s, not the index's digest %s", id, digest)
	}
	const reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff"
	if _, err := c.Kubectl(ctx, "", "--namespace=joelclaw", "wait", "--for="+reason, "pod/node-amd64only", "--timeout=60s"); err != nil {
		t.Error(err)
	}
	events, err := c.Kubectl(ctx, "", "--namespace=joelclaw", "get", "events", "--field-selector=involvedObject.name=node-amd64only", "--output=jsonpath={.items[*].message}")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(events, "no match for platform in manifest") {
		t.Errorf("an index without arm64 was not refused for that reason: %s", events)
	}
}

// program returns an image with an arm64 program that never ends, labelled
// with the architecture arch.
func program(t *testing.T, s *sandbox.Sandbox, arch string) v1.Image {
	t.Helper()
	img, err := images.Program(filepath.Join(s.Bin(), "pause"), v1.Config{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Architecture = arch
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func index(all ...v1.Image) v1.ImageIndex {
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, img := range all {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img})
	}
	return idx
}

func push(t *testing.T, tag string, idx v1.ImageIndex) {
	t.Helper()
	ref, err := name.ParseReference(sandbox.RegistryAddr+"/joelhooks/node:"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, idx); err != nil {
		t.Fatal(err)
	}
}
