//go:build linux

package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
)

// Login owns the checkout, the packages and the cluster of the sandbox.
const Login = "joelhooks"

// Accounts are the GitHub tokens that exist in the sandbox. They are recreated
// together with it.
type Accounts struct {
	// Publisher may write packages.
	Publisher string
	// Plain is what `gh auth login` gives by default: it may not write packages.
	Plain string
	// Puller may only read packages. The cluster's pull secret contains it.
	Puller string
	// SigningKey and EventKey are the Inngest server's. The key has no prefix such as
	// signkey-prod-: a self-hosted server does not start with one (1.43).
	SigningKey string
	EventKey   string
}

// scopes of gh's default login (cli/cli internal/authflow).
var plainScopes = []string{"gist", "read:org", "repo", "workflow"}

// Accounts reads the tokens, or creates them.
func (s *Sandbox) Accounts() (Accounts, error) {
	file := s.path("run", "accounts.json")
	var a Accounts
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &a)
		a.SigningKey = strings.TrimPrefix(a.SigningKey, "signkey-prod-") // of a sandbox that an earlier version brought up
		return a, err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return a, err
	}
	a = Accounts{
		Publisher: "gho_" + random(20), Plain: "gho_" + random(20), Puller: "ghp_" + random(20),
		SigningKey: random(32), EventKey: random(16),
	}
	if b, err = json.Marshal(a); err != nil {
		return a, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return a, err
	}
	return a, os.WriteFile(file, b, 0o600)
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

func (a Accounts) registry() map[string]ghcr.Account {
	return map[string]ghcr.Account{
		a.Publisher: {Login: Login, Scopes: append([]string{"write:packages"}, plainScopes...)},
		a.Plain:     {Login: Login, Scopes: plainScopes},
		a.Puller:    {Login: Login, Scopes: []string{"read:packages"}},
	}
}

func (a Accounts) github() map[string]githubapi.Account {
	all := map[string]githubapi.Account{}
	for token, r := range a.registry() {
		all[token] = githubapi.Account{Login: r.Login, Scopes: r.Scopes}
	}
	return all
}
