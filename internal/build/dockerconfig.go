package build

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// dockerConfigDir returns the directory in which the docker programs look for
// config.json.
func (e environment) dockerConfigDir() string {
	if dir := e.get("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home := e.get("HOME")
	if runtime.GOOS == "windows" {
		home = e.get("USERPROFILE")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".docker")
}

// credentialFault is what docker, buildx, buildctl and buildah print when a
// credential helper exists but fails, for example because the keychain is
// locked.
const credentialFault = "error getting credentials"

// withDockerConfig calls do with the environment of a build. If the Docker
// configuration names credential helpers that are not installed, the environment
// refers to a copy without them. If a helper fails, do is called again with a
// copy that names none. The push never depends on credential helpers.
func (m machine) withDockerConfig(req Request, tmp string, r *pipeline.Reporter, do func(environment) error) error {
	env := m.envFor(req)
	helpers, config := env.credentialHelpers()
	drop := slices.DeleteFunc(slices.Clone(helpers), func(h string) bool { return env.lookPath("docker-credential-"+h) != "" })
	if len(drop) == 0 {
		err := do(env)
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || len(helpers) == 0 || !strings.Contains(f.Why, credentialFault) {
			return err
		}
		drop = helpers
	}
	f := &pipeline.Finding{Code: codeDockerCredentialHelper, Severity: pipeline.Note,
		What: "building without Docker's credential helper " + strings.Join(drop, ", ") + ", which is missing or fails",
		Fix:  "to fix this for good, remove credsStore from " + filepath.Join(env.dockerConfigDir(), "config.json")}
	without, err := env.withoutHelpers(tmp, config, drop)
	if err != nil { // Windows may not allow symlinks
		f.What, f.Why = "Docker's credential helper "+strings.Join(drop, ", ")+" is missing or fails", err.Error()
		f.Fix = "remove credsStore from " + filepath.Join(env.dockerConfigDir(), "config.json") + " if a base image cannot be pulled"
		without = env
	}
	r.Finding(f)
	return do(without)
}

// credentialHelpers returns the helpers that the user's Docker configuration
// names. When Docker Desktop is replaced by another engine, its helper stays in
// the configuration, and from then on every pull fails, even that of a public
// base image.
func (e environment) credentialHelpers() (names []string, config map[string]json.RawMessage) {
	dir := e.dockerConfigDir()
	if dir == "" {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || json.Unmarshal(text, &config) != nil {
		return nil, nil // the builder's own message is better
	}
	var store string
	var helpers map[string]string
	if json.Unmarshal(config["credsStore"], &store) == nil && store != "" {
		names = append(names, store)
	}
	if json.Unmarshal(config["credHelpers"], &helpers) == nil {
		for _, h := range helpers {
			names = append(names, h)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), config
}

// withoutHelpers creates in tmp a copy of the user's Docker configuration without
// the credential helpers in drop, and returns an environment that points to it.
// Everything else in the directory (plugins, contexts, buildx's builders) is
// symlinked, so that the build is the same.
func (e environment) withoutHelpers(tmp string, config map[string]json.RawMessage, drop []string) (environment, error) {
	from := e.dockerConfigDir()
	dir := filepath.Join(tmp, "docker")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	abs, err := filepath.Abs(from)
	if err != nil {
		return nil, err
	}
	for _, f := range entries {
		if strings.HasPrefix(f.Name(), "config.json") {
			continue // and the incomplete file of an interrupted docker
		}
		if err := os.Symlink(filepath.Join(abs, f.Name()), filepath.Join(dir, f.Name())); err != nil {
			return nil, err
		}
	}
	var store string
	if json.Unmarshal(config["credsStore"], &store) == nil && slices.Contains(drop, store) {
		delete(config, "credsStore")
	}
	var helpers map[string]string
	if json.Unmarshal(config["credHelpers"], &helpers) == nil {
		for host, h := range helpers {
			if slices.Contains(drop, h) {
				delete(helpers, host)
			}
		}
		if config["credHelpers"], err = json.Marshal(helpers); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		return nil, err
	}
	return e.with("DOCKER_CONFIG=" + dir), nil
}
