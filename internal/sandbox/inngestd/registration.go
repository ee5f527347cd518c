package inngestd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

func parseFunctions(in []sdkFunction) ([]functionConfig, error) {
	var all []functionConfig
	for _, f := range in {
		c := functionConfig{Name: f.Name, Slug: f.Slug, Triggers: f.Triggers}
		if f.Name == "" {
			return nil, errors.New("A function name is required")
		}
		if len(f.Steps) != 1 {
			return nil, errors.New("Functions must contain one step")
		}
		for _, st := range f.Steps {
			u, err := url.Parse(st.Runtime.URL)
			if err != nil || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "ws" && u.Scheme != "wss") {
				return nil, fmt.Errorf("Non-supported step schema: %s", st.Runtime.URL)
			}
			sc := stepConfig{ID: st.ID, Name: st.Name, URI: normalizeURL(st.Runtime.URL), Retries: f.Retries}
			if st.Retries != nil {
				sc.Retries = &st.Retries.Attempts
			}
			if sc.Retries != nil && *sc.Retries > maxRetries {
				most := maxRetries
				sc.Retries = &most
			}
			c.Steps = []stepConfig{sc}
		}
		limits, err := parseConcurrency(f.Concurrency)
		if err != nil {
			return nil, err
		}
		c.Concurrency = limits
		all = append(all, c)
	}
	return all, nil
}

// parseConcurrency accepts a number, one limit, or a list of limits.
func parseConcurrency(raw json.RawMessage) ([]stepConcurrency, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var all []stepConcurrency
	var one stepConcurrency
	var n int
	switch {
	case json.Unmarshal(raw, &n) == nil:
		all = []stepConcurrency{{Limit: n}}
	case json.Unmarshal(raw, &all) == nil:
	case json.Unmarshal(raw, &one) == nil:
		all = []stepConcurrency{one}
	default:
		return nil, errors.New("invalid concurrency")
	}
	names := map[string]string{"": scopeFn, "fn": scopeFn, "env": scopeEnv, "account": scopeAccount}
	for i := range all {
		name, ok := names[strings.ToLower(all[i].Scope)]
		if !ok {
			return nil, fmt.Errorf("%s does not belong to ConcurrencyScope values", all[i].Scope)
		}
		all[i].Scope = name
	}
	return all, nil
}

// checksum replaces the server's checksum: it is equal if and only if two
// registrations have the same content.
func checksum(in registration) string {
	raw, _ := json.Marshal(in) // plain data
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// normalizeURL works like the server's (pkg/util/normalize.go).
func normalizeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	q := u.Query()
	q.Del("deployId")
	q.Del("probe")
	u.RawQuery = q.Encode()
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil {
		return u.String()
	}
	if (port == "80" && u.Scheme == "http") || (port == "443" && u.Scheme == "https") {
		port = ""
	}
	if host == "localhost" || host == "127.0.0.1" || host == "0.0.0.0" {
		host = "localhost"
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	}
	u.Host = host
	return u.String()
}
