// Package githubapi is a double of the part of GitHub's REST API that publish
// uses: GET /user, with the token's scopes in X-OAuth-Scopes. GitHub itself
// cannot run locally.
//
// It answers under / (github.com's api.HOST) and under /api/v3/ (an enterprise
// server).
package githubapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Account is the owner of a token.
type Account struct {
	Login string
	// Scopes are sent in X-OAuth-Scopes.
	Scopes []string
	// FineGrained omits X-OAuth-Scopes, as GitHub does for a token whose
	// scopes cannot be determined.
	FineGrained bool
	// App answers 403, as GitHub does for an installation's token.
	App bool
	// NeedsSSO answers 403 with X-GitHub-SSO.
	NeedsSSO bool
}

// Server is an http.Handler.
type Server struct {
	mu       sync.Mutex
	accounts map[string]Account
	status   int
	asked    []string
}

// New creates a Server that knows these tokens.
func New(accounts map[string]Account) *Server { return &Server{accounts: accounts} }

// Fail makes every answer have this status; 0 turns it off.
func (s *Server) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Asked returns the method and path of all requests so far.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// ServeHTTP answers GET /user.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	status := s.status
	account, known := s.accounts[token(r)]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch {
	case status != 0:
		say(w, status, http.StatusText(status))
	case strings.TrimPrefix(r.URL.Path, "/api/v3") != "/user" || r.Method != http.MethodGet:
		say(w, http.StatusNotFound, "Not Found")
	case token(r) == "":
		say(w, http.StatusUnauthorized, "Requires authentication")
	case !known:
		say(w, http.StatusUnauthorized, "Bad credentials")
	case account.NeedsSSO:
		w.Header().Set("X-GitHub-SSO", "required; url=https://github.com/orgs/example/sso")
		say(
			w,
			http.StatusForbidden,
			"Resource protected by organization SAML enforcement. You must grant your OAuth token access to this organization.",
		)
	case account.App:
		say(w, http.StatusForbidden, "Resource not accessible by integration")
	default:
		if !account.FineGrained {
			w.Header().Set("X-OAuth-Scopes", strings.Join(account.Scopes, ", "))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"login": account.Login, "type": "User"})
	}
}

func token(r *http.Request) string {
	scheme, tok, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return tok
}

func say(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": http.StatusText(status),
	})
}
