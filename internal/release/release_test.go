package release

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDescribe(t *testing.T) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	build := func(version string, settings map[string]string, deps ...*debug.Module) *debug.BuildInfo {
		b := &debug.BuildInfo{Main: debug.Module{Version: version}, Deps: deps}
		for k, v := range settings {
			b.Settings = append(b.Settings, debug.BuildSetting{Key: k, Value: v})
		}
		return b
	}
	vcs := map[string]string{"vcs.revision": "abc", "vcs.time": "2026-01-02T15:04:05Z", "vcs.modified": "true"}
	for _, c := range []struct {
		name    string
		stamped Info
		build   *debug.BuildInfo
		want    Info
	}{
		{"a release", Info{Version: "v1.2.3", Commit: "def", Built: "2026-02-03T00:00:00Z"}, build("(devel)", nil),
			Info{Version: "v1.2.3", Commit: "def", Built: "2026-02-03T00:00:00Z"}},
		{"the linker's values come first", Info{Version: "v1.2.3", Commit: "def", Built: "2026-02-03T00:00:00Z"}, build("v9.9.9", map[string]string{"vcs.revision": "abc", "vcs.time": "x"}),
			Info{Version: "v1.2.3", Commit: "def", Built: "2026-02-03T00:00:00Z"}},
		{"go install module@version", Info{}, build("v1.2.3", nil), Info{Version: "v1.2.3"}},
		{"go build in a checkout", Info{}, build("v0.0.0-20260102150405-abc+dirty", vcs),
			Info{Version: "v0.0.0-20260102150405-abc+dirty", Commit: "abc", Built: "2026-01-02T15:04:05Z", Dirty: true}},
		{"go build without VCS", Info{}, build("(devel)", nil), Info{Version: Devel}},
		{"no build information", Info{}, nil, Info{Version: Devel}},
		{"libraries, one replaced", Info{}, build("(devel)", nil,
			&debug.Module{Path: "k8s.io/client-go", Version: "v0.36.6"},
			&debug.Module{Path: "k8s.io/client-go/more", Version: "v0.1.0"},
			&debug.Module{Path: "github.com/cli/go-gh/v2", Version: "v2.17.0", Replace: &debug.Module{Path: "../go-gh", Version: "v2.99.0"}}),
			Info{Version: Devel, Libraries: map[string]string{"k8s.io/client-go": "v0.36.6", "github.com/cli/go-gh/v2": "v2.99.0"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Go, c.want.Platform = runtime.Version(), platform
			got := describe(c.stamped, c.build)
			if len(got.Libraries) == 0 {
				got.Libraries = nil
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLibrariesAreRequired checks that go.mod requires the modules that --version
// prints. Without it, nobody would notice if one moved to another path (v3).
func TestLibrariesAreRequired(t *testing.T) {
	mod := readFile(t, "../../go.mod")
	for _, name := range libraries {
		if !strings.Contains(mod, "\t"+name+" v") {
			t.Errorf("go.mod does not require %s", name)
		}
	}
}

func TestText(t *testing.T) {
	got := Info{Version: "v1.2.3", Commit: "abc", Dirty: true, Built: "2026-01-02T15:04:05Z", Go: "go1.26.7", Platform: "linux/arm64",
		Libraries: map[string]string{"k8s.io/client-go": "v0.36.6"}}.Text("kubectl sbw")
	want := `kubectl sbw v1.2.3
  commit                                 abc, with local changes
  dated                                  2026-01-02T15:04:05Z
  go                                     1.26.7 linux/arm64
  k8s.io/client-go                       v0.36.6
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
