package dist

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/release"
)

// These expressions match the three kinds of lines of plugins.yaml that a release
// changes. The file is edited line by line to preserve its comments and order. A
// test checks that it has the expected shape.
var (
	versionLine = regexp.MustCompile(`^(  version: )\S+$`)
	uriLine     = regexp.MustCompile(`^(      uri: )\S+/kubectl-sbw_[^_\s]+_([a-z0-9]+)_([a-z0-9]+)\.(?:tar\.gz|zip)$`)
	shaLine     = regexp.MustCompile(`^(      sha256: ")[0-9a-f]{64}"$`) // quoted: it may be all digits
)

// Fill writes a release's version, addresses and digests into a krew manifest. sums
// contains the digests of the archives by platform. Platforms of the manifest without
// a digest stay as they are. A digest for a platform that the manifest lacks is an
// error.
func Fill(manifest []byte, version string, sums map[Target]string) ([]byte, error) {
	lines := strings.Split(string(manifest), "\n")
	versioned := false
	placed := map[Target]bool{}
	sum := "" // digest of the current platform
	for i, line := range lines {
		if m := versionLine.FindStringSubmatch(line); m != nil {
			if versioned {
				return nil, fmt.Errorf("line %d: a second version", i+1)
			}
			lines[i], versioned = m[1]+version, true
		} else if m := uriLine.FindStringSubmatch(line); m != nil {
			t := Target{m[2], m[3]}
			if placed[t] {
				return nil, fmt.Errorf("line %d: a second archive for %s", i+1, t)
			}
			lines[i] = m[1] + URI(version, t)
			sum = sums[t]
			placed[t] = true
		} else if m := shaLine.FindStringSubmatch(line); m != nil && sum != "" {
			lines[i], sum = m[1]+sum+`"`, ""
		} else if strings.HasPrefix(line, "    - ") && sum != "" {
			return nil, fmt.Errorf("line %d: the platform before it has no sha256 after its uri", i+1)
		}
	}
	if sum != "" {
		return nil, fmt.Errorf("the last platform has no sha256 after its uri")
	}
	if !versioned {
		return nil, fmt.Errorf("there is no line %q", "  version: …")
	}
	for t := range sums {
		if !placed[t] {
			return nil, fmt.Errorf("there is no platform %s", t)
		}
	}
	return []byte(strings.Join(lines, "\n")), nil
}

// URI returns the address of a release's archive for t.
func URI(version string, t Target) string {
	return "https://github.com/" + release.Repository + "/releases/download/" + version + "/" + AssetName(Kubectl, version, t)
}

// manifestFor returns plugins.yaml for this release.
func manifestFor(o Options, assets []Asset) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(o.Root, ManifestName))
	if err != nil {
		return nil, err
	}
	sums := map[Target]string{}
	for _, a := range assets {
		if a.Plugin == Kubectl {
			sums[a.Target] = a.SHA256
		}
	}
	filled, err := Fill(text, o.Version, sums)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return filled, nil
}
