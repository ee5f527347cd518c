package layout

import (
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// annotated is the prefix of the labels that are also written as annotations,
// which registries show on their pages. Writing all labels would make manifests
// long.
const annotated = "org.opencontainers.image."

// Stamp writes labels into the config of the image with that digest, or of each
// image in the index, and returns the resulting digest. index.json then names the
// new digest instead of the old one. Nothing is written if the labels exist
// already.
func Stamp(dir, digest string, labels map[string]string) (string, error) {
	annotations := map[string]string{}
	for k, v := range labels {
		if strings.HasPrefix(k, annotated) {
			annotations[k] = v
		}
	}
	s := editor{dir: dir, index: func(t tree) (bool, error) { return merge(t, "annotations", annotations) }}
	s.image = func(_ v1.Hash, t tree) (bool, error) {
		changed, err := s.withConfig(t, func(config tree) (bool, error) { return label(config, labels) })
		if err != nil {
			return false, err
		}
		more, err := merge(t, "annotations", annotations)
		return changed || more, err
	}
	return s.edit(digest)
}
