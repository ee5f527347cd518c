package dist

import (
	"strings"
	"testing"
)

// ghPicks returns the asset that gh would install (cli/cli
// pkg/cmd/extension/manager.go, installBin): the first one whose name ends in the
// platform, with .exe on windows.
func ghPicks(assets []string, t Target) []string {
	suffix := t.OS + "-" + t.Arch
	if t.OS == "windows" {
		suffix += ".exe"
	}
	var picked []string
	for _, a := range assets {
		if strings.HasSuffix(a, suffix) {
			picked = append(picked, a)
		}
	}
	return picked
}

func TestGHPicksItsOwn(t *testing.T) {
	for _, version := range []string{"v1.2.3", "v1.2.3-rc.1"} {
		all := []string{ManifestName, ChecksumsName, sbomName(version)}
		for _, plugin := range Plugins() {
			for _, target := range Targets() {
				all = append(all, AssetName(plugin, version, target))
			}
		}
		seen := map[string]bool{}
		for _, name := range all {
			if seen[name] {
				t.Errorf("two assets are named %s", name)
			}
			seen[name] = true
		}
		for _, target := range Targets() {
			picked := ghPicks(all, target)
			if len(picked) != 1 || picked[0] != AssetName(GH, version, target) {
				t.Errorf("%s: gh picks %v", target, picked)
			}
		}
	}
}

func TestAssetName(t *testing.T) {
	for _, c := range []struct {
		plugin string
		target Target
		want   string
	}{
		{GH, Target{"linux", "arm64"}, "gh-sbw_v1.2.3_linux-arm64"},
		{GH, Target{"windows", "amd64"}, "gh-sbw_v1.2.3_windows-amd64.exe"},
		{Kubectl, Target{"darwin", "arm64"}, "kubectl-sbw_v1.2.3_darwin_arm64.tar.gz"},
		{Kubectl, Target{"windows", "arm64"}, "kubectl-sbw_v1.2.3_windows_arm64.zip"},
	} {
		if got := AssetName(c.plugin, "v1.2.3", c.target); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for _, want := range Targets() {
		if got, err := ParseTarget(want.String()); err != nil || got != want {
			t.Errorf("%s: %v, %v", want, got, err)
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "/amd64", "linux/arm/v7"} {
		if _, err := ParseTarget(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"v1.2.3": true, "v0.0.0": true, "v1.2.3-rc.1": true, "v10.20.30-alpha": true,
		"1.2.3": false, "v1.2": false, "v01.2.3": false, "v1.2.3+build": false, "v1.2.3-": false, "v1.2.3\n": false, "": false,
		"v1.2.3_linux": false, "v1.2.3/../..": false,
	} {
		if got := versions.MatchString(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}
