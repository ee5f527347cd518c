package build

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/dockerd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// dockerMachine returns a machine whose docker program finds the engine at host.
func dockerMachine(t *testing.T, host string, pairs ...string) machine {
	return testMachine(append([]string{"DOCKER_HOST=" + host, "DOCKER_CONFIG=" + t.TempDir(), "BUILDX_CONFIG=" + t.TempDir()}, pairs...)...)
}

// TestDocker builds with a real engine: with the BuildKit client of its docker
// program, with the legacy builder, and with buildx.
func TestDocker(t *testing.T) {
	host, client := dockerd.Start(t)
	native := "linux/" + runtime.GOARCH
	for _, tt := range []struct {
		name   string
		env    []string
		buildx bool
		can    traits
	}{
		{name: "BuildKit", can: traits{cached: "2 of 2 steps from the cache", syntax: "build-failed", secrets: true}},
		{name: "legacy", env: []string{"DOCKER_BUILDKIT=0"},
			can: traits{cached: native + ": 5 of 7 steps from the cache", syntax: "build-failed", platform: native}},
		{name: "buildx", buildx: true, can: traits{cached: "2 of 2 steps from the cache", syntax: "build-failed", secrets: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &docker{machine: dockerMachine(t, host, tt.env...), program: client, binfmt: binfmtDir}
			if tt.buildx {
				b.buildx = []string{require.Tool(t, "buildx")}
			}
			found, err := b.Check(t.Context(), Request{Platforms: []string{native}})
			if err != nil || len(found) != 0 {
				t.Fatalf("findings = %v, %v", found, err)
			}
			engines(t, b, tt.can)
			steps(t, b, tt.can)
			t.Run("emulated", func(t *testing.T) {
				if slices.Contains(localPlatforms(binfmtDir), "linux/arm64") {
					if tt.can.secrets { // the legacy builder builds FROM scratch for the machine's own platform
						emulated(t, b)
					}
					return
				}
				// The engine runs on this kernel, which does not emulate arm64
				// now.
				req := request(t, files(t, map[string]string{"Dockerfile": "FROM x\nRUN y\n"}))
				found, err := b.Check(t.Context(), req)
				if err != nil || len(found) != 1 || found[0].Code != CodePlatform || found[0].Severity != pipeline.Error {
					t.Errorf("findings = %v, %v", found, err)
				}
			})
		})
	}
}

// TestDockerKnown checks that what the layout already contains is not copied
// again.
func TestDockerKnown(t *testing.T) {
	host, client := dockerd.Start(t)
	var calls []string
	b := &docker{machine: dockerMachine(t, host), program: recorded(t, client, &calls), binfmt: binfmtDir}
	large := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(large) // random, so that it stays large when compressed
	dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY large /\nCOPY small /\n", "large": string(large), "small": "1"})
	req := request(t, dir)
	req.Labels = map[string]string{"x": "y"}
	build := func() (string, []string) {
		t.Helper()
		before := len(read(t, &calls))
		res, err := b.Build(t.Context(), req, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res.Digest, read(t, &calls)[before:]
	}
	saves := func(calls []string) bool {
		return slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "save ") })
	}
	first, did := build()
	if !saves(did) {
		t.Fatalf("the first build did not save: %q", did)
	}
	if again, did := build(); again != first || saves(did) {
		t.Errorf("the same image was saved again: %s, %s, %q", first, again, did)
	}
	before := blobs(t, req.LayoutDir)
	if err := os.WriteFile(filepath.Join(dir, "small"), []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	second, did := build()
	if out, err := b.env().output(t.Context(), client, "images", "--quiet"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("images in the engine: %q, %v", out, err)
	}
	if second == first || !saves(did) {
		t.Errorf("the changed image was not saved: %q", did)
	}
	if err := layout.Verify(req.LayoutDir, second); err != nil {
		t.Error(err)
	}
	for name, fi := range before {
		if now, err := os.Stat(filepath.Join(req.LayoutDir, "blobs", "sha256", name)); err != nil || !now.ModTime().Equal(fi.ModTime()) {
			t.Errorf("blob %s was written again (%v)", name, err)
		}
	}
}

// blobs returns the files of the layout's layers.
func blobs(t *testing.T, dir string) map[string]os.FileInfo {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]os.FileInfo{}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() > 100_000 {
			all[e.Name()] = fi
		}
	}
	if len(all) != 1 {
		t.Fatalf("large blobs: %v", all)
	}
	return all
}

// recorded creates a program that records its arguments in a file and then runs
// program.
func recorded(t *testing.T, program string, file *[]string) string {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	script := "#!/bin/sh\necho \"$*\" >>" + log + "\nexec " + program + " \"$@\"\n"
	path := filepath.Join(dir, "docker")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	*file = []string{log}
	return path
}

