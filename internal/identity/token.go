package identity

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

const hidden = "[hidden]"

// Token is a secret that no formatting verb, encoder or logger reveals.
type Token struct{ secret string }

// NewToken wraps a secret.
func NewToken(secret string) Token { return Token{secret: secret} }

// Reveal returns the secret itself, to be used only in an Authorization header.
func (t Token) Reveal() string { return t.secret }

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t.secret == "" }

// String hides the secret.
func (Token) String() string { return hidden }

// GoString hides the secret.
func (Token) GoString() string { return hidden }

// Format hides the secret whatever the verb.
func (Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// MarshalText hides the secret.
func (Token) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue hides the secret.
func (Token) LogValue() slog.Value { return slog.StringValue(hidden) }

// fineGrained reports whether the token is of the kind that GitHub Packages
// does not accept.
func (t Token) fineGrained() bool { return strings.HasPrefix(t.secret, "github_pat_") }

// malformed returns a finding if source contains anything besides a token, such
// as several lines, wrapped base64, or quotation marks from an .env file. github
// means that it is GitHub's token, which consists only of letters, digits and . _
// -; that of another registry may be any password that a header can carry.
func malformed(source, token string, github bool) error {
	contains := ""
	for _, r := range token {
		switch {
		case r == '\n' || r == '\r':
			contains = "a line break"
		case termtext.Hidden(r):
			contains = "a control character"
		case !github:
			continue
		case unicode.IsSpace(r):
			contains = "a space"
		case r == '"' || r == '\'' || r == '`':
			contains = "a quotation mark"
		case r > unicode.MaxASCII:
			contains = "a character that is not ASCII"
		}
		if contains != "" {
			return &pipeline.Finding{Code: CodeTokenMalformed, Severity: pipeline.Error, What: source + " does not contain a token alone",
				Why: "it contains " + contains, Fix: "set it to the token, with nothing before or after it"}
		}
	}
	return nil
}

// tokenVariables lists variables with secrets that a child process does not need.
var tokenVariables = []string{
	"GHCR_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "DOCKER_AUTH_CONFIG",
}

// CleanEnv returns an environment for a child process: environ without the
// variables for tokens, and without any variable that contains one of the given
// tokens.
func CleanEnv(environ []string, tokens ...Token) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		key, val, _ := strings.Cut(kv, "=")
		if slices.Contains(tokenVariables, strings.ToUpper(key)) {
			return true
		}
		return slices.ContainsFunc(tokens, func(t Token) bool {
			return !t.IsZero() && strings.Contains(val, t.secret)
		})
	})
}
