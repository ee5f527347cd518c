// Package githubapi is the corner of GitHub's REST API that a publish asks:
// GET /user with the token's scopes in X-OAuth-Scopes. It is a double, since
// there is no GitHub to run locally.
//
// It answers below / (github.com's api.HOST) and below /api/v3/ (an enterprise
// server) alike.
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
	// Scopes go into X-OAuth-Scopes.
	Scopes []string
	// FineGrained sends no X-OAuth-Scopes at all, as for a token whose scopes
	// cannot be known.
	FineGrained bool
	// App answers 403, as GitHub does to an installation's token.
	App bool
	// NeedsSSO answers 403 with X-GitHub-SSO.
	NeedsSSO bool
}

// Server is the http.Handler.
type Server struct {
	mu       sync.Mutex
	accounts map[string]Account
	status   int
	asked    []string
}

// New makes a Server that knows these tokens.
func New(accounts map[string]Account) *Server { return &Server{accounts: accounts} }

// Fail makes every answer this status; 0 ends it.
func (s *Server) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Asked returns method and path of all requests so far.
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
