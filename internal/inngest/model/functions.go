package model

import (
	"encoding/json"
	"strings"
)

// ReadConcurrency reads a number, one limit, a list of limits, or the newer
// {step: […]}.
func ReadConcurrency(raw json.RawMessage) []Concurrency {
	var n int
	var one struct {
		Concurrency
		Step []Concurrency `json:"step"`
	}
	var all []Concurrency
	switch {
	case len(raw) == 0 || string(raw) == "null":
	case json.Unmarshal(raw, &n) == nil:
		all = []Concurrency{{Limit: n}}
	case json.Unmarshal(raw, &all) == nil:
	case json.Unmarshal(raw, &one) == nil && len(one.Step) > 0:
		all = one.Step
	case one.Limit > 0:
		all = []Concurrency{one.Concurrency}
	}
	// A worker writes fn, the server's REST Fn (pkg/enums/concurrency_scope.go), its
	// GraphQL FUNCTION.
	scopes := map[string]string{"": "FUNCTION", "fn": "FUNCTION", "env": "ENVIRONMENT", "account": "ACCOUNT"}
	for i := range all {
		if long, ok := scopes[strings.ToLower(all[i].Scope)]; ok {
			all[i].Scope = long
		}
	}
	return all
}