func read(t *testing.T, file *[]string) []string {
	t.Helper()
	text, err := os.ReadFile((*file)[0])
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// TestDockerReached checks that the engine is found the way docker finds it.
func TestDockerReached(t *testing.T) {
	host, client := dockerd.Start(t)
	reached(t, host, client)
	// If buildx reaches the engine but cannot export, docker is used.
	t.Run("found", func(t *testing.T) {
		req := request(t, files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
		m := dockerMachine(t, host, "PATH="+pathOf(t, "buildx", "buildah")+":"+filepath.Dir(recorded(t, client, new([]string))))
		b, found, err := Find(t.Context(), Options{Env: m.all}, req)
		if err != nil || b == nil || b.Name() != "docker" || len(found) != 0 {
			t.Errorf("%T with %v, %v", b, found, err)
		}
	})
}

// reached builds with the engine at host through a docker context and through
// ssh, and with an address without an engine.
func reached(t *testing.T, host, client string) {
	req := request(t, files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
	built := func(t *testing.T, b *docker) {
		t.Helper()
		if found, err := b.Check(t.Context(), req); err != nil || refuses(found) {
			t.Fatalf("findings = %v, %v", found, err)
		}
		if _, err := b.Build(t.Context(), req, nil); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("context", func(t *testing.T) {
		m := testMachine("DOCKER_CONFIG=" + t.TempDir())
		m.all = m.all.without("DOCKER_HOST")
		for _, args := range [][]string{{"context", "create", "mine", "--docker", "host=" + host}, {"context", "use", "mine"}} {
			if out, err := m.env().output(t.Context(), append([]string{client}, args...)...); err != nil {
				t.Fatal(err, out)
			}
		}
		built(t, &docker{machine: m, program: client, binfmt: binfmtDir})
	})
	t.Run("ssh", func(t *testing.T) {
		// This replaces ssh: a program that runs the command here.
		bin := t.TempDir()
		// Its arguments are options, the host and the command, which current
		// versions of docker pass in one argument.
		script := "#!/bin/sh\ncommand=\"$*\"\nDOCKER_HOST=" + host + " exec " + client + " ${command#* docker }\n"
		if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		built(t, &docker{machine: dockerMachine(t, "ssh://me@far.example", "PATH="+bin+":"+os.Getenv("PATH")), program: client, binfmt: binfmtDir})
	})
	t.Run("nowhere", func(t *testing.T) {
		b := &docker{machine: dockerMachine(t, "unix:///nowhere/docker.sock"), program: client, binfmt: binfmtDir}
		found, err := b.Check(t.Context(), req)
		if err != nil || len(found) != 1 || found[0].Code != "builder-down" || !strings.Contains(found[0].Why, "/nowhere/docker.sock") {
			t.Errorf("findings = %v, %v", found, err)
		}
	})
}

// TestDockerShim checks a machine on which docker is really podman.
func TestDockerShim(t *testing.T) {
	bin := t.TempDir()
	program := filepath.Join(bin, "docker")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho podman version 4.3.1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := &docker{machine: testMachine(), program: program}
	found, err := b.Check(t.Context(), Request{})
	if err != nil || len(found) != 1 || found[0].Code != "builder-down" || !strings.Contains(found[0].Fix, "--builder podman") {
		t.Errorf("findings = %v, %v", found, err)
	}
}

// TestDockerMode checks which of its builders docker uses.
func TestDockerMode(t *testing.T) {
	buildx := func(version string) []string {
		p := filepath.Join(t.TempDir(), "buildx")
		if err := os.WriteFile(p, []byte("#!/bin/sh\necho github.com/docker/buildx "+version+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return []string{p}
	}
	for _, tt := range []struct {
		name, client, env string
		buildx            []string
		podman            bool
		mode              dockerMode
		progress          string
	}{
		{name: "20.10", client: "20.10.24+dfsg1", mode: viaClient, progress: "plain"},
		{name: "20.10 and no BuildKit", client: "20.10.24", env: "DOCKER_BUILDKIT=0", mode: viaLegacy},
		{name: "28 without buildx", client: "28.2.2", mode: viaLegacy},
		{name: "28 without buildx, insisting", client: "28.2.2", env: "DOCKER_BUILDKIT=1", mode: viaLegacy},
		{name: "28", client: "28.2.2", buildx: buildx("v0.24.0 abc"), mode: viaBuildx, progress: "rawjson"},
		{name: "Debian's buildx", client: "26.1.5", buildx: buildx("0.13.1+ds1-3 0.13.1+ds1-3"), mode: viaBuildx, progress: "rawjson"},
		{name: "old buildx", client: "20.10.25", buildx: buildx("v0.10.4 abc"), mode: viaBuildx, progress: "plain"},
		{name: "built from source", client: "unknown-version", buildx: buildx("v0.0.0+unknown"), mode: viaBuildx, progress: "plain"},
		{name: "unknown", client: "", mode: viaLegacy},
		{name: "podman's engine", client: "28.2.2", buildx: buildx("v0.24.0"), podman: true, mode: viaLegacy},
	} {
		b := &docker{machine: testMachine(tt.env), buildx: tt.buildx}
		mode, progress := b.mode(t.Context(), tt.client, tt.podman)
		if mode != tt.mode || progress != tt.progress {
			t.Errorf("%s: %v, %q", tt.name, mode, progress)
		}
	}
}

func TestDockerUnsupported(t *testing.T) {
	for _, tt := range []struct {
		name, dockerfile string
		mode             dockerMode
		req              Request
		want             []string
	}{
		{name: "nothing special", dockerfile: "FROM scratch\nCOPY --chown=1 a b\nHEALTHCHECK --interval=5s CMD x\n", mode: viaLegacy},
		{name: "mount", dockerfile: "FROM scratch\nRUN --mount=type=cache,target=/x true\n", mode: viaLegacy, want: []string{"builder-legacy error Dockerfile:2"}},
		{name: "link", dockerfile: "FROM scratch\n\nCOPY --link a b\n", mode: viaLegacy, want: []string{"builder-legacy error Dockerfile:3"}},
		{name: "heredoc", dockerfile: "FROM scratch\nRUN <<E\ntrue\nE\n", mode: viaLegacy, want: []string{"builder-legacy error Dockerfile:2"}},
		{name: "frontend", dockerfile: "# syntax=example/other\nx\n", mode: viaLegacy, want: []string{"builder-legacy error Dockerfile:1"}},
		{name: "secret", dockerfile: "FROM scratch\n", mode: viaLegacy, req: Request{Secrets: []string{"id=x"}}, want: []string{"builder-legacy error "}},
		{name: "the same with BuildKit", dockerfile: "FROM scratch\nRUN --mount=type=cache,target=/x <<E\nE\n", mode: viaClient, req: Request{Secrets: []string{"id=x"}}},
		{name: "caches by buildx", dockerfile: "FROM scratch\n", mode: viaBuildx,
			req:  Request{CacheFrom: []string{"ghcr.io/o/c", "type=gha"}, CacheTo: []string{"type=inline", "type=registry,ref=x"}},
			want: []string{"builder-cache warning "}},
		{name: "caches by the client", dockerfile: "FROM scratch\n", mode: viaClient,
			req:  Request{CacheFrom: []string{"ghcr.io/o/c", "type=gha"}, CacheTo: []string{"type=inline"}},
			want: []string{"builder-cache warning ", "builder-cache warning "}},
	} {
		tt.req.Dir = files(t, map[string]string{"Dockerfile": tt.dockerfile})
		tt.req.Dockerfile = filepath.Join(tt.req.Dir, "Dockerfile")
		var got []string
		for _, f := range (dockerEngine{mode: tt.mode}).unsupported(tt.req) {
			got = append(got, string(f.Code)+" "+f.Severity.String()+" "+f.Where)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Error(tt.name, d)
		}
	}
	var h heard
	p := plainReader{tracker: newTracker(h.reporter())}
	if err := p.read(strings.NewReader(plainFailure)); err != nil {
		t.Fatal(err)
	}
	req := Request{Dir: files(t, map[string]string{"w/Dockerfile": "FROM scratch\nCOPY say /say\nRUN [\"/say\", \"x\", \"7\"]\n"})}
	req.Dockerfile = filepath.Join(req.Dir, "w", "Dockerfile")
	got := *p.tracker.failure("docker", req, nil)
	want := pipeline.Finding{Code: "build-step", Severity: pipeline.Error, What: `the build's step [2/2] RUN ["/say", "x", "7"] failed`, Why: "exit code: 7",
		Where: "w/Dockerfile:3", Fix: got.Fix, Evidence: []string{"on amd64", "downloading 100%", "error: it broke"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// plainFailure is the output of docker 20.10.24.
const plainFailure = `#1 [internal] load build definition from Dockerfile
#1 sha256:84e46a81653c871cf95897dcae9cd04781d81b558d15c23ca35c995366b92096
#1 transferring dockerfile: 116B done
#1 DONE 0.1s

#4 [1/2] COPY say /say
#4 sha256:e05b94aa46f3c4a7229122b6a72229d624032f793cb1210281a66a794aff2244
#4 CACHED

#6 [2/2] RUN ["/say", "x", "7"]
#6 sha256:d123b3a6d8a8d69291ab8ad971893cd5edc9701a9d8845effb7849e8488902e6
#6 0.396 on amd64
#6 0.397 downloading 1%` + "\r" + `downloading 100%
#6 0.397 ` + "\x1b[31merror:\x1b[0m" + ` it broke
#6 ERROR: executor failed running [/say x 7]: exit code: 7
------
 > [2/2] RUN ["/say", "x", "7"]:
------
executor failed running [/say x 7]: exit code: 7
`
