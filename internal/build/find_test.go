package build

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// pathOf returns a PATH with only the named tools.
func pathOf(t *testing.T, tools ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range tools {
		if err := os.Symlink(require.Tool(t, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	store := storage(t)
	req := request(t, files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
	for _, tt := range []struct {
		name, choose string
		tools        []string
		host         string
		want         string
		codes        []string
	}{
		{name: "nothing there", codes: []string{"builder-missing"}},
		{name: "buildctl without an address", tools: []string{"buildctl"}, codes: []string{"builder-missing"}},
		{name: "the only one, out of order", tools: []string{"buildx"}, want: "buildx", codes: []string{"builder-down"}},
		{name: "the next one that can", tools: []string{"buildx", "buildctl", "buildah"}, host: "unix:///nowhere", want: "buildah", codes: []string{"builder-passed-over", "builder-passed-over"}},
		{name: "chosen, out of order", choose: "buildkit", tools: []string{"buildctl", "buildah"}, host: "unix:///nowhere", want: "buildkit", codes: []string{"builder-down"}},
		{name: "chosen, but not installed", choose: "nerdctl", tools: []string{"buildah"}, codes: []string{"builder-missing"}},
		{name: "chosen", choose: "buildah", tools: []string{"buildx", "buildah"}, want: "buildah"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := store.all.without("BUILDKIT_HOST").with("PATH="+pathOf(t, tt.tools...), "DOCKER_CONFIG="+t.TempDir(), "DOCKER_HOST=unix:///nowhere/docker.sock", "BUILDX_CONFIG="+t.TempDir())
			if tt.host != "" {
				env = env.with("BUILDKIT_HOST=" + tt.host)
			}
			b, found, err := Find(t.Context(), Options{Choose: tt.choose, Env: env}, req)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if b != nil {
				got = b.Name()
			}
			var codes []string
			for _, f := range found {
				codes = append(codes, string(f.Code))
			}
			if got != tt.want || cmp.Diff(tt.codes, codes) != "" {
				t.Errorf("%q with %v, want %q with %v", got, found, tt.want, tt.codes)
			}
		})
	}
	_, _, err := Find(t.Context(), Options{Choose: "smithy"}, req)
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != "builder-unknown" || f.End != pipeline.Usage {
		t.Errorf("err = %v", err)
	}
}

// TestFindBuildx checks that buildx is also found without docker, and if it is
// installed only as a plugin.
func TestFindBuildx(t *testing.T) {
	tool := require.Tool(t, "buildx")
	place := func(name string) string {
		p := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(tool, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	alone, dashed, plugin := place("buildx"), place("docker-buildx"), place("cli-plugins/docker-buildx")
	for _, tt := range []struct {
		name string
		env  environment
		want []string
	}{
		{"by itself", environment{"PATH=" + filepath.Dir(alone)}, []string{alone}},
		{"by docker's name", environment{"PATH=" + filepath.Dir(dashed) + ":" + filepath.Dir(alone)}, []string{dashed}},
		{"as a plugin alone", environment{"DOCKER_CONFIG=" + filepath.Dir(filepath.Dir(plugin))}, []string{plugin}},
	} {
		if d := cmp.Diff(tt.want, findBuildx(t.Context(), tt.env)); d != "" {
			t.Error(tt.name, d)
		}
	}
}

// TestArgs checks that all settings reach a builder if there are many at once.
func TestArgs(t *testing.T) {
	req := Request{Context: "/src/a,b", Dockerfile: "/src/d,e/Dockerfile", Platforms: []string{"linux/arm64", "linux/amd64"}, Target: "t",
		Args: map[string]string{"B": "2", "A": "1=x"}, Secrets: []string{"id=s,env=V"}, CacheFrom: []string{"ghcr.io/o/c"}, CacheTo: []string{"type=inline"},
		NoCache: true, Pull: true, LayoutDir: "/lay,out"}
	for name, tt := range map[string]struct {
		got  []string
		want string
	}{
		"buildkit": {(&buildKit{}).args(req, "/m"), `--frontend dockerfile.v0 --local context=/src/a,b --local dockerfile=/src/d,e --opt filename=Dockerfile --opt platform=linux/arm64,linux/amd64 --output type=oci,tar=false,"dest=/lay,out" --metadata-file /m --progress rawjson --opt target=t --no-cache --opt image-resolve-mode=pull --opt build-arg:A=1=x --opt build-arg:B=2 --secret id=s,env=V --import-cache type=registry,ref=ghcr.io/o/c --export-cache type=inline`},
		"buildx":   {(&buildx{}).args(req, "/m"), `build --file /src/d,e/Dockerfile --platform linux/arm64,linux/amd64 --output type=oci,tar=false,"dest=/lay,out" --metadata-file /m --progress rawjson --provenance=false --sbom=false --target t --no-cache --pull --build-arg A=1=x --build-arg B=2 --secret id=s,env=V --cache-from type=registry,ref=ghcr.io/o/c --cache-to type=inline /src/a,b`},
		"podman":   {(&containers{}).args(req, "linux/arm64", "/i"), `build --format oci --layers --platform linux/arm64 --iidfile /i --file "/src/d,e/Dockerfile" --target t --no-cache --pull=always --build-arg A=1=x --build-arg B=2 --secret id=s,type=env,env=V --cache-from ghcr.io/o/c /src/a,b`},
		"nerdctl":  {(&nerdctl{}).args(req, "linux/arm64", "r:t"), `build --platform linux/arm64 --file /src/d,e/Dockerfile --tag r:t --progress rawjson --target t --no-cache --pull --build-arg A=1=x --build-arg B=2 --secret id=s,env=V --cache-from type=registry,ref=ghcr.io/o/c --cache-to type=inline /src/a,b`},
	} {
		if d := cmp.Diff(strings.Fields(tt.want), tt.got); d != "" {
			t.Error(name, d)
		}
		if slices.ContainsFunc(tt.got, func(a string) bool { return strings.Contains(a, "GH_TOKEN") }) {
			t.Error(name, "names a token")
		}
	}
}
