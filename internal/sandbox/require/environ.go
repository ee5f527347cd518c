package require

import (
	"os"
	"slices"
	"strings"
)

// settings are the prefixes of the variables that hold a user's own settings for
// buildah, BuildKit, containerd, Docker, git, gh, Inngest, kubectl, nerdctl and podman.
var settings = []string{
	"BUILDAH_", "BUILDKIT_", "BUILDX_", "COMPOSE_", "CONTAINER", "DOCKER_", "GH_", "GIT_", "GITHUB_", "INNGEST_", "KUBE",
	"NERDCTL_", "REGISTRY_AUTH_",
}

// Environ returns the environment of this process without the user's own settings
// for the programs that are used here: a token, a context or a commit hook would
// change what they do.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return slices.ContainsFunc(settings, func(prefix string) bool { return strings.HasPrefix(kv, prefix) })
	})
}
