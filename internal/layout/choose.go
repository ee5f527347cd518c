package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// refName is the annotation that names an entry of index.json. containerd and
// docker write the full reference into containerdName.
const (
	refName        = "org.opencontainers.image.ref.name"
	containerdName = "io.containerd.image.name"
)

// Open chooses an image from a layout that another program made. spec is DIR,
// DIR:REF or DIR@sha256:…; with DIR alone, the layout must have exactly one
// entry. The layout is verified and never written to. Findings: "layout-missing",
// "layout-ambiguous", "layout-broken".
func Open(spec string) (dir, digest string, err error) {
	dir, want, err := Dir(spec)
	if err != nil {
		return "", "", err
	}
	digest, err = Choose(dir, want)
	if err == nil {
		err = Verify(dir, digest)
	}
	return dir, digest, err
}

// Dir splits a spec as described at Open and checks that its directory exists.
// Finding: "layout-missing".
func Dir(spec string) (dir, want string, err error) {
	dir, want = split(spec)
	fi, err := os.Stat(dir)
	switch {
	case err != nil:
		return "", "", pipeline.UsageErrorf(
			codeLayoutMissing,
			"give the directory of an OCI image layout",
			"the layout directory %s does not exist",
			dir,
		)
	case !fi.IsDir():
		return "", "", pipeline.UsageErrorf(
			codeLayoutMissing,
			"unpack it: mkdir image && tar -xf "+dir+" -C image",
			"%s is a file, not a layout directory",
			dir,
		)
	}
	return dir, want, nil
}

// split splits spec. If spec as a whole is the path of a directory, it is used as
// such, whatever characters it contains.
func split(spec string) (dir, want string) {
	if fi, err := os.Stat(spec); err == nil && fi.IsDir() {
		return spec, ""
	}
	if dir, want, ok := strings.Cut(spec, "@sha256:"); ok {
		return dir, "sha256:" + want
	}
	// Split at the last colon, unless it belongs to a Windows drive: C:\image.
	if i := strings.LastIndexByte(spec, ':'); i > 1 && !strings.ContainsAny(spec[i:], `\`) {
		return spec[:i], spec[i+1:]
	}
	return spec, ""
}

// Choose returns the digest of the entry of index.json that want names, by
// digest, reference or the reference's tag. If want is empty, it is the only
// entry.
func Choose(dir, want string) (string, error) {
	if err := version(dir); err != nil {
		return "", err
	}
	t, err := readIndex(dir)
	if err != nil {
		return "", err
	}
	var entries []v1.Descriptor
	if err := t.get("manifests", &entries); err != nil {
		return "", broken(dir, "index.json is not valid", err)
	}
	entries = slices.DeleteFunc(entries, func(d v1.Descriptor) bool { return d.Annotations[attestation] != "" })
	images := slices.DeleteFunc(slices.Clone(entries), func(d v1.Descriptor) bool { return refers(dir, d) })
	images = withoutMembers(dir, images)
	if len(images) == 0 || slices.ContainsFunc(entries, func(d v1.Descriptor) bool { return d.Digest.String() == want }) {
		images = entries // a digest selects exactly this entry
	}
	var found []string
	for _, d := range images {
		if want == "" || names(d, want) {
			found = append(found, d.Digest.String())
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(entries) == 0:
		return "", broken(dir, "index.json does not list any image", nil)
	case len(found) == 0:
		return "", pipeline.UsageErrorf(codeLayoutAmbiguous, "choose one of: "+list(images), "%s has no image %s", dir, want)
	}
	return "", pipeline.UsageErrorf(codeLayoutAmbiguous, "choose one with --layout "+dir+":REF or "+dir+"@DIGEST: "+list(images),
		"%s has %d images", dir, len(found))
}

// referrerTag matches the tags of artifacts that refer to an image, as cosign
// writes them and as registries without a referrers API need them
// (distribution-spec "Referrers Tag Schema").
var referrerTag = lazyregexp.New(`^sha256-[0-9a-f]{64}(\.[a-z]+)?$`)

// refers reports whether an entry is not an image: a signature, an SBOM, a chart,
// or an index of these (image-spec manifest.md, "artifactType" and "subject").
// Artifacts that cosign stores in the older way have an image's config, but other
// layers.
func refers(dir string, d v1.Descriptor) bool {
	if d.ArtifactType != "" || referrerTag.MatchString(d.Annotations[refName]) {
		return true
	}
	text, err := document(dir, d.Digest)
	var m struct {
		ArtifactType string          `json:"artifactType"`
		Subject      *v1.Descriptor  `json:"subject"`
		Config       v1.Descriptor   `json:"config"`
		Layers       []v1.Descriptor `json:"layers"`
	}
	if err != nil || json.Unmarshal(text, &m) != nil {
		return false // Verify reports it
	}
	return m.ArtifactType != "" || m.Subject != nil || m.Config.MediaType == "application/vnd.oci.empty.v1+json" ||
		len(m.Layers) > 0 && !slices.ContainsFunc(m.Layers, isLayer)
}

// isLayer reports whether a part may be a layer, that is, whether its media type
// is not that of another vendor.
func isLayer(d v1.Descriptor) bool {
	const vendors = "application/vnd."
	kind, vendor := strings.CutPrefix(string(d.MediaType), vendors)
	return !vendor || strings.HasPrefix(kind, "oci.image.") || strings.HasPrefix(kind, "docker.")
}

// withoutMembers leaves out entries that have no name and belong to an index
// which is also listed. oras lists both, but the image is the index.
func withoutMembers(dir string, entries []v1.Descriptor) []v1.Descriptor {
	member := map[v1.Hash]bool{}
	for _, d := range entries {
		text, err := document(dir, d.Digest)
		var index v1.IndexManifest
		if err != nil || json.Unmarshal(text, &index) != nil {
			continue // Verify reports it
		}
		for _, m := range index.Manifests {
			member[m.Digest] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(entries), func(d v1.Descriptor) bool { return member[d.Digest] && len(entryNames(d)) == 0 })
}

// entryNames returns the names of an entry. There may be several, separated by
// commas, as skopeo and containerd write them.
func entryNames(d v1.Descriptor) (all []string) {
	for _, key := range []string{refName, containerdName} {
		for name := range strings.SplitSeq(d.Annotations[key], ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

func names(d v1.Descriptor, want string) bool {
	if d.Digest.String() == want {
		return true
	}
	if d.Annotations[refName] == want {
		return true // whatever the name contains
	}
	return slices.ContainsFunc(entryNames(d), func(name string) bool { return name == want || strings.HasSuffix(name, ":"+want) })
}

func list(entries []v1.Descriptor) string {
	var all []string
	for _, d := range entries {
		name := d.Digest.String()
		if named := entryNames(d); len(named) > 0 {
			name = named[0]
		}
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	const most = 8
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return units.List(all)
}

// version checks the file oci-layout.
func version(dir string) error {
	const name = "oci-layout"
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return broken(dir, "the directory has no file "+name+", so it is not an OCI layout", err)
	}
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return broken(dir, name+" is not valid", err)
	}
	if !strings.HasPrefix(v.Version, "1.") {
		return broken(dir, fmt.Sprintf("the image layout has the version %q, which is not supported", v.Version), nil)
	}
	return nil
}
