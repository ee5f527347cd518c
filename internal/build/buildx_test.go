package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

func TestBuildx(t *testing.T) {
	m := testMachine("BUILDX_CONFIG="+t.TempDir(), "DOCKER_CONFIG="+t.TempDir())
	b := &buildx{machine: m, argv: []string{require.Tool(t, "buildx")}}
	host, _ := buildkitd.Start(t)
	if out, err := m.env().output(t.Context(), b.call("create", "--name", "remote", "--driver", "remote", "--use", host)...); err != nil {
		t.Fatal(err, out)
	}
	found, err := b.Check(t.Context(), Request{Platforms: []string{"linux/s390x"}})
	if err != nil || len(found) != 1 || found[0].Code != "builder-platform" || found[0].Severity != pipeline.Warning {
		t.Errorf("findings = %v, %v", found, err)
	}
	engines(t, b, byBuildKit)
	steps(t, b, byBuildKit)
}

func TestBuildxDown(t *testing.T) {
	m := testMachine("BUILDX_CONFIG="+t.TempDir(), "DOCKER_CONFIG="+t.TempDir(), "DOCKER_HOST=unix:///nowhere/docker.sock")
	b := &buildx{machine: m, argv: []string{require.Tool(t, "buildx")}}
	found, err := b.Check(t.Context(), Request{Platforms: []string{"linux/arm64"}})
	if err != nil || len(found) != 1 || found[0].Code != "builder-down" || found[0].Severity != pipeline.Error {
		t.Errorf("findings = %v, %v", found, err)
	}
}

func TestParseInspect(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       inspected
	}{
		{"docker driver without the containerd image store", `Name:   default
Driver: docker

Nodes:
Name:             default
Endpoint:         default
Status:           running
BuildKit version: v0.23.2
Platforms:        linux/amd64, linux/arm64*, linux/386
Labels:
 org.mobyproject.buildkit.worker.moby.host-gateway-ip: 172.17.0.1
`, inspected{name: "default", driver: "docker", platforms: []string{"linux/amd64", "linux/arm64", "linux/386"}}},
		{"docker driver with it", `Name:   default
Driver: docker

Nodes:
Name: default
Platforms: linux/arm64
Labels:
 org.mobyproject.buildkit.worker.snapshotter: overlayfs
`, inspected{name: "default", driver: "docker", platforms: []string{"linux/arm64"}, containerd: true}},
		{"a container that has not been started", `Name:   b
Driver: docker-container

Nodes:
Name:     b0
Endpoint: unix:///var/run/docker.sock
Status:   inactive
`, inspected{name: "b", driver: "docker-container"}},
		{"no daemon", "Name:   default\nDriver: \nError:  failed to connect to the docker API at unix:///x\n",
			inspected{name: "default", err: "failed to connect to the docker API at unix:///x"}},
		{"nothing", "", inspected{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, parseInspect(tt.text), cmp.AllowUnexported(inspected{})); d != "" {
				t.Error(d)
			}
		})
	}
}
