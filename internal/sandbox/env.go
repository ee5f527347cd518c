//go:build linux

package sandbox

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// noProxy lists what is reached without the proxy: this machine and the
// addresses of the cluster.
const noProxy = "127.0.0.1,localhost,198.18.0.0/15,.svc,.cluster.local"

// outsideEnv returns the variables that let any program reach the sandbox's
// ghcr.io and api.github.com.
func (s *Sandbox) outsideEnv() []string {
	bundle := s.path("run", "pki", "bundle.crt")
	var env []string
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		env = append(env, name+"=http://"+outsideAddr)
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		env = append(env, name+"="+noProxy)
	}
	// Go reads the first one; git, curl and Node use the other names.
	for _, name := range []string{"SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"} {
		env = append(env, name+"="+bundle)
	}
	return env
}

// Env returns the variables of a person who works in the sandbox: PATH with
// the plugins, gh, kubectl and the builder, the cluster's kubeconfig, a GitHub
// token, and separate directories for gh, so that nothing of the user's is
// read or written.
func (s *Sandbox) Env() (map[string]string, error) {
	accounts, err := s.Accounts()
	if err != nil {
		return nil, err
	}
	c, err := s.Cluster()
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		require.EnvDir:          s.Dir,
		"PATH":                  s.path("run", "home", "bin") + ":" + s.Bin() + ":" + os.Getenv("PATH"),
		"HOME":                  s.path("run", "home"),
		"XDG_CONFIG_HOME":       s.path("run", "home", "config"),
		"XDG_DATA_HOME":         s.path("run", "home", "data"),
		"XDG_STATE_HOME":        s.path("run", "home", "state"),
		"XDG_CACHE_HOME":        s.path("run", "home", "cache"),
		"KUBECONFIG":            c.Kubeconfig(),
		"BUILDKIT_HOST":         s.builderAddr(),
		"GIT_CONFIG_NOSYSTEM":   "1", // signing or a hook could prevent a commit
		"GH_TOKEN":              accounts.Publisher,
		"GH_NO_UPDATE_NOTIFIER": "1",
		"GH_PROMPT_DISABLED":    "1",
	}
	for _, kv := range s.outsideEnv() {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return env, nil
}

// Environ returns the environment of this process without the user's own settings,
// overridden by Env.
func (s *Sandbox) Environ() ([]string, error) {
	env, err := s.Env()
	if err != nil {
		return nil, err
	}
	merged := map[string]string{}
	for _, kv := range require.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		merged[k] = v
	}
	maps.Copy(merged, env)
	var list []string
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		list = append(list, k+"="+merged[k])
	}
	return list, nil
}

// Shell returns Env as a snippet for `eval`.
func (s *Sandbox) Shell() (string, error) {
	env, err := s.Env()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "export %s='%s'\n", k, strings.ReplaceAll(env[k], "'", `'\''`))
	}
	return b.String(), nil
}
