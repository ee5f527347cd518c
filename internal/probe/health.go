package probe

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Health is what the worker's own health page reports; nil for any other page.
type Health struct {
	Role          string   `json:"role,omitempty"`
	Count         int      `json:"count"`
	Functions     []string `json:"functions,omitempty"`
	Duplicates    []string `json:"duplicates,omitempty"`
	HasDuplicates bool     `json:"hasDuplicates,omitempty"`
}

// String returns a short form for the log; empty if h is nil.
func (h *Health) String() string {
	if h == nil {
		return ""
	}
	noun := "functions"
	if h.Count == 1 {
		noun = "function"
	}
	return fmt.Sprintf(", %d %s as %s", h.Count, noun, h.Role)
}

// page is the health page of system-bus's serve.ts: {functions, count,
// worker: {role, duplicateFunctionIds, hasDuplicateFunctionIds}}.
type page struct {
	Functions []json.RawMessage `json:"functions"`
	Count     *int              `json:"count"`
	Worker    *struct {
		Role          string   `json:"role"`
		Duplicates    []string `json:"duplicateFunctionIds"`
		HasDuplicates bool     `json:"hasDuplicateFunctionIds"`
	} `json:"worker"`
}

func parseHealth(body []byte) *Health {
	var p page
	if json.Unmarshal(body, &p) != nil || p.Worker == nil || p.Count == nil && p.Functions == nil {
		return nil
	}
	h := &Health{Role: p.Worker.Role, Duplicates: p.Worker.Duplicates, HasDuplicates: p.Worker.HasDuplicates || len(p.Worker.Duplicates) > 0}
	for _, raw := range p.Functions {
		var name string
		var object struct{ ID, Name string }
		switch {
		case json.Unmarshal(raw, &name) == nil:
		case json.Unmarshal(raw, &object) == nil:
			if name = object.ID; name == "" {
				name = object.Name
			}
		}
		if name != "" {
			h.Functions = append(h.Functions, name)
		}
	}
	slices.Sort(h.Functions)
	h.Count = len(h.Functions)
	if p.Count != nil {
		h.Count = *p.Count
	}
	return h
}
