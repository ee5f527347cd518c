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

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// refName is the annotation by which index.json names its entries; containerd
// and docker write the full reference into the other one.
const (
	refName        = "org.opencontainers.image.ref.name"
	containerdName = "io.containerd.image.name"
)

// Open chooses the image of a layout made elsewhere. spec is DIR, DIR:REF or
// DIR@sha256:…; without more than DIR, the layout must have one entry. The
// layout is verified and never written to. Findings: "layout-missing",
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

// Dir takes such a spec apart and looks whether its directory is there. Finding:
// "layout-missing".
func Dir(spec string) (dir, want string, err error) {
	dir, want = split(spec)
	fi, err := os.Stat(dir)
	switch {
	case err != nil:
		return "", "", pipeline.UsageErrorf("layout-missing", "give the directory of an OCI image layout", "no layout directory %s", dir)
	case !fi.IsDir():
		return "", "", pipeline.UsageErrorf("layout-missing", "unpack it: mkdir image && tar -xf "+dir+" -C image", "%s is a file, not a layout directory", dir)
	}
	return dir, want, nil
}

// split takes spec apart. What exists as a directory is one, whatever
// characters are in its name.
func split(spec string) (dir, want string) {
	if fi, err := os.Stat(spec); err == nil && fi.IsDir() {
		return spec, ""
	}
	if dir, want, ok := strings.Cut(spec, "@sha256:"); ok {
		return dir, "sha256:" + want
	}
	// The last colon, but not the one of a Windows drive: C:\image.
	if i := strings.LastIndexByte(spec, ':'); i > 1 && !strings.ContainsAny(spec[i:], `\`) {
		return spec[:i], spec[i+1:]
	}
	return spec, ""
}

// Choose returns the digest of the entry of index.json that want names, by
// digest, by reference or by the reference's tag. With want empty it is the
// only entry.
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
	var found []string
	for _, d := range entries {
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
		return "", broken(dir, "index.json lists no image", nil)
	case len(found) == 0:
		return "", pipeline.UsageErrorf("layout-ambiguous", "choose one of: "+list(entries), "%s has no image %s", dir, want)
	}
	return "", pipeline.UsageErrorf("layout-ambiguous", "choose one with --layout "+dir+":REF or "+dir+"@DIGEST: "+list(entries),
		"%s has %d images", dir, len(found))
}

func names(d v1.Descriptor, want string) bool {
	if d.Digest.String() == want {
		return true
	}
	for _, key := range []string{refName, containerdName} {
		name := d.Annotations[key]
		if name == want || name != "" && strings.HasSuffix(name, ":"+want) {
			return true
		}
	}
	return false
}

func list(entries []v1.Descriptor) string {
	var all []string
	for _, d := range entries {
		name := d.Annotations[refName]
		if name == "" {
			name = d.Annotations[containerdName]
		}
		if name == "" {
			name = d.Digest.String()
		}
		all = append(all, name)
	}
	const most = 8
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, ", ")
}

// version checks the file oci-layout.
func version(dir string) error {
	const name = "oci-layout"
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return broken(dir, "no file "+name+": not an OCI layout directory", err)
	}
	var v struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return broken(dir, name+" is not valid", err)
	}
	if !strings.HasPrefix(v.Version, "1.") {
		return broken(dir, fmt.Sprintf("image layout version %q is not known", v.Version), nil)
	}
	return nil
}
