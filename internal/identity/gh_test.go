package identity

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// childEnv makes the test binary find an identity with the real go-gh. This needs
// a process of its own, because go-gh reads its configuration only once.
const childEnv = "SBW_TEST_IDENTITY"

func TestMain(m *testing.M) {
	if registry := os.Getenv(childEnv); registry != "" {
		id, err := Find(context.Background(), Options{Registry: registry})
		if err != nil {
			os.Stdout.WriteString("error: " + err.Error())
			os.Exit(0)
		}
		os.Stdout.WriteString(id.Source + " | " + id.User + " | " + id.token.Reveal())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestGoGH checks how go-gh treats hosts, variables and gh's own files.
func TestGoGH(t *testing.T) {
	dir := t.TempDir()
	hosts := "github.com:\n    user: joel\n    oauth_token: stored-com\nexample.com:\n    user: joel-at-work\n    oauth_token: stored-work\n"
	if err := os.WriteFile(filepath.Join(dir, "hosts.yml"), []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(t.TempDir(), "gh")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n[ \"$*\" = \"auth token --secure-storage --hostname keyring.example\" ] && echo from-keyring\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, registry string
		env            []string
		want           string
	}{
		{"hosts.yml", "ghcr.io", nil, "gh's login (hosts.yml) | joel | stored-com"},
		{"GITHUB_TOKEN beats the stored login", "ghcr.io", []string{"GITHUB_TOKEN=ambient"}, "gh's login (GITHUB_TOKEN) |  | ambient"},
		{"GH_TOKEN beats that", "ghcr.io", []string{"GITHUB_TOKEN=ambient", "GH_TOKEN=nearer"}, "gh's login (GH_TOKEN) |  | nearer"},
		{"GH_HOST changes nothing", "ghcr.io", []string{"GH_HOST=example.com"}, "gh's login (hosts.yml) | joel | stored-com"},
		{"an enterprise has its own", "containers.example.com", []string{"GH_TOKEN=for-com"}, "gh's login (hosts.yml) | joel-at-work | stored-work"},
		{"the keyring", "containers.keyring.example", nil, "gh's login (keyring) |  | from-keyring"},
		{"no login there", "containers.unknown.example", []string{"GH_TOKEN=for-com"}, "error: no login for unknown.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GH_CONFIG_DIR=" + dir, "GH_PATH=" + fake, childEnv + "=" + c.registry}, c.env...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(out), c.want) {
				t.Errorf("found %q, want %q", out, c.want)
			}
		})
	}
}
