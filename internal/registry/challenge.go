package registry

import (
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// challengeOf returns the challenge of a 401. It prefers bearer to basic, as a
// registry that offers both does.
func challengeOf(h http.Header, insecure bool) *transport.Challenge {
	var basic *transport.Challenge
	for _, v := range h.Values("WWW-Authenticate") {
		scheme, params := parseChallenge(v)
		c := &transport.Challenge{Scheme: scheme, Parameters: params, Insecure: insecure}
		switch {
		case scheme == "bearer" && params["realm"] != "":
			return c
		case scheme == "basic":
			basic = c
		}
	}
	return basic
}

// parseChallenge reads one challenge (RFC 9110, section 11.6.1): a scheme and
// name=value pairs; a value may be a quoted string that contains commas. Reading
// stops at the first invalid pair.
func parseChallenge(v string) (scheme string, params map[string]string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
	params = map[string]string{}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		key, after, ok := strings.Cut(rest, "=")
		if !ok {
			return strings.ToLower(scheme), params
		}
		key = strings.ToLower(strings.TrimSpace(key))
		after = strings.TrimLeft(after, " \t")
		var val string
		if strings.HasPrefix(after, `"`) {
			val, rest, ok = unquote(after[1:])
			if !ok {
				return strings.ToLower(scheme), params
			}
		} else {
			val, rest, _ = strings.Cut(after, ",")
			val = strings.TrimSpace(val)
		}
		if _, twice := params[key]; !twice && key != "" {
			params[key] = val
		}
	}
}

// unquote reads a quoted string. s starts after the opening quote.
func unquote(s string) (val, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i+1 < len(s) {
				i++
				b.WriteByte(s[i])
			}
		case '"':
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
